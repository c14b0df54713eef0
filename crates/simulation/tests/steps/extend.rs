//! Extensions to another partition: the plan of the new day, the forwarding row, the row in the new
//! partition, the directory.

use std::cell::RefCell;

use coupon::apply::{Asker, Change};
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::{
    Applied, CouponFilter, Coupons, HotStore, ListOrder, ListQuery, ListScope, ListedPage, Residue,
    Span,
};
use hot_cql::CqlHot;
use router::{Entry, Found};

use super::stage::{ChangeResult, StepSweep, TestStage, patiently};
use hot_conformance::kit::{ChangeOutcome, Kit, NOW, extend, give, of, redeem, reference, said};

/// How the second process picks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    SameAgain,
    /// A second extension, further than the first.
    Further,
    /// Its holder redeems it. If it is available, it is issued.
    Used,
    /// It reads the lists by expiry.
    Notice,
    SealOld,
    SealNew,
}

const WAYS: [Way; 6] =
    [Way::SameAgain, Way::Further, Way::Used, Way::Notice, Way::SealOld, Way::SealNew];

/// The ways for a coupon that stays in its partition.
const WAYS_IN_PLACE: [Way; 4] = [Way::SameAgain, Way::Used, Way::Notice, Way::SealOld];

/// Which coupon is extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Issued,
    /// Imported and available: it is in the directory and in the stock.
    Imported,
    /// Extended within its partition.
    InPlace,
    /// Available, of any bearer, and issued first.
    Untouched,
}

struct Scene {
    kind: Kind,
    campaign: Campaign,
    user: UserId,
    code: Code,
    found: Found,
    change: Change,
    /// Of the first extension, and of the second.
    to: [Millis; 2],
    answered: RefCell<Vec<Applied>>,
}

impl Scene {
    async fn of(stage: &TestStage, kind: Kind) -> Scene {
        let kit = &stage.kit;
        let mut campaign = Campaign { cancel_days: 1, extend_days: 9, ..stage.draft() };
        let user = kit.user("ann");
        let mut to = [2, 4].map(|days| campaign.expires_at.plus_days(days));
        if kind == Kind::InPlace {
            campaign.expires_at = campaign.expires_at.plus_ms(-1_000);
            to[0] = campaign.expires_at.plus_ms(500);
        }
        if kind == Kind::Untouched {
            (campaign.handout, campaign.per_user_limit) = (Handout::Bearer, None);
            // To its last day, whatever it was extended to before it was issued.
            let days = campaign.expiry_day().0 - Day::expiry_day_of(NOW).0;
            campaign.valid_days = u16::try_from(days).ok();
        }
        let code = match kind {
            Kind::Untouched => kit.stocked(&campaign, 1).await.remove(0),
            Kind::Imported => {
                kit.create(&campaign).await;
                kit.imported(&campaign, 1).await.remove(0)
            }
            Kind::Issued | Kind::InPlace => {
                kit.stocked(&campaign, 1).await;
                kit.issued(&campaign, &user, "a").await
            }
        };
        let found = kit.found(&code).await;
        let first = match kind {
            Kind::Untouched => give(&user, None),
            Kind::Issued | Kind::Imported | Kind::InPlace => extend(to[0]),
        };
        let change = kit.change(first, Asker::Shop, NOW);
        Scene { kind, campaign, user, code, found, change, to, answered: RefCell::default() }
    }

    fn days(&self) -> [Day; 3] {
        let [first, second] = self.to.map(Day::expiry_day_of);
        [self.campaign.expiry_day(), first, second]
    }

    async fn apply(&self, stage: &TestStage, action: coupon::apply::Action) -> Applied {
        let ask = async || {
            let change = stage.kit.change(action.clone(), Asker::Shop, NOW);
            // The router finds it each time, as for a request.
            let found = stage.kit.found(&self.code).await;
            stage.kit.hot.apply(&found, change).await
        };
        let applied = patiently(ask).await;
        self.answered.borrow_mut().push(applied.clone());
        applied
    }
}

async fn seal(stage: &TestStage, day: Day) -> bool {
    let hot = &stage.kit.hot;
    match hot.partition(day).await.unwrap() {
        Some(plan) => patiently(async || hot.seal(day, plan.seal_after.plus_ms(1)).await).await,
        None => false,
    }
}

async fn is_sealed(kit: &Kit, day: Day) -> bool {
    kit.hot.partition(day).await.unwrap().is_some_and(|plan| plan.sealed)
}

async fn list(kit: &Kit, scope: ListScope, expires: Span) -> ListedPage {
    let filter = CouponFilter { expires, ..CouponFilter::default() };
    let query =
        ListQuery { scope, filter, order: ListOrder::Soonest, after: None, limit: 50, now: NOW };
    kit.hot.list(query).await.unwrap()
}

/// Each coupon of a scene is listed once, with its present expiry.
async fn is_listed(stage: &TestStage, scene: &Scene) {
    let kit = &stage.kit;
    let expires =
        Span { from: Some(scene.campaign.expires_at), before: Some(scene.to[1].plus_ms(1)) };
    let mut pages = vec![list(kit, ListScope::Everybody, expires).await];
    if scene.kind != Kind::Imported {
        pages.push(list(kit, ListScope::Holder(scene.user.clone()), Span::default()).await);
    }
    let coupon = kit.coupon(&scene.code).await;
    for page in pages {
        let listed: Vec<&Coupon> = page.coupons.iter().map(|snapshot| &snapshot.coupon).collect();
        assert_eq!(listed, [&coupon], "an extended coupon is listed once");
    }
}

async fn pick_up(stage: &TestStage, scene: &Scene, way: Way) {
    match way {
        Way::SameAgain => {
            let first = scene.apply(stage, extend(scene.to[0])).await;
            assert_eq!(of(&first).expires_at(), scene.to[0], "{first:?}");
            let again = scene.apply(stage, extend(scene.to[0])).await;
            assert_eq!((said(&again), of(&again)), (ChangeOutcome::Replayed, of(&first)));
        }
        Way::Further => {
            let further = scene.apply(stage, extend(scene.to[1])).await;
            assert_eq!(
                (said(&further), of(&further).expires_at()),
                (ChangeOutcome::Accepted, scene.to[1])
            );
        }
        Way::Used if scene.kind == Kind::Imported => {
            let ask = async || {
                let change = stage.kit.change(give(&scene.user, reference("a")), Asker::Shop, NOW);
                stage.kit.hot.issue(&scene.campaign.id, change).await
            };
            let issued = patiently(ask).await;
            assert_eq!(of(&issued).holder(), Some(&scene.user), "it is in the stock");
            scene.answered.borrow_mut().push(issued);
        }
        Way::Used => {
            let redeemed = scene.apply(stage, redeem(&scene.user, "1")).await;
            assert_eq!(said(&redeemed), ChangeOutcome::Accepted);
        }
        Way::Notice => is_listed(stage, scene).await,
        Way::SealOld => assert!(seal(stage, scene.days()[0]).await, "its time is over"),
        Way::SealNew => {
            seal(stage, scene.days()[1]).await;
        }
    }
}

async fn judge(stage: &TestStage, scene: &Scene, answer: Option<&ChangeResult>) {
    let kit = &stage.kit;
    let now = kit.coupon(&scene.code).await;
    if let Some(answer) = answer {
        stage.is_true(answer, &scene.change, std::slice::from_ref(&now)).await;
    }
    for applied in &*scene.answered.borrow() {
        assert!(now.events().starts_with(of(applied).events()), "{applied:?}, is {now:?}");
    }
    let mut days = scene.days().to_vec();
    days.dedup();
    let (mut counted, mut residue) = (0, Vec::new());
    for day in &days {
        counted += kit.hot.count(*day).await.unwrap();
        if is_sealed(kit, *day).await {
            residue.extend(kit.hot.residue(*day, None, 9).await.unwrap());
        }
    }
    assert_eq!(counted, 1, "it has one row");
    let partition = match now.expires_at() > days[0].end() {
        true => Day::expiry_day_of(now.expires_at()),
        false => days[0],
    };
    let want = is_sealed(kit, partition).await.then(|| Residue::Coupon(Box::new(now.clone())));
    assert_eq!(residue, Vec::from_iter(want), "the residue of the sealed partition is the coupon");
    if partition != days[0]
        && let Some(Ok(applied)) = answer
        && said(applied) == ChangeOutcome::Accepted
    {
        // Before it was answered.
        let entry = kit.hot.entry(&scene.code).await.unwrap();
        assert!(
            matches!(entry, Some(Entry::Coupon { day, .. }) if day >= Day::expiry_day_of(scene.to[0]))
        );
    }
    is_listed(stage, scene).await;
    // It can change in the new partition, or it is final.
    let last = scene.apply(stage, extend(scene.to[1])).await;
    let is_closed = is_sealed(kit, partition).await && now.expires_at() < scene.to[1];
    match (now.redemption().is_some(), is_closed) {
        (true, _) => assert_eq!(said(&last), ChangeOutcome::Refused(Refusal::AlreadyRedeemed)),
        (_, true) => assert_eq!(said(&last), ChangeOutcome::Refused(Refusal::ExpiryDayClosed)),
        (_, false) => assert_eq!(of(&last).expires_at(), scene.to[1], "{last:?}"),
    }
    if *now.state() == State::Available && !is_sealed(kit, partition).await {
        let change = kit.change(give(&scene.user, reference("late")), Asker::Shop, NOW);
        let issued = kit.hot.issue(&scene.campaign.id, change).await.unwrap();
        assert_eq!(of(&issued).code(), &scene.code, "it is still in the stock");
    }
}

async fn extended(stage: &TestStage, name: &str, kind: Kind, ways: &[Way]) {
    let scene = async || Scene::of(stage, kind).await;
    let act =
        async |hot: &CqlHot, scene: &Scene| hot.apply(&scene.found, scene.change.clone()).await;
    let pick_up = async |scene: &Scene, way: Way| pick_up(stage, scene, way).await;
    let judge = async |scene: &Scene, _: Way, answer: Option<ChangeResult>| {
        judge(stage, scene, answer.as_ref()).await;
    };
    stage.sweep(StepSweep::of(name, ways), scene, act, pick_up, judge).await;
}

pub(crate) async fn issued_coupon(stage: &TestStage) {
    extended(stage, "extend: an issued coupon to a later partition", Kind::Issued, &WAYS).await;
}

pub(crate) async fn imported_coupon(stage: &TestStage) {
    extended(stage, "extend: an imported coupon to a later partition", Kind::Imported, &WAYS).await;
}

pub(crate) async fn within_the_partition(stage: &TestStage) {
    extended(stage, "extend: in place", Kind::InPlace, &WAYS_IN_PLACE).await;
}

/// Two extensions, a redeem, both seals and a list at the same time, through two processes.
pub(crate) async fn all_at_once(stage: &TestStage) {
    const ROUNDS: usize = 8;
    let (first, kit) = (stage.process().await, &stage.kit);
    for round in 0..ROUNDS {
        let scene = Scene::of(stage, Kind::Issued).await;
        let [old, new, _] = scene.days();
        let mut further = scene.apply(stage, extend(scene.to[0])).await;
        assert_eq!(said(&further), ChangeOutcome::Accepted);
        let found = kit.found(&scene.code).await;
        let ask = async |hot: &dyn HotStore, action| {
            let change = kit.change(action, Asker::Shop, NOW);
            patiently(async || hot.apply(&found, change.clone()).await).await
        };
        let seals = async {
            let which = if round % 2 == 0 { old } else { new };
            assert!(seal(stage, which).await);
        };
        let (second, redeemed, (), ()) = tokio::join!(
            ask(&*first.hot, extend(scene.to[1])),
            ask(&*kit.hot, redeem(&scene.user, "1")),
            seals,
            async {
                list(kit, ListScope::Everybody, Span::default()).await;
            },
        );
        further = second;
        scene.answered.borrow_mut().extend(
            [further, redeemed].into_iter().filter(|it| said(it) == ChangeOutcome::Accepted),
        );
        judge(stage, &scene, None).await;
    }
}

/// Two processes give it to one user, to end at the same instant: one from the partition in which it was, the other from
/// the one to which it was extended meanwhile.
pub(crate) async fn issued_where_it_was(stage: &TestStage) {
    let scene = async || Scene::of(stage, Kind::Untouched).await;
    let act =
        async |hot: &CqlHot, scene: &Scene| hot.apply(&scene.found, scene.change.clone()).await;
    let pick_up = async |scene: &Scene, (): ()| {
        let extended = scene.apply(stage, extend(scene.to[0])).await;
        assert_eq!(of(&extended).expires_at(), scene.to[0]);
        let issued = scene.apply(stage, scene.change.action.clone()).await;
        assert_eq!(of(&issued).holder(), Some(&scene.user), "{issued:?}");
    };
    let judge = async |scene: &Scene, (): (), answer: Option<ChangeResult>| {
        let now = stage.kit.coupon(&scene.code).await;
        if let Some(answer) = &answer {
            stage.is_true(answer, &scene.change, std::slice::from_ref(&now)).await;
        }
        is_listed(stage, scene).await;
    };
    let sweep = StepSweep::of("extend: issued where it was", &[()]);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}
