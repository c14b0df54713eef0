//! Claims: a change of the holder writes the claim, the index rows and the coupon.

use std::cell::RefCell;

use coupon::apply::{Action, Asker, Change};
use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, UserId};
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::Applied;
use hot_cql::CqlHot;
use router::Found;

use super::stage::{ChangeResult, StepSweep, TestStage, held_by, is_refused, patiently};
use hot_conformance::kit::{
    ChangeOutcome, NOW, extend_days, give, hold, of, order, order_of, redeem, reference, said, void,
};

/// How the second process picks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The same request again.
    SameAgain,
    /// Another request of the same user.
    UsersOther,
    /// A request of another user.
    Stranger,
    /// Other users issue until the stock is empty.
    Everybody,
}

const WAYS: [Way; 4] = [Way::SameAgain, Way::UsersOther, Way::Stranger, Way::Everybody];

/// A campaign, a user who wants one of its coupons, and the answers of the second process.
struct Scene {
    campaign: Campaign,
    codes: Vec<Code>,
    user: UserId,
    change: Change,
    found: Option<Found>,
    answered: RefCell<Vec<Applied>>,
}

impl Scene {
    async fn of(
        stage: &TestStage,
        campaign: Campaign,
        stock: u64,
        user: UserId,
        to: Action,
    ) -> Scene {
        let codes = stage.kit.stocked(&campaign, stock).await;
        let change = stage.kit.change(to, Asker::Shop, NOW);
        let found = match &campaign.shared_code {
            Some(word) => stage.kit.found(word).await,
            None => stage.kit.found(&codes[0]).await,
        };
        let answered = RefCell::default();
        Scene { campaign, codes, user, change, found: Some(found), answered }
    }

    async fn issue(&self, stage: &TestStage, to: &UserId, name: Option<IssueRef>) -> Applied {
        let hot = &stage.kit.hot;
        let ask = async || {
            let change = stage.kit.change(give(to, name.clone()), Asker::Shop, NOW);
            hot.issue(&self.campaign.id, change).await
        };
        let applied = patiently(ask).await;
        self.answered.borrow_mut().push(applied.clone());
        applied
    }

    async fn apply(&self, stage: &TestStage, found: &Found, action: Action) -> Applied {
        let ask = async || {
            let change = stage.kit.change(action.clone(), Asker::Shop, NOW);
            stage.kit.hot.apply(found, change).await
        };
        let applied = patiently(ask).await;
        self.answered.borrow_mut().push(applied.clone());
        applied
    }

    /// For a user of a campaign with a shared code.
    async fn behind_a_word(stage: &TestStage, action: impl Fn(&UserId) -> Action) -> Scene {
        let campaign = Campaign {
            handout: Handout::Shared,
            shared_code: Some(stage.kit.code()),
            ..stage.draft()
        };
        let user = stage.kit.user("ann");
        let action = action(&user);
        Scene::of(stage, campaign, 3, user, action).await
    }

    async fn coupons(&self, stage: &TestStage) -> Vec<Coupon> {
        let mut coupons = Vec::new();
        for code in &self.codes {
            coupons.push(stage.kit.coupon(code).await);
        }
        coupons
    }

    /// Other users issue until SOLD_OUT. Then no coupon may be left.
    async fn drain(&self, stage: &TestStage) {
        let ask = async || self.issue(stage, &stage.kit.user("everybody"), reference("e")).await;
        self.sells_out(stage, ask).await;
    }

    async fn sells_out(&self, stage: &TestStage, ask: impl AsyncFn() -> Applied) {
        for _ in 0..=self.codes.len() {
            match said(&ask().await) {
                ChangeOutcome::Accepted => {}
                other => {
                    assert_eq!(other, ChangeOutcome::Refused(Refusal::SoldOut));
                    break;
                }
            }
        }
        for coupon in self.coupons(stage).await {
            assert!(coupon.holder().is_some(), "SOLD_OUT, and {coupon:?} is left");
        }
    }

    /// Every answer is true, and the user has at most as many coupons as the limit.
    async fn holds(&self, stage: &TestStage, answer: Option<&ChangeResult>) -> Vec<Coupon> {
        let coupons = self.coupons(stage).await;
        if let Some(answer) = answer {
            stage.is_true(answer, &self.change, &coupons).await;
        }
        for applied in self.answered.borrow().iter().filter(|it| it.snapshot.is_some()) {
            let now = coupons.iter().find(|it| it.code() == of(applied).code());
            let now = now.unwrap_or_else(|| panic!("of another campaign: {applied:?}"));
            assert!(now.events().starts_with(of(applied).events()), "{applied:?}, is {now:?}");
        }
        let limit = usize::from(self.campaign.per_user_limit.unwrap());
        let theirs = held_by(&coupons, &self.user);
        assert!(theirs.len() <= limit, "{} of {limit}: {theirs:?}", theirs.len());
        coupons
    }
}

async fn issue_step_by_step(
    stage: &TestStage,
    name: &str,
    limit: u16,
    reference_: Option<IssueRef>,
) {
    let stock = u64::from(limit) + 2;
    let scene = async || {
        let campaign = Campaign { per_user_limit: Some(limit), ..stage.draft() };
        let user = stage.kit.user("ann");
        let action = give(&user, reference_.clone());
        Scene::of(stage, campaign, stock, user, action).await
    };
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::SameAgain => {
            let first = scene.issue(stage, &scene.user, reference_.clone()).await;
            assert_eq!(of(&first).holder(), Some(&scene.user), "{first:?}");
            if reference_.is_some() {
                let again = scene.issue(stage, &scene.user, reference_.clone()).await;
                assert_eq!((said(&again), of(&again)), (ChangeOutcome::Replayed, of(&first)));
            }
        }
        Way::UsersOther => {
            let other = scene.issue(stage, &scene.user, reference("other")).await;
            assert_eq!(of(&other).holder(), Some(&scene.user), "{other:?}");
        }
        Way::Stranger => {
            let bob = stage.kit.user("bob");
            let to_bob = scene.issue(stage, &bob, reference("b")).await;
            assert_eq!(
                (said(&to_bob), of(&to_bob).holder()),
                (ChangeOutcome::Accepted, Some(&bob))
            );
        }
        Way::Everybody => scene.drain(stage).await,
    };
    let judge = async |scene: &Scene, way: Way, answer: Option<ChangeResult>| {
        let coupons = scene.holds(stage, answer.as_ref()).await;
        if let Some(reference) = &reference_ {
            let named = |it: &&Coupon| it.issue_ref() == Some(reference);
            assert!(coupons.iter().filter(named).count() <= 1, "one issue_ref got two coupons");
        }
        if let Some(Ok(applied)) = &answer
            && applied.snapshot.is_some()
        {
            assert_eq!(of(applied).holder(), Some(&scene.user));
        }
        if way == Way::Everybody {
            return;
        }
        // The user can have as many as the limit. Others can have the rest.
        for more in 0..limit {
            scene.issue(stage, &scene.user, reference(&format!("more-{more}"))).await;
        }
        let coupons = scene.coupons(stage).await;
        assert_eq!(held_by(&coupons, &scene.user).len(), usize::from(limit));
        let more = said(&scene.issue(stage, &scene.user, reference("one-more")).await);
        let want = if limit == 1 {
            ChangeOutcome::Replayed
        } else {
            ChangeOutcome::Refused(Refusal::LimitPerUser)
        };
        assert_eq!(more, want);
        scene.drain(stage).await;
        scene.holds(stage, None).await;
    };
    stage.sweep(StepSweep::of(name, &WAYS), scene, issue_as_is, pick_up, judge).await;
}

pub(crate) async fn issue_of_one(stage: &TestStage) {
    issue_step_by_step(stage, "claims: issue, limit 1", 1, reference("a")).await;
}

pub(crate) async fn issue_without_issue_ref(stage: &TestStage) {
    issue_step_by_step(stage, "claims: issue without issue_ref", 1, None).await;
}

pub(crate) async fn issue_of_three(stage: &TestStage) {
    issue_step_by_step(stage, "claims: issue, limit 3", 3, reference("a")).await;
}

/// One coupon by its code, with a limit of one.
async fn by_code(stage: &TestStage, name: &str, handout: Handout, action: fn(&UserId) -> Action) {
    let ways = [Way::SameAgain, Way::UsersOther, Way::Stranger];
    let scene = async || {
        let campaign = Campaign { handout, ..stage.draft() };
        let user = stage.kit.user("ann");
        let action = action(&user);
        Scene::of(stage, campaign, 3, user, action).await
    };
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::SameAgain => {
            let found = scene.found.as_ref().unwrap();
            let first = scene.apply(stage, found, action(&scene.user)).await;
            assert_eq!(of(&first).holder(), Some(&scene.user), "{first:?}");
            let again = scene.apply(stage, found, action(&scene.user)).await;
            assert_eq!((said(&again), of(&again)), (ChangeOutcome::Replayed, of(&first)));
        }
        Way::UsersOther => {
            let found = stage.kit.found(&scene.codes[1]).await;
            let other = said(&scene.apply(stage, &found, action(&scene.user)).await);
            assert!(
                [ChangeOutcome::Accepted, ChangeOutcome::Refused(Refusal::LimitPerUser)]
                    .contains(&other)
            );
        }
        Way::Stranger | Way::Everybody => {
            let found = scene.found.as_ref().unwrap();
            scene.apply(stage, found, action(&stage.kit.user("bob"))).await;
        }
    };
    let judge = async |scene: &Scene, _: Way, answer: Option<ChangeResult>| {
        let coupons = scene.holds(stage, answer.as_ref()).await;
        let has_one = held_by(&coupons, &scene.user).len() == 1;
        let third = stage.kit.found(&scene.codes[2]).await;
        let more = said(&scene.apply(stage, &third, action(&scene.user)).await);
        let want = match has_one {
            true => ChangeOutcome::Refused(Refusal::LimitPerUser),
            false => ChangeOutcome::Accepted,
        };
        assert_eq!(more, want, "has a coupon: {has_one}");
        // Others can have the coupons without a holder.
        for code in &scene.codes {
            let is_free = stage.kit.coupon(code).await.holder().is_none();
            let found = stage.kit.found(code).await;
            let eve = scene.apply(stage, &found, action(&stage.kit.user("eve"))).await;
            assert_eq!(said(&eve) == ChangeOutcome::Accepted, is_free, "{eve:?}");
        }
        scene.holds(stage, None).await;
    };
    stage.sweep(StepSweep::of(name, &ways), scene, apply_as_is, pick_up, judge).await;
}

pub(crate) async fn issue_by_code(stage: &TestStage) {
    by_code(stage, "claims: issue by code", Handout::Shop, |to| give(to, reference("a"))).await;
}

pub(crate) async fn bearer_redeemed(stage: &TestStage) {
    by_code(stage, "claims: a bearer code redeemed", Handout::Bearer, |by| {
        redeem(by, &order_of(by))
    })
    .await;
}

pub(crate) async fn bearer_put_into_a_wallet(stage: &TestStage) {
    let name = "claims: a bearer code put into a wallet";
    by_code(stage, name, Handout::Bearer, |to| give(to, None)).await;
}

pub(crate) async fn shared_code_redeemed(stage: &TestStage) {
    let scene = async || Scene::behind_a_word(stage, |user| redeem(user, "1")).await;
    let everybody = async |scene: &Scene| {
        let found = scene.found.as_ref().unwrap();
        let ask = async || scene.apply(stage, found, redeem(&stage.kit.user("eve"), "1")).await;
        scene.sells_out(stage, ask).await;
    };
    let pick_up = async |scene: &Scene, way: Way| {
        let found = scene.found.as_ref().unwrap();
        match way {
            Way::SameAgain => {
                let first = scene.apply(stage, found, redeem(&scene.user, "1")).await;
                assert_eq!(of(&first).holder(), Some(&scene.user), "{first:?}");
                let again = scene.apply(stage, found, redeem(&scene.user, "1")).await;
                assert_eq!((said(&again), of(&again)), (ChangeOutcome::Replayed, of(&first)));
            }
            Way::UsersOther => {
                let other = said(&scene.apply(stage, found, redeem(&scene.user, "2")).await);
                let taken = ChangeOutcome::Refused(Refusal::AlreadyRedeemed);
                assert!([ChangeOutcome::Accepted, taken].contains(&other), "{other:?}");
            }
            Way::Stranger => {
                let bob = stage.kit.user("bob");
                let theirs = scene.apply(stage, found, redeem(&bob, "1")).await;
                assert_eq!(
                    (said(&theirs), of(&theirs).holder()),
                    (ChangeOutcome::Accepted, Some(&bob))
                );
            }
            Way::Everybody => everybody(scene).await,
        }
    };
    let judge = async |scene: &Scene, way: Way, answer: Option<ChangeResult>| {
        scene.holds(stage, answer.as_ref()).await;
        if way != Way::Everybody {
            let found = scene.found.as_ref().unwrap();
            scene.apply(stage, found, redeem(&scene.user, "3")).await;
            let coupons = scene.holds(stage, None).await;
            let theirs = held_by(&coupons, &scene.user);
            assert_eq!(theirs.len(), 1, "one each");
            assert!(theirs[0].redemption().is_some());
            everybody(scene).await;
        }
    };
    stage
        .sweep(
            StepSweep::of("claims: a shared code redeemed", &WAYS),
            scene,
            apply_as_is,
            pick_up,
            judge,
        )
        .await;
}

/// A hold leaves no event. Only the row shows whether it was applied.
pub(crate) async fn shared_code_held(stage: &TestStage) {
    let scene = async || Scene::behind_a_word(stage, |user| hold(user, "1", 30)).await;
    let pick_up = async |scene: &Scene, way: Way| {
        let found = scene.found.as_ref().unwrap();
        let order = if way == Way::SameAgain { "1" } else { "2" };
        let picked = scene.apply(stage, found, hold(&scene.user, order, 30)).await;
        let held = matches!(said(&picked), ChangeOutcome::Refused(Refusal::Held { .. }));
        assert!(!is_refused(&picked) || (held && order == "2"), "{picked:?}");
    };
    let judge = async |scene: &Scene, way: Way, answer: Option<ChangeResult>| {
        let coupons = scene.holds(stage, None).await;
        let theirs = held_by(&coupons, &scene.user);
        assert_eq!(theirs.len(), 1, "one each");
        let by = theirs[0].hold().map(|hold| &hold.order);
        let was_told = matches!(&answer, Some(Ok(applied)) if !is_refused(applied));
        if was_told || way == Way::SameAgain {
            assert_eq!(by, Some(&order("1")), "answered {answer:?}, and {:?}", theirs[0]);
        }
    };
    let ways = [Way::SameAgain, Way::UsersOther];
    stage
        .sweep(
            StepSweep::of("claims: a shared code held", &ways),
            scene,
            apply_as_is,
            pick_up,
            judge,
        )
        .await;
}

/// A void coupon of the user, in a campaign with `stock` other coupons.
async fn replaced(stage: &TestStage, stock: u64) -> Scene {
    let (campaign, user) = (stage.draft(), stage.kit.user("ann"));
    let codes = stage.kit.stocked(&campaign, stock + 1).await;
    let old = stage.kit.issued(&campaign, &user, "a").await;
    stage.kit.done(&old, void()).await;
    let action = give(&user, reference(&format!("replaces:{old}")));
    let change = stage.kit.change(action, Asker::Shop, NOW);
    // Without the void coupon: the limit counts the user's other coupons.
    let codes = codes.into_iter().filter(|code| *code != old).collect();
    Scene { campaign, codes, user, change, found: None, answered: RefCell::default() }
}

fn name_of(change: &Change) -> Option<IssueRef> {
    match &change.action {
        Action::Issue { reference, .. } => reference.clone(),
        other => panic!("{other:?}"),
    }
}

/// The user has one replacement and cannot get a second, in this campaign or another.
async fn is_replaced_once(stage: &TestStage, scene: &Scene) {
    let new = scene.issue(stage, &scene.user, name_of(&scene.change)).await;
    assert_eq!(of(&new).holder(), Some(&scene.user), "{new:?}");
    let other = Campaign { ..stage.draft() };
    stage.kit.stocked(&other, 1).await;
    let elsewhere = stage.kit.issue(&other, &scene.user, name_of(&scene.change)).await;
    assert_eq!(said(&elsewhere), ChangeOutcome::Refused(Refusal::NameTaken), "in another campaign");
    let coupons = scene.coupons(stage).await;
    assert_eq!(held_by(&coupons, &scene.user).len(), 1);
    let plain = scene.issue(stage, &scene.user, reference("plain")).await;
    assert_eq!((said(&plain), of(&plain).code()), (ChangeOutcome::Replayed, of(&new).code()));
}

async fn apply_as_is(hot: &CqlHot, scene: &Scene) -> ChangeResult {
    let found = scene.found.as_ref().unwrap();
    hot::Coupons::apply(hot, found, scene.change.clone()).await
}

async fn issue_as_is(hot: &CqlHot, scene: &Scene) -> ChangeResult {
    hot::Coupons::issue(hot, &scene.campaign.id, scene.change.clone()).await
}

pub(crate) async fn replacement(stage: &TestStage) {
    let ways = [Way::SameAgain, Way::Stranger];
    let scene = async || replaced(stage, 3).await;
    let pick_up = async |scene: &Scene, way: Way| match way {
        Way::SameAgain => is_replaced_once(stage, scene).await,
        Way::UsersOther | Way::Stranger | Way::Everybody => {
            let bob = stage.kit.user("bob");
            let stolen = said(&scene.issue(stage, &bob, name_of(&scene.change)).await);
            let no = [Refusal::NotFound, Refusal::NameTaken].map(ChangeOutcome::Refused);
            assert!(no.contains(&stolen), "{stolen:?}");
        }
    };
    let judge = async |scene: &Scene, _: Way, answer: Option<ChangeResult>| {
        scene.holds(stage, answer.as_ref()).await;
        is_replaced_once(stage, scene).await;
        scene.drain(stage).await;
    };
    stage
        .sweep(StepSweep::of("claims: replaces:CODE", &ways), scene, issue_as_is, pick_up, judge)
        .await;
}

/// No coupon is left for the replacement. A moment later there is one.
pub(crate) async fn replacement_without_stock(stage: &TestStage) {
    for (stock, name) in [
        (0, "claims: replaces:CODE with an empty stock"),
        (1, "claims: replaces:CODE with the last coupon, which others take"),
    ] {
        let scene = async || replaced(stage, stock).await;
        let pick_up = async |scene: &Scene, _: Way| {
            for _ in 0..stock {
                scene.issue(stage, &stage.kit.user("bob"), reference("b")).await;
            }
            stage.kit.mint(&scene.campaign, 2).await;
            let new = scene.issue(stage, &scene.user, name_of(&scene.change)).await;
            assert_eq!(of(&new).holder(), Some(&scene.user), "{new:?}");
        };
        let judge = async |scene: &Scene, _: Way, answer: Option<ChangeResult>| {
            let answered = scene.answered.take();
            let codes = answered.iter().filter(|it| it.snapshot.is_some());
            let codes = codes.map(|applied| of(applied).code().clone()).collect();
            let (campaign, user) = (scene.campaign.clone(), scene.user.clone());
            let (change, answered) = (scene.change.clone(), RefCell::new(answered));
            // Including those of the new batch.
            let scene = Scene { campaign, codes, user, change, found: None, answered };
            scene.holds(stage, answer.as_ref()).await;
            is_replaced_once(stage, &scene).await;
        };
        stage
            .sweep(StepSweep::of(name, &[Way::SameAgain]), scene, issue_as_is, pick_up, judge)
            .await;
    }
}

/// An order redeems through a shared code for a user who has two coupons. At the moment of the second
/// try another coupon works than at the moment of the first one.
async fn order_sent_twice(
    stage: &TestStage,
    name: &str,
    prepare: impl AsyncFn(&Campaign, &Code, &Code),
    later: impl Fn(&Campaign) -> Millis,
) {
    let scene = async || {
        let campaign = Campaign {
            handout: Handout::Shared,
            shared_code: Some(stage.kit.code()),
            per_user_limit: Some(3),
            ..stage.draft()
        };
        let user = stage.kit.user("ann");
        let scene = Scene::of(stage, campaign, 4, user.clone(), redeem(&user, "1")).await;
        let first = stage.kit.issued(&scene.campaign, &user, "first").await;
        let second = stage.kit.issued(&scene.campaign, &user, "second").await;
        prepare(&scene.campaign, &first, &second).await;
        scene
    };
    let again = async |scene: &Scene| {
        let found = scene.found.as_ref().unwrap();
        let at = later(&scene.campaign);
        let ask = async || {
            let change = stage.kit.change(redeem(&scene.user, "1"), Asker::Shop, at);
            stage.kit.hot.apply(found, change).await
        };
        let applied = patiently(ask).await;
        assert!(!is_refused(&applied), "{applied:?}");
        assert!(of(&applied).redemption().is_some(), "{applied:?}");
        applied
    };
    let pick_up = async |scene: &Scene, _: Way| {
        let applied = again(scene).await;
        scene.answered.borrow_mut().push(applied);
    };
    let judge = async |scene: &Scene, _: Way, answer: Option<ChangeResult>| {
        let coupons = scene.holds(stage, answer.as_ref()).await;
        let redeemed = |coupons: &[Coupon]| -> Vec<Code> {
            let redeemed = coupons.iter().filter(|it| it.redemption().is_some());
            redeemed.map(|it| it.code().clone()).collect()
        };
        let once = redeemed(&coupons);
        assert_eq!(once.len(), 1, "one order: {coupons:?}");
        if let Some(Ok(applied)) = &answer
            && !is_refused(applied)
        {
            assert_eq!(of(applied).code(), &once[0], "both tries name one coupon");
        }
        let third = again(scene).await;
        assert_eq!((said(&third), of(&third).code()), (ChangeOutcome::Replayed, &once[0]));
        assert_eq!(redeemed(&scene.coupons(stage).await), once);
    };
    stage.sweep(StepSweep::of(name, &[Way::SameAgain]), scene, apply_as_is, pick_up, judge).await;
}

/// The first try is stopped before each of its steps, the write of the coupon included. The second try
/// must not redeem another coupon beside it.
pub(crate) async fn an_order_redeems_one_coupon(stage: &TestStage) {
    // The first coupon is held for another order, so the first try takes the second one. Later the
    // hold is over: the second try alone would take the first coupon.
    let held = async |_: &Campaign, first: &Code, _: &Code| {
        let by = stage.kit.coupon(first).await.holder().unwrap().clone();
        stage.kit.done(first, hold(&by, "9", 1)).await;
    };
    let after_the_hold = |_: &Campaign| NOW.plus_ms(10 * 60_000);
    let name = "claims: an order redeems one coupon, after a hold";
    order_sent_twice(stage, name, held, after_the_hold).await;
    // The first try takes the first coupon, which expires then. The second try must make sure that
    // this is over before it takes the second coupon.
    let extended = async |campaign: &Campaign, _: &Code, second: &Code| {
        stage.kit.done(second, extend_days(campaign, 5)).await;
    };
    let after_the_end = |campaign: &Campaign| campaign.expires_at.plus_ms(60_000);
    let name = "claims: an order redeems one coupon, after an expiry";
    order_sent_twice(stage, name, extended, after_the_end).await;
}
