//! A restore: the reconciliation with cold, killed at each of its writes and repeated.

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::Day;
use hot::{HotError, Partitions, Reconciled, Tier};
use hot_cql::CqlHot;

use super::stage::{StepSweep, TestStage, patiently};
use hot_conformance::kit::{ChangeOutcome, extend_days, give, of, redeem, reference, said};

struct Scene {
    campaign: Campaign,
    ann: UserId,
    /// The partitions in which the coupons were before.
    left: [Day; 2],
    day: Day,
    /// The coupons as they are in cold, and the names under which ann got them.
    newer: Vec<(&'static str, Coupon)>,
}

impl Scene {
    fn coupons(&self) -> Vec<Coupon> {
        self.newer.iter().map(|(_, coupon)| coupon.clone()).collect()
    }
}

/// Coupons that ann got before the backup or after it, that were extended to one partition before it
/// and to another one after it, and that are redeemed and in cold.
pub(crate) async fn reconciled_step_by_step(stage: &TestStage) {
    let kit = &stage.kit;
    let scene = async || {
        let campaign = Campaign { per_user_limit: Some(9), ..stage.draft() };
        let (minted, imported) =
            (kit.stocked(&campaign, 2).await, kit.imported(&campaign, 2).await);
        let ann = kit.user("ann");
        let names = ["a", "b", "c", "d"];
        let codes: Vec<&Code> = minted.iter().chain(&imported).collect();
        let mut newer = Vec::new();
        for (nth, (name, code)) in names.into_iter().zip(codes).enumerate() {
            let has_it = nth % 2 == 0;
            if has_it {
                kit.done(code, give(&ann, reference(name))).await;
                kit.done(code, extend_days(&campaign, 1)).await;
            }
            let story =
                [give(&ann, reference(name)), extend_days(&campaign, 2), redeem(&ann, name)];
            let story = &story[usize::from(has_it)..];
            newer.push((name, kit.later(&campaign, kit.coupon(code).await, story)));
        }
        let home = campaign.expiry_day();
        let (left, day) = ([home, Day(home.0 + 1)], Day(home.0 + 2));
        newer.iter().for_each(|(_, coupon)| kit.archive.keep(day, coupon));
        Scene { campaign, ann, left, day, newer }
    };
    let act = async |hot: &CqlHot, scene: &Scene| hot.reconcile(scene.day, scene.coupons()).await;
    let pick_up = async |scene: &Scene, (): ()| {
        patiently(async || kit.hot.reconcile(scene.day, scene.coupons()).await).await;
    };
    let judge = async |scene: &Scene, (): (), _: Option<Result<Reconciled, HotError>>| {
        let codes: Vec<Code> = scene.newer.iter().map(|(_, it)| it.code().clone()).collect();
        for day in scene.left {
            assert_eq!(kit.hot.coupons_of(day, codes.clone()).await.unwrap(), [], "on {day:?}");
        }
        for (name, coupon) in &scene.newer {
            let snapshot = kit.see(coupon.code()).await.unwrap();
            assert_eq!((snapshot.tier, &snapshot.coupon), (Tier::Cold, coupon), "{name}");
            let again = kit.issue(&scene.campaign, &scene.ann, reference(name)).await;
            assert_eq!(
                (said(&again), of(&again).code()),
                (ChangeOutcome::Replayed, coupon.code()),
                "{name}"
            );
        }
    };
    stage.sweep(StepSweep::of("restored", &[()]), scene, act, pick_up, judge).await;
}
