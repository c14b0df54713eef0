//! The event feed: a process is stopped before each step of a change, and a reader passes it.

use std::collections::BTreeMap;
use std::time::Duration;

use coupon::apply::{Action, Asker, Change};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::UserId;
use hot::feed::{CouponHappened, FeedRead, FeedStart, Happened};
use hot::{Applied, Coupons, HotError, HotStore};
use hot_cql::CqlHot;
use router::Found;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::stage::{ChangeResult, StepSweep, TestStage, patiently};
use hot_conformance::kit::{NOW, extend, give, hold, redeem, reference};

/// After so long a slot is over for every reader.
const OVER: Duration = Duration::from_secs(5);

/// What the second process does while the first one is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It reads the feed.
    Reads,
    /// It changes the coupon first.
    ChangesAndReads,
    /// The slot is not over yet: nothing is passed.
    ReadsEarly,
}

const WAYS: [Way; 3] = [Way::Reads, Way::ChangesAndReads, Way::ReadsEarly];

struct Scene {
    code: Code,
    found: Found,
    user: UserId,
    change: Change,
    reader: Mutex<Reader>,
}

/// A reader and its cursor.
struct Reader {
    from: FeedStart,
    seen: Vec<CouponHappened>,
}

impl Reader {
    /// Reads to the end.
    async fn reads(&mut self, hot: &dyn HotStore, code: &Code) {
        let feed = hot.feed().unwrap();
        loop {
            let FeedRead::Page(page) = feed.events(self.from.clone(), 2).await.unwrap() else {
                panic!("the cursor is of this store");
            };
            for event in page.events {
                let Happened::Coupon(happened) = event.happened else { continue };
                if happened.code == *code && !self.seen.contains(&happened) {
                    self.seen.push(happened);
                }
            }
            self.from = FeedStart::After(page.next);
            if page.is_end {
                return;
            }
        }
    }
}

impl Scene {
    /// A coupon of which ann is the holder, or an untouched one.
    async fn of(
        stage: &TestStage,
        is_issued: bool,
        action: impl Fn(&UserId, &Campaign) -> Action,
    ) -> Scene {
        let kit = &stage.kit;
        let campaign = Campaign { extend_days: 9, ..stage.draft() };
        let user = kit.user("ann");
        let codes = kit.stocked(&campaign, 1).await;
        let feed = kit.hot.feed().unwrap();
        let FeedRead::Page(page) = feed.events(FeedStart::Newest, 1).await.unwrap() else {
            panic!("there is an end");
        };
        let code = match is_issued {
            true => kit.issued(&campaign, &user, "a").await,
            false => codes[0].clone(),
        };
        let found = kit.found(&code).await;
        let change = kit.change(action(&user, &campaign), Asker::Shop, NOW);
        let reader = Reader { from: FeedStart::After(page.next), seen: Vec::new() };
        Scene { code, found, user, change, reader: Mutex::new(reader) }
    }

    async fn picked_up(&self, stage: &TestStage, way: Way) {
        let hot = &*stage.kit.hot;
        if way == Way::ChangesAndReads {
            let hold = hold(&self.user, "another", 10);
            let change = stage.kit.change(hold, Asker::Shop, NOW);
            // It may be refused.
            patiently(async || hot.apply(&self.found, change.clone()).await).await;
        }
        if way != Way::ReadsEarly {
            sleep(OVER).await;
        }
        self.reader.lock().await.reads(hot, &self.code).await;
    }

    /// The events of the history were read, each once and in their order.
    async fn is_told(&self, stage: &TestStage, answer: Option<ChangeResult>) {
        sleep(OVER).await;
        let mut reader = self.reader.lock().await;
        reader.reads(&*stage.kit.hot, &self.code).await;
        let now = stage.kit.coupon(&self.code).await;
        if let Some(answer) = &answer {
            stage.is_true(answer, &self.change, std::slice::from_ref(&now)).await;
        }
        let kinds = now.events().iter().map(|event| format!("coupon.{}", event.kind.as_str()));
        let told = reader.seen.iter().map(|it| (it.version, Happened::Coupon(it.clone())));
        let told: BTreeMap<u64, String> =
            told.map(|(version, it)| (version, it.event_type().as_str().to_owned())).collect();
        assert_eq!(told.len(), reader.seen.len(), "one event of each version: {:?}", reader.seen);
        let is_hold = |kind: &&String| kind.ends_with("held") || kind.ends_with("released");
        let of_history: Vec<String> = told.values().filter(|it| !is_hold(it)).cloned().collect();
        assert_eq!(of_history, kinds.collect::<Vec<_>>(), "{:?} after {answer:?}", reader.seen);
        if let Some(Ok(Applied { outcome: coupon::apply::Outcome::Accepted(after), .. })) = &answer
        {
            assert!(told.contains_key(&after.version()), "{told:?} after {after:?}");
        }
    }
}

async fn swept(
    stage: &TestStage,
    name: &str,
    is_issued: bool,
    action: impl Fn(&UserId, &Campaign) -> Action,
) {
    stage
        .sweep(
            StepSweep::of(name, &WAYS),
            async || Scene::of(stage, is_issued, &action).await,
            async |hot: &CqlHot, scene: &Scene| -> Result<Applied, HotError> {
                hot.apply(&scene.found, scene.change.clone()).await
            },
            async |scene: &Scene, way| scene.picked_up(stage, way).await,
            async |scene: &Scene, _, answer| scene.is_told(stage, answer).await,
        )
        .await;
}

pub(crate) async fn first_change(stage: &TestStage) {
    swept(stage, "issued", false, |user, _| give(user, reference("a"))).await;
}

pub(crate) async fn later_change(stage: &TestStage) {
    swept(stage, "redeemed", true, |user, _| redeem(user, "order")).await;
}

pub(crate) async fn held(stage: &TestStage) {
    swept(stage, "held", true, |user, _| hold(user, "order", 10)).await;
}

pub(crate) async fn extended(stage: &TestStage) {
    swept(stage, "extended", true, |_, campaign| extend(campaign.expires_at.plus_days(2))).await;
}
