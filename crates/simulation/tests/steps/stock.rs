//! The stock: leases of killed processes, revoked coupons, and leased codes that are returned.

use coupon::apply::{Asker, Change};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::State;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use futures::{StreamExt, stream};
use hot::{Applied, Coupons, HotStore};
use hot_cql::CqlHot;

use super::stage::{ChangeResult, StepSweep, StopPoint, TestStage, held_by, patiently};
use hot_conformance::kit::{ChangeOutcome, NOW, give, of, reference, revoke, said};

/// As many as make a lease two coupons.
const TWO_EACH: u64 = 130;

/// Users who send requests at the same time.
const AT_ONCE: usize = 16;

async fn issue(stage: &TestStage, hot: &dyn HotStore, campaign: &Campaign, to: &UserId) -> Applied {
    let ask = async || {
        let change = stage.kit.change(give(to, reference("a")), Asker::Shop, NOW);
        hot.issue(&campaign.id, change).await
    };
    patiently(ask).await
}

/// Other users ask the second process until SOLD_OUT. Then each coupon has a holder.
async fn drain(stage: &TestStage, campaign: &Campaign, codes: &[Code]) {
    let ask = async |_| {
        let user = stage.kit.user("everybody");
        said(&issue(stage, &*stage.kit.hot, campaign, &user).await)
    };
    // Many at the same time, and then one more.
    let asks = stream::iter(0..codes.len()).map(ask).buffer_unordered(AT_ONCE);
    let answers: Vec<ChangeOutcome> = asks.collect().await;
    let sold_out = ChangeOutcome::Refused(Refusal::SoldOut);
    assert!(
        answers.iter().all(|it| [ChangeOutcome::Accepted, sold_out].contains(it)),
        "{answers:?}"
    );
    assert_eq!(ask(0).await, sold_out);
    let read = stream::iter(codes).map(|code| stage.kit.coupon(code)).buffer_unordered(AT_ONCE);
    for coupon in read.collect::<Vec<_>>().await {
        assert!(coupon.holder().is_some(), "SOLD_OUT, and {coupon:?} is left");
    }
}

/// A process leases two coupons, issues one and is killed. The other one is not lost.
pub(crate) async fn lease_of_a_killed_process(stage: &TestStage) {
    let first = stage.process().await;
    let campaign = stage.draft();
    let codes = stage.kit.stocked(&campaign, TWO_EACH).await;
    let to_ann = issue(stage, &*first.hot, &campaign, &stage.kit.user("ann")).await;
    assert_eq!(said(&to_ann), ChangeOutcome::Accepted);
    first.hand.stop_now();
    drain(stage, &campaign, &codes).await;
}

/// A process returns leased codes that nobody requested. It is stopped there, and continues after
/// others took all of them.
pub(crate) async fn returned_lease(stage: &TestStage) {
    let first = stage.process().await;
    let campaign = stage.draft();
    let codes = stage.kit.stocked(&campaign, TWO_EACH).await;
    first.hand.stop(StopPoint::At("SET owner = null"));
    let to_ann = issue(stage, &*first.hot, &campaign, &stage.kit.user("ann")).await;
    assert_eq!(said(&to_ann), ChangeOutcome::Accepted);
    stage.stopped_at("stock: a lease is returned", first.hand.is_stopped().await);
    drain(stage, &campaign, &codes).await;
    first.hand.let_go();
    let late = issue(stage, &*first.hot, &campaign, &stage.kit.user("bob")).await;
    assert_eq!(said(&late), ChangeOutcome::Refused(Refusal::SoldOut));
    drain(stage, &campaign, &codes).await;
}

/// Two processes lease the whole stock and are killed. The next request reads some codes of one
/// lease, not every code of both.
pub(crate) async fn a_walk_ends_at_the_first_lease(stage: &TestStage) {
    const CHUNK: usize = 300;
    let kit = &stage.kit;
    let campaign = stage.draft();
    kit.create(&campaign).await;
    let mut codes = Vec::new();
    for _ in 0..2 {
        codes.extend(kit.imported(&campaign, CHUNK).await);
    }
    for _ in 0..2 {
        let process = stage.process().await;
        let first = issue(stage, &*process.hot, &campaign, &kit.user("ann")).await;
        assert_eq!(said(&first), ChangeOutcome::Accepted);
        process.hand.stop_now();
    }
    // A new process, so that only its reads are counted.
    let last = stage.process().await;
    let before = last.hot.gauge().reads;
    let bob = issue(stage, &*last.hot, &campaign, &kit.user("bob")).await;
    assert_eq!(said(&bob), ChangeOutcome::Accepted);
    let reads = last.hot.gauge().reads - before;
    // Two reads a code, and there are 600 codes.
    assert!(reads < 2 * CHUNK as u64, "{reads} reads");
}

/// Revoked coupons fill CQL partitions of two levels. The process that revoked them has them in
/// memory and is killed.
pub(crate) async fn many_revoked_coupons(stage: &TestStage) {
    const COUPONS: usize = 200;
    let kit = &stage.kit;
    let first = stage.process().await;
    let campaign = stage.draft();
    let codes = kit.stocked(&campaign, COUPONS as u64).await;
    let give = async |_| {
        let user = kit.user("ann");
        let applied = issue(stage, &*first.hot, &campaign, &user).await;
        (of(&applied).code().clone(), user)
    };
    let given = stream::iter(0..COUPONS).map(give).buffer_unordered(AT_ONCE);
    let given: Vec<_> = given.collect().await;
    let take_back = async |(code, user): &(Code, UserId)| {
        let found = kit.found(code).await;
        let change = kit.change(revoke(user), Asker::Shop, NOW);
        let applied = patiently(async || first.hot.apply(&found, change.clone()).await).await;
        assert_eq!(said(&applied), ChangeOutcome::Accepted);
    };
    stream::iter(&given).map(take_back).buffer_unordered(AT_ONCE).collect::<()>().await;
    first.hand.stop_now();
    drain(stage, &campaign, &codes).await;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    SameAgain,
    /// Another user asks for a coupon.
    Wanted,
    /// Users issue until the stock is empty.
    Everybody,
}

struct Scene {
    campaign: Campaign,
    codes: Vec<Code>,
    user: UserId,
    change: Change,
}

/// A lease of imported codes without an owner is taken over.
pub(crate) async fn imported_stock(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let (campaign, user) = (stage.draft(), kit.user("ann"));
        kit.create(&campaign).await;
        let codes = kit.imported(&campaign, 3).await;
        let change = kit.change(give(&user, reference("a")), Asker::Shop, NOW);
        Scene { campaign, codes, user, change }
    };
    let act = async |hot: &CqlHot, scene: &Scene| {
        hot.issue(&scene.campaign.id, scene.change.clone()).await
    };
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::SameAgain => {
            let again = issue(stage, &*kit.hot, &scene.campaign, &scene.user).await;
            assert_eq!(of(&again).holder(), Some(&scene.user));
        }
        Way::Wanted => {
            let bob = issue(stage, &*kit.hot, &scene.campaign, &kit.user("bob")).await;
            assert_eq!(said(&bob), ChangeOutcome::Accepted);
        }
        Way::Everybody => drain(stage, &scene.campaign, &scene.codes).await,
    };
    let judge = async |scene: &Scene, way: Way, answer: Option<ChangeResult>| {
        let mut coupons = Vec::new();
        for code in &scene.codes {
            coupons.push(kit.coupon(code).await);
        }
        if let Some(answer) = &answer {
            stage.is_true(answer, &scene.change, &coupons).await;
        }
        assert!(held_by(&coupons, &scene.user).len() <= 1);
        let theirs = said(&issue(stage, &*kit.hot, &scene.campaign, &scene.user).await);
        assert!(
            way == Way::Everybody || !matches!(theirs, ChangeOutcome::Refused(_)),
            "{theirs:?}"
        );
        drain(stage, &scene.campaign, &scene.codes).await;
    };
    let ways = [Way::SameAgain, Way::Wanted, Way::Everybody];
    let sweep = StepSweep::of("stock: issue of an imported coupon", &ways);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}

/// The last coupon is revoked from its holder.
pub(crate) async fn revoked_coupon(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let (campaign, user) = (stage.draft(), kit.user("ann"));
        let codes = kit.stocked(&campaign, 1).await;
        kit.issued(&campaign, &user, "a").await;
        let change = kit.change(revoke(&user), Asker::Shop, NOW);
        Scene { campaign, codes, user, change }
    };
    let act = async |hot: &CqlHot, scene: &Scene| {
        let found = kit.found(&scene.codes[0]).await;
        hot.apply(&found, scene.change.clone()).await
    };
    let take_back = async |scene: &Scene| {
        let found = kit.found(&scene.codes[0]).await;
        let ask = async || {
            let change = kit.change(revoke(&scene.user), Asker::Shop, NOW);
            kit.hot.apply(&found, change).await
        };
        patiently(ask).await
    };
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::SameAgain => {
            let was_back = *kit.coupon(&scene.codes[0]).await.state() == State::Available;
            let taken = said(&take_back(scene).await);
            let want = match was_back {
                true => ChangeOutcome::Refused(Refusal::NotIssued),
                false => ChangeOutcome::Accepted,
            };
            assert_eq!(taken, want);
        }
        Way::Wanted | Way::Everybody => {
            let is_free = *kit.coupon(&scene.codes[0]).await.state() == State::Available;
            let bob = issue(stage, &*kit.hot, &scene.campaign, &kit.user("bob")).await;
            let want = if is_free {
                ChangeOutcome::Accepted
            } else {
                ChangeOutcome::Refused(Refusal::SoldOut)
            };
            assert_eq!(said(&bob), want);
        }
    };
    let judge = async |scene: &Scene, _: Way, answer: Option<ChangeResult>| {
        let now = kit.coupon(&scene.codes[0]).await;
        if let Some(answer) = &answer {
            stage.is_true(answer, &scene.change, std::slice::from_ref(&now)).await;
        }
        if now.holder() == Some(&scene.user) {
            let taken = take_back(scene).await;
            assert_eq!(said(&taken), ChangeOutcome::Accepted);
        }
        let want = match kit.coupon(&scene.codes[0]).await.holder() {
            Some(_) => ChangeOutcome::Refused(Refusal::SoldOut),
            None => ChangeOutcome::Accepted,
        };
        let eve = issue(stage, &*kit.hot, &scene.campaign, &kit.user("eve")).await;
        assert_eq!(said(&eve), want, "it is issued again");
        drain(stage, &scene.campaign, &scene.codes).await;
    };
    let sweep = StepSweep::of("stock: a coupon is revoked", &[Way::SameAgain, Way::Wanted]);
    stage.sweep(sweep, scene, act, pick_up, judge).await;
}
