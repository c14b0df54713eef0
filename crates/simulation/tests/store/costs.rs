//! What each call of a store may cost: statements and time in calm weather, and time while one of three nodes hangs.
//!
//! The seed decides everything, so the figures are exact. If one grows, find out why. If that is right, raise the bound
//! in the same commit, and give the reason in its message. If one becomes smaller, lower the bound.
//!
//! A statement counts if it was sent before the answer of the call. What a process writes behind its answers is in the
//! rows of the upkeep. In calm weather a statement takes a millisecond, so the milliseconds of a call say how many
//! statements it sends one after the other. While a node hangs, a call is made three times, each with another node that
//! stopped a moment before, so that nobody has noticed it: the longest counts, and none fails. Which nodes are asked
//! changes with every statement more, so those bounds are half seconds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::apply::{Action, Asker, Outcome};
use coupon::campaign::Campaign;
use coupon::code::{Code, CodeText};
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::time::Millis;
use cql_session::{CALL_LIMIT, RowPage, StatementRequest};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use hot::feed::{FeedRead, FeedStart};
use hot::redemptions::RedemptionQuery;
use hot::{
    Applied, CampaignPatch, CouponFilter, HotError, HotStore, ImportLine, ListOrder, ListQuery,
    ListScope, NewCampaign,
};
use hot_conformance::kit::{
    ACT, Kit, MemoryArchive, NOW, cancel, extend_days, give, hold, order, redeem, reference,
    release, revoke, void,
};
use hot_cql::CqlOptions;
use router::Found;
use scylla::errors::ExecutionError;
use simulated_cluster::cluster::NetworkWeather;
use simulated_cluster::session::StatementTamper;
use tokio::time::{Instant, sleep, sleep_until};

use crate::own_process;
use crate::simulated::ClusterFixture;

const SEED: u64 = 31;

/// Terms of a campaign, and the mark of the feed, are read again after a shorter time.
const RESTS_FOR: Duration = Duration::from_secs(2);

/// Longer than any call takes.
const HANGS_FOR: Duration = Duration::from_secs(30);

/// After this time without a sign of life the driver closes its connections to a node.
const NOTICED: Duration = Duration::from_secs(5);

/// The most that a call may cost.
struct CostBound {
    call: &'static str,
    statements: u64,
    ms: u64,
    hanging_ms: u64,
}

const fn bound(call: &'static str, statements: u64, ms: u64, hanging_ms: u64) -> CostBound {
    CostBound { call, statements, ms, hanging_ms }
}

/// In the order in which they are called.
#[rustfmt::skip]
const BOUNDS: &[CostBound] = &[
    bound("issue to 50 users", 860, 518, 8_500),
    bound("issue", 11, 10, 7_500),
    bound("issue, once more", 2, 2, 500),
    bound("issue, by another process", 111, 16, 7_500),
    bound("issue a given code", 14, 12, 6_000),
    bound("hold", 3, 3, 4_000),
    bound("release", 3, 3, 4_500),
    bound("redeem", 3, 3, 5_000),
    bound("redeem, once more", 1, 1, 500),
    bound("cancel a redemption", 3, 3, 4_500),
    bound("redeem, after a rest", 6, 5, 4_500),
    bound("redeem, refused", 1, 1, 500),
    bound("redeem, version unknown", 7, 6, 1_500),
    bound("redeem, nothing known", 12, 9, 2_000),
    bound("extend", 15, 14, 5_500),
    bound("redeem, extended", 6, 5, 4_500),
    bound("revoke", 5, 5, 4_500),
    bound("void", 3, 3, 5_000),
    bound("redeem, imported", 4, 4, 4_500),
    bound("look up", 1, 1, 500),
    bound("look up, by another process", 4, 3, 500),
    bound("look up, nothing known", 6, 5, 1_000),
    bound("look up an untouched code", 6, 5, 500),
    bound("look up an archived coupon", 5, 4, 500),
    bound("look up an imported coupon", 5, 4, 1_000),
    bound("look up an unknown short code", 1, 1, 500),
    bound("look up a forged code", 1, 1, 500),
    bound("list a wallet", 5, 4, 500),
    bound("list a campaign, 20", 225, 13, 2_000),
    bound("list all, 20", 1_042, 27, 4_000),
    bound("read events, 100", 8, 5, 2_000),
    bound("read events, 10", 8, 5, 2_000),
    bound("read events, at the end", 26, 7, 2_000),
    bound("list redemptions, some are new", 299, 134, 5_500),
    bound("list redemptions, 20", 100, 14, 3_000),
    bound("find an order", 29, 10, 5_500),
    bound("list the audit, 20", 23, 7, 1_000),
    bound("read a campaign", 4, 4, 500),
    bound("list campaigns, 20", 22, 22, 4_000),
    bound("list batches, 20", 10, 10, 1_500),
    bound("create a campaign with a batch", 31, 31, 8_500),
    bound("mint", 16, 16, 7_500),
    bound("rename a campaign", 12, 1_012, 6_500),
    bound("pause a campaign", 15, 1_013, 6_500),
    bound("open an import", 12, 12, 5_500),
    bound("import 1,000 lines", 1_142, 35, 7_000),
    bound("find what is closed", 127, 16, 6_000),
    bound("seal a day", 39, 9, 5_000),
    bound("read a sealed day, 100", 11, 3, 1_500),
    bound("a minute of two processes", 0, 60_000, 0),
    bound("a minute with a redeem", 13, 60_006, 0),
];

impl fmt::Display for CostBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CostBound { call, statements, ms, hanging_ms } = self;
        write!(
            f,
            "{call}, at most {statements} statements and {ms} ms, {hanging_ms} ms while a node hangs"
        )
    }
}

/// The statements that all processes have sent since it was emptied.
#[derive(Default)]
struct SentStatements(Mutex<Vec<&'static str>>);

impl StatementTamper for SentStatements {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        self.0.lock().unwrap().push(request.cql);
        ready(None).boxed()
    }
}

impl SentStatements {
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Waits until nobody sends anything, and what a process keeps for a moment only has lapsed.
    async fn quiet(&self) {
        loop {
            self.take();
            sleep(RESTS_FOR).await;
            if self.take().is_empty() {
                return;
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct CallCost {
    statements: Vec<&'static str>,
    ms: u64,
    failure: Option<String>,
}

impl fmt::Display for CallCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CallCost { statements, ms, failure } = self;
        write!(f, "{} statements, {ms} ms, {failure:?}", statements.len())?;
        let mut texts: BTreeMap<&str, u64> = BTreeMap::new();
        statements.iter().for_each(|text| *texts.entry(text).or_default() += 1);
        texts.into_iter().try_for_each(|(text, count)| write!(f, "\n    {count} × {text}"))
    }
}

/// Three nodes, a cold tier, and what the calls have cost so far.
struct CostMeter {
    fixture: ClusterFixture,
    archive: Arc<MemoryArchive>,
    sent: Arc<SentStatements>,
    /// The node that hangs during each call.
    hanging: Option<usize>,
    costs: BTreeMap<&'static str, CallCost>,
}

impl CostMeter {
    fn new() -> CostMeter {
        let noticed_ms = u64::try_from(NOTICED.as_millis()).unwrap();
        let weather =
            NetworkWeather { noticed_ms: (noticed_ms, noticed_ms), ..NetworkWeather::calm() };
        CostMeter {
            fixture: ClusterFixture::in_weather(SEED, weather),
            archive: Arc::default(),
            sent: Arc::default(),
            hanging: None,
            costs: BTreeMap::new(),
        }
    }

    /// A process that knows nothing yet. Its names are those of the kit with this number.
    async fn started(&self, number: u64) -> Kit {
        let options = CqlOptions {
            bucket_bits: 4,
            clock_bound_ms: 0,
            call_limit: CALL_LIMIT,
            ..ClusterFixture::options()
        };
        let (archive, tamper) = (Arc::clone(&self.archive), Arc::clone(&self.sent));
        let hot = self.fixture.process(options, archive as _, Some(tamper)).await;
        Kit::numbered(hot as Arc<dyn HotStore>, Arc::clone(&self.archive), number)
    }

    /// Makes a call after a rest, and notes what it has cost.
    async fn of<T>(&mut self, name: &'static str, call: impl Future<Output = Result<T, HotError>>) {
        self.sent.quiet().await;
        self.at_once(name, call).await;
    }

    /// The same right behind the call before it.
    async fn at_once<T>(
        &mut self,
        name: &'static str,
        call: impl Future<Output = Result<T, HotError>>,
    ) {
        self.sent.take();
        let begun = Instant::now();
        if let Some(node) = self.hanging {
            self.fixture.cluster.freeze(node, HANGS_FOR);
        }
        let answer = call.await;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
        let statements = self.sent.take();
        let failure = answer.err().map(|error| error.to_string());
        if self.hanging.is_some() {
            sleep_until(begun + HANGS_FOR + 2 * NOTICED).await;
        }
        let cost = CallCost { statements, ms, failure };
        match self.costs.get(name) {
            Some(before)
                if (before.failure.is_some(), before.ms) >= (cost.failure.is_some(), ms) => {}
            _ => drop(self.costs.insert(name, cost)),
        }
    }
}

async fn found(kit: &Kit, code: &Code) -> Result<Option<Found>, HotError> {
    let text: CodeText = code.as_str().parse().unwrap();
    kit.router.find(&text, kit.hot.as_ref()).await
}

/// Looks a code up; whether there is such a coupon.
async fn looked_up(kit: &Kit, code: &Code) -> Result<bool, HotError> {
    match found(kit, code).await? {
        Some(Found::Coupon(address)) => Ok(kit.hot.read(&address).await?.is_some()),
        Some(Found::Shared { .. }) => panic!("{code} is a shared word"),
        None => Ok(false),
    }
}

/// A refusal is a failure, too: perhaps because the call before it failed.
fn accepted(applied: &Applied) -> Result<(), HotError> {
    match applied.outcome {
        Outcome::Accepted(_) | Outcome::Replayed => Ok(()),
        Outcome::Refused(refusal) => Err(HotError::Damaged(format!("refused: {refusal:?}"))),
    }
}

/// Finds a coupon and changes it, as a request does. No rule refuses.
async fn changed(kit: &Kit, code: &Code, action: Action) -> Result<(), HotError> {
    let change = kit.change(action, Asker::Shop, NOW);
    let found = found(kit, code).await?.expect("the code is known");
    accepted(&kit.hot.apply(&found, change).await?)
}

async fn issued(kit: &Kit, campaign: &Campaign, user: &UserId, name: &str) -> Result<(), HotError> {
    let change = kit.change(give(user, reference(name)), Asker::Shop, NOW);
    accepted(&kit.hot.issue(&campaign.id, change).await?)
}

/// Processes, and what they work on.
struct CostScene {
    /// One that has done everything before.
    warm: Kit,
    /// One that knows the campaign and its batches, and no coupon.
    other: Kit,
    campaign: Campaign,
    codes: Vec<Code>,
    archived: Code,
    user: UserId,
}

impl CostScene {
    async fn new(meter: &CostMeter) -> CostScene {
        let (warm, other) = (meter.started(1).await, meter.started(2).await);
        let campaign = warm.draft();
        let codes = warm.stocked(&campaign, 4_000).await;
        let short = Campaign { cancel_days: 0, ..warm.draft() };
        warm.stocked(&short, 1).await;
        let user = warm.user("ann");
        let archived = warm.issued(&short, &user, "first").await;
        warm.done(&archived, redeem(&user, "first")).await;
        assert_eq!(warm.archive_closed(short.expiry_day(), NOW).await, 1);
        // Enough for a page of each list.
        for nth in 0..60 {
            let code = warm.issued(&campaign, &warm.user("user"), "once").await;
            let holder = warm.coupon(&code).await.holder().unwrap().clone();
            warm.done(&code, redeem(&holder, &format!("{nth}"))).await;
        }
        warm.issued(&campaign, &user, "once").await;
        assert!(looked_up(&other, &codes[3_999]).await.unwrap());
        CostScene { warm, other, campaign, codes, archived, user }
    }

    /// A coupon of a new user.
    async fn coupon(&self) -> (Code, UserId) {
        let user = self.warm.user("user");
        (self.warm.issued(&self.campaign, &user, "once").await, user)
    }

    /// A code that nobody has touched, from the end of the stock.
    fn untouched(&self, round: usize) -> &Code {
        &self.codes[self.codes.len() - 2 - round]
    }
}

async fn issues(scene: &CostScene, meter: &mut CostMeter, round: usize) {
    let CostScene { warm, other, campaign, .. } = scene;
    let user = warm.user("user");
    // The stock is leased in parts: a part has fewer codes than these.
    let many = async {
        for _ in 0..50 {
            issued(warm, campaign, &warm.user("user"), "a").await?;
        }
        Ok::<(), HotError>(())
    };
    meter.of("issue to 50 users", many).await;
    meter.at_once("issue", issued(warm, campaign, &user, "a")).await;
    meter.at_once("issue, once more", issued(warm, campaign, &user, "a")).await;
    meter.of("issue, by another process", issued(other, campaign, &other.user("user"), "a")).await;
    let given = give(&warm.user("user"), None);
    meter.of("issue a given code", changed(warm, scene.untouched(round), given)).await;
}

async fn changes(scene: &CostScene, meter: &mut CostMeter, round: usize) {
    let CostScene { warm, other, campaign, .. } = scene;
    let (code, user) = scene.coupon().await;
    meter.at_once("hold", changed(warm, &code, hold(&user, "cart", 10))).await;
    meter.at_once("release", changed(warm, &code, release("cart"))).await;
    meter.at_once("redeem", changed(warm, &code, redeem(&user, "order"))).await;
    meter.at_once("redeem, once more", changed(warm, &code, redeem(&user, "order"))).await;
    meter.at_once("cancel a redemption", changed(warm, &code, cancel("order"))).await;
    meter.of("redeem, after a rest", changed(warm, &code, redeem(&user, "second"))).await;
    meter
        .at_once("redeem, refused", async {
            let found = found(warm, &code).await?.expect("the code is known");
            let change = warm.change(redeem(&user, "third"), Asker::Shop, NOW);
            match warm.hot.apply(&found, change).await?.outcome {
                Outcome::Refused(_) => Ok(()),
                other => Err(HotError::Damaged(format!("not refused: {other:?}"))),
            }
        })
        .await;
    let (code, user) = scene.coupon().await;
    meter.of("redeem, version unknown", changed(other, &code, redeem(&user, "order"))).await;
    let (code, user) = scene.coupon().await;
    let fresh = meter.started(100 + round as u64).await;
    meter.of("redeem, nothing known", changed(&fresh, &code, redeem(&user, "order"))).await;
    let (code, user) = scene.coupon().await;
    meter.at_once("extend", changed(warm, &code, extend_days(campaign, 5))).await;
    meter.of("redeem, extended", changed(warm, &code, redeem(&user, "order"))).await;
    let (code, user) = scene.coupon().await;
    meter.at_once("revoke", changed(warm, &code, revoke(&user))).await;
    meter.at_once("void", changed(warm, &code, void())).await;
    let foreign = warm.imported(campaign, 1).await.remove(0);
    let user = warm.user("user");
    warm.done(&foreign, give(&user, None)).await;
    meter.at_once("redeem, imported", changed(warm, &foreign, redeem(&user, "order"))).await;
}

async fn look_ups(scene: &CostScene, meter: &mut CostMeter, round: usize) {
    let CostScene { warm, other, campaign, codes, archived, .. } = scene;
    let (code, _) = scene.coupon().await;
    let look = async |kit: &Kit, code: &Code, want: bool| {
        let is_there = looked_up(kit, code).await?;
        assert_eq!(is_there, want, "{code}");
        Ok::<(), HotError>(())
    };
    meter.at_once("look up", look(warm, &code, true)).await;
    meter.of("look up, by another process", look(other, &code, true)).await;
    let fresh = meter.started(200 + round as u64).await;
    meter.of("look up, nothing known", look(&fresh, &code, true)).await;
    meter.of("look up an untouched code", look(warm, &codes[codes.len() - 1], true)).await;
    meter.of("look up an archived coupon", look(warm, archived, true)).await;
    let foreign = warm.imported(campaign, 1).await.remove(0);
    meter.of("look up an imported coupon", look(other, &foreign, true)).await;
    meter.of("look up an unknown short code", look(warm, &warm.code(), false)).await;
    let mut forged = code.as_str().to_owned();
    forged.replace_range(7..8, if &forged[7..8] == "A" { "B" } else { "A" });
    let forged: Code = forged.parse().unwrap();
    meter.of("look up a forged code", look(warm, &forged, false)).await;
}

async fn lists(scene: &CostScene, meter: &mut CostMeter) {
    let CostScene { warm, campaign, user, .. } = scene;
    let list = |scope, limit| {
        let (filter, order) = (CouponFilter::default(), ListOrder::Latest);
        warm.hot.list(ListQuery { scope, filter, order, after: None, limit, now: NOW })
    };
    meter.of("list a wallet", list(ListScope::Holder(user.clone()), 20)).await;
    meter.of("list a campaign, 20", list(ListScope::Campaign(campaign.id.clone()), 20)).await;
    meter.of("list all, 20", list(ListScope::Everybody, 20)).await;
    let feed = warm.hot.feed().unwrap();
    // An event appears in the feed some seconds after its change.
    sleep(Duration::from_secs(10)).await;
    let first = match feed.events(FeedStart::Oldest, 100).await {
        Ok(FeedRead::Page(page)) => page.next,
        other => panic!("{other:?}"),
    };
    meter.of("read events, 100", feed.events(FeedStart::Oldest, 100)).await;
    meter.of("read events, 10", feed.events(FeedStart::After(first), 10)).await;
    let last = match feed.events(FeedStart::Newest, 100).await {
        Ok(FeedRead::Page(page)) => page.next,
        other => panic!("{other:?}"),
    };
    meter.of("read events, at the end", feed.events(FeedStart::After(last), 100)).await;
    let redemptions = warm.hot.redemptions().unwrap();
    let query = RedemptionQuery {
        campaign: Some(campaign.id.clone()),
        from: Millis(0),
        before: NOW.plus_days(1),
        after: None,
        limit: 20,
    };
    meter.of("list redemptions, some are new", redemptions.redemptions(query.clone())).await;
    meter.of("list redemptions, 20", redemptions.redemptions(query)).await;
    meter.of("find an order", redemptions.codes_of_order(&order("7"))).await;
    let audit = warm.hot.audit().unwrap();
    meter.of("list the audit, 20", audit.audit(None, None, 20)).await;
}

async fn campaigns(scene: &CostScene, meter: &mut CostMeter) {
    let CostScene { warm, other, campaign, .. } = scene;
    let hot = &warm.hot;
    meter.of("read a campaign", hot.campaign(&campaign.id, NOW)).await;
    meter.of("list campaigns, 20", hot.campaigns(None, 20, NOW)).await;
    meter.of("list batches, 20", hot.batches(&campaign.id, None, 20)).await;
    let draft = warm.draft();
    let new = NewCampaign {
        campaign: draft.clone(),
        created_as: "a request".into(),
        first_batch: Some(warm.order_of(1_000)),
    };
    meter.of("create a campaign with a batch", hot.create_campaign(new, &ACT)).await;
    meter.of("mint", hot.mint(&draft.id, warm.order_of(1_000), &ACT)).await;
    let renamed = CampaignPatch { name: Some("Another".into()), ..CampaignPatch::default() };
    meter.of("rename a campaign", hot.patch_campaign(&draft.id, renamed, &ACT)).await;
    let paused = CampaignPatch { paused: Some(true), ..CampaignPatch::default() };
    meter.of("pause a campaign", other.hot.patch_campaign(&draft.id, paused, &ACT)).await;
}

async fn batches(scene: &CostScene, meter: &mut CostMeter) {
    let warm = &scene.warm;
    let campaign = warm.draft();
    warm.create(&campaign).await;
    meter
        .of("open an import", async {
            warm.hot.open_import(&campaign.id, &warm.batch_id(), &ACT).await
        })
        .await;
    let batch = warm.open_import(&campaign).await;
    let line = |_| warm.line(&campaign, &warm.code(), ImportedState::Available);
    let lines: Vec<ImportLine> = (0..1_000).map(line).collect();
    let imports = async {
        for some in lines.chunks(warm.hot.import_lines_max()) {
            warm.hot.import(&campaign.id, &batch, some.to_vec(), warm.import_run()).await?;
        }
        Ok::<(), HotError>(())
    };
    meter.of("import 1,000 lines", imports).await;
    // A day of few coupons, or they would stay and be in the way of every list.
    let campaign = warm.draft();
    warm.stocked(&campaign, 10).await;
    let (day, user) = (campaign.expiry_day(), warm.user("user"));
    let code = warm.issued(&campaign, &user, "a").await;
    warm.done(&code, redeem(&user, "order")).await;
    let at = warm.time_to_seal(day).await;
    meter.of("find what is closed", warm.hot.closed(NOW.plus_days(60), 100)).await;
    meter.of("seal a day", warm.hot.seal(day, at)).await;
    meter.of("read a sealed day, 100", warm.hot.residue(day, None, 100)).await;
}

/// What a process does by itself.
async fn upkeep(scene: &CostScene, meter: &mut CostMeter) {
    sleep(Duration::from_secs(60)).await;
    let minute = async {
        sleep(Duration::from_secs(60)).await;
        Ok(())
    };
    meter.of("a minute of two processes", minute).await;
    let (code, user) = scene.coupon().await;
    sleep(Duration::from_secs(60)).await;
    let busy = async {
        changed(&scene.warm, &code, redeem(&user, "order")).await?;
        sleep(Duration::from_secs(60)).await;
        Ok::<(), HotError>(())
    };
    meter.of("a minute with a redeem", busy).await;
}

async fn every_call(scene: &CostScene, meter: &mut CostMeter, round: usize) {
    issues(scene, meter, round).await;
    changes(scene, meter, round).await;
    look_ups(scene, meter, round).await;
    lists(scene, meter).await;
    campaigns(scene, meter).await;
    batches(scene, meter).await;
}

/// Compares all rows, so that a failure names every row that broke.
fn are_within(
    costs: &BTreeMap<&'static str, CallCost>,
    is_over: impl Fn(&CostBound, &CallCost) -> bool,
) {
    let mut wrong: Vec<String> = Vec::new();
    for (call, cost) in costs {
        match BOUNDS.iter().find(|it| it.call == *call) {
            Some(bound) if cost.failure.is_none() && !is_over(bound, cost) => {}
            Some(bound) => wrong.push(format!("{bound}: {cost}")),
            None => wrong.push(format!("{call} has no bound: {cost}")),
        }
    }
    assert!(wrong.is_empty(), "{} calls cost too much:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn calls_in_calm_weather() {
    own_process::run(SEED, "costs::calls_in_calm_weather", || async {
        let mut meter = CostMeter::new();
        let scene = CostScene::new(&meter).await;
        // Once before, so that caches are warm.
        every_call(&scene, &mut meter, 0).await;
        meter.costs.clear();
        every_call(&scene, &mut meter, 1).await;
        upkeep(&scene, &mut meter).await;
        let uncalled: Vec<&str> = BOUNDS
            .iter()
            .map(|bound| bound.call)
            .filter(|call| !meter.costs.contains_key(call))
            .collect();
        assert!(uncalled.is_empty(), "nobody calls {uncalled:?}");
        are_within(&meter.costs, |bound, cost| {
            cost.statements.len() as u64 > bound.statements || cost.ms > bound.ms
        });
    });
}

#[test]
fn calls_while_a_node_hangs() {
    own_process::run(SEED, "costs::calls_while_a_node_hangs", || async {
        let mut meter = CostMeter::new();
        let scene = CostScene::new(&meter).await;
        every_call(&scene, &mut meter, 0).await;
        meter.costs.clear();
        for node in 0..3 {
            meter.hanging = Some(node);
            every_call(&scene, &mut meter, 1 + node).await;
        }
        are_within(&meter.costs, |bound, cost| cost.ms > bound.hanging_ms);
    });
}
