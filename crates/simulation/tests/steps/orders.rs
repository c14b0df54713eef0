//! An order of several coupons: all of them or none, whoever goes on.

use coupon::apply::{Action, Asker, Change};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use hot::{Applied, Coupons, HotError};
use router::Found;

use super::stage::{StepSweep, TestStage, patiently};
use hot_conformance::kit::{NOW, cancel, order, redeem, release};

/// How the second process picks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The same order again.
    SameAgain,
    /// The order is cancelled, as far as it is seen.
    Cancelled,
    /// Another order wants its coupons.
    Other,
    /// Another order wants them after their holds have lapsed.
    OtherLater,
}

const WAYS: [Way; 4] = [Way::SameAgain, Way::Cancelled, Way::Other, Way::OtherLater];

struct Scene {
    ann: UserId,
    name: String,
    codes: Vec<Code>,
    changes: Vec<(Found, Change)>,
}

impl Scene {
    async fn set(stage: &TestStage) -> Scene {
        let campaign = Campaign { per_user_limit: None, ..stage.draft() };
        stage.kit.stocked(&campaign, 3).await;
        let ann = stage.kit.user("ann");
        let mut codes = Vec::new();
        for nth in 0..3 {
            codes.push(stage.kit.issued(&campaign, &ann, &format!("no-{nth}")).await);
        }
        let name = ann.to_string();
        let changes = changes(stage, &codes, |_| redeem(&ann, &name), 0).await;
        Scene { ann, name, codes, changes }
    }

    async fn coupons(&self, stage: &TestStage) -> Vec<Coupon> {
        let mut coupons = Vec::new();
        for code in &self.codes {
            coupons.push(stage.kit.coupon(code).await);
        }
        coupons
    }

    /// Gives back what can be seen of the order, as the engine does.
    async fn cancel(&self, stage: &TestStage) {
        let hot = &stage.kit.hot;
        let begun = patiently(async || hot.unfinished_order(&order(&self.name)).await).await;
        let coupons = self.coupons(stage).await;
        let is_live = |it: &&Coupon| {
            it.redemption_of(&order(&self.name)).is_some_and(|it| it.cancelled_at.is_none())
        };
        let live: Vec<Code> = coupons.iter().filter(is_live).map(|it| it.code().clone()).collect();
        if live.is_empty() {
            return;
        }
        let missing = begun.into_iter().filter(|code| !live.contains(code));
        let all: Vec<Code> = missing.chain(live.iter().cloned()).collect();
        let action = |code: &Code| match live.contains(code) {
            true => cancel(&self.name),
            false => release(&self.name),
        };
        let changes = changes(stage, &all, action, 0).await;
        let ended =
            patiently(async || hot.apply_all(&order(&self.name), changes.clone()).await).await;
        let said: Vec<_> = ended.iter().filter_map(Applied::refusal).collect();
        assert_eq!(said, []);
    }
}

async fn changes(
    stage: &TestStage,
    codes: &[Code],
    action: impl Fn(&Code) -> Action,
    later_ms: i64,
) -> Vec<(Found, Change)> {
    let mut changes = Vec::new();
    for code in codes {
        let change = stage.kit.change(action(code), Asker::Shop, NOW.plus_ms(later_ms));
        changes.push((stage.kit.found(code).await, change));
    }
    changes
}

pub(crate) async fn redeemed_together(stage: &TestStage) {
    let act = async |hot: &hot_cql::CqlHot, scene: &Scene| -> Result<Vec<Applied>, HotError> {
        hot.apply_all(&order(&scene.name), scene.changes.clone()).await
    };
    let pick_up = async |scene: &Scene, way: Way| {
        let hot = &stage.kit.hot;
        match way {
            Way::SameAgain => {
                let again =
                    async || hot.apply_all(&order(&scene.name), scene.changes.clone()).await;
                let ended = patiently(again).await;
                let said: Vec<_> = ended.iter().map(Applied::refusal).collect();
                assert_eq!(said, [None; 3]);
            }
            Way::Cancelled => scene.cancel(stage).await,
            Way::Other | Way::OtherLater => {
                let other = format!("{}-other", scene.name);
                // Longer than the holds of an order.
                let later = if way == Way::OtherLater { 20 * 60_000 } else { 0 };
                let action = |_: &Code| redeem(&scene.ann, &other);
                let changes = changes(stage, &scene.codes, action, later).await;
                patiently(async || hot.apply_all(&order(&other), changes.clone()).await).await;
            }
        }
    };
    let judge = async |scene: &Scene, way: Way, answer: Option<Result<Vec<Applied>, HotError>>| {
        let whose = |coupons: &[Coupon]| -> Vec<Option<String>> {
            let live = coupons.iter().map(|it| it.redemption());
            live.map(|it| it.map(|redemption| redemption.order.to_string())).collect()
        };
        let ours = Some(order(&scene.name).to_string());
        let before = whose(&scene.coupons(stage).await);
        let is_half = before.contains(&ours) && before.iter().any(|it| *it != ours);
        if let Some(Ok(applied)) = &answer {
            let is_done = applied.iter().all(|it| it.refusal().is_none());
            let whole = !is_half && before[0] == ours;
            let said: Vec<_> = applied.iter().map(Applied::refusal).collect();
            assert!(way == Way::Cancelled || is_done == whole, "{said:?}: {before:?}");
        }
        if is_half {
            assert!(matches!(way, Way::Other | Way::OtherLater), "half an order: {before:?}");
            let begun = stage.kit.hot.unfinished_order(&order(&scene.name)).await.unwrap();
            assert_eq!(begun.len(), 3, "it is reported as half an order: {before:?}");
            scene.cancel(stage).await;
        }
        let after = whose(&scene.coupons(stage).await);
        let count = after.iter().filter(|it| **it == ours).count();
        assert!([0, 3].contains(&count), "{after:?}");
        if way == Way::SameAgain {
            assert_eq!(count, 3, "the repeat goes on");
        }
        let at = NOW.plus_ms(3_600_000);
        let held = scene.coupons(stage).await;
        assert!(held.iter().all(|it| it.running_hold(at).is_none()), "nothing stays held");
    };
    let sweep = StepSweep::of("an order of three", &WAYS);
    stage.sweep(sweep, || Scene::set(stage), act, pick_up, judge).await;
}
