//! The contents of the tables.

use compactor::ClosedPolicy;
use coupon::apply::Action;

use crate::world::{World, code};

#[tokio::test(flavor = "multi_thread")]
async fn coupons_are_the_same_in_both_tiers() {
    let world = World::full().await;
    let sql = "select code, campaign_id, batch_id, state, expired, holder, valid_from, expires_at, \
         expires_on, time_zone, issued_at, redeemed_at, order_ref, created_at, modified_at, version, \
         made_expires_at, made_time_zone, expiry_day, events from coupons order by code";
    let hot = world.ask(sql).await;
    world.compact(ClosedPolicy::Now).await;
    assert_eq!(world.ask(sql).await, hot);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_a_row_each() {
    let world = World::full().await;
    let sql = "select kind, count(*) from events group by 1 order by 1";
    let want = [["issued", "106"], ["redeemed", "53"]];
    assert_eq!(world.ask(sql).await, want, "hot");
    world.compact(ClosedPolicy::Now).await;
    assert_eq!(world.ask(sql).await, want, "cold");
    let sql = format!("select sequence, kind from events where code = '{}' order by 1", code(2));
    assert_eq!(world.ask(&sql).await, [["1", "issued"], ["2", "redeemed"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redemptions_have_their_cancellation() {
    let world = World::full().await;
    let user = || "user-1".parse().unwrap();
    let order = |text: &str| text.parse().unwrap();
    let redeem =
        |text: &str| Action::Redeem { by: user(), order: order(text), money: Default::default() };
    world.change(121, redeem("first")).await;
    let cancel =
        Action::CancelRedemption { order: order("first"), reason: "too large".parse().ok() };
    world.change(121, cancel).await;
    let money = coupon::worth::OrderMoney {
        amount: Some(30_000.into()),
        currency: "KRW".parse().ok(),
        discount: Some(3_000),
    };
    let second = Action::Redeem { by: user(), order: order("second"), money };
    world.change(121, second).await;
    let sql = format!(
        "select user_id, order_ref, redeemed_at, cancelled_at, cancelled_by, reason, \
         order_amount, discount, currency \
         from redemptions where code = '{}' order by order_ref",
        code(121)
    );
    let now = "2026-11-20T12:00:00Z";
    let want = [
        ["user-1", "first", now, now, "admin:test", "too large", "-", "-", "-"],
        ["user-1", "second", now, "-", "-", "-", "30000", "3000", "KRW"],
    ];
    assert_eq!(world.ask(&sql).await, want);
    assert_eq!(world.one("select count(*) from redemptions").await, "55");
}

#[tokio::test(flavor = "multi_thread")]
async fn campaigns_are_the_current_ones() {
    let world = World::full().await;
    let sql = "select campaign_id, name, handout, stock, redeemed, expires_on, per_user_limit, \
         metadata from campaigns order by 1";
    let want = [
        ["easter", "the easter sale", "shop", "60", "20", "2026-03-02", "100", "-"],
        ["spring", "the spring sale", "shop", "60", "20", "2026-03-01", "100", "-"],
        ["winter", "the winter sale", "shop", "40", "13", "2026-12-31", "100", "-"],
    ];
    assert_eq!(world.ask(sql).await, want);
    let joined = world
        .one("select count(*) from coupons join campaigns using (campaign_id) where stock = 40")
        .await;
    assert_eq!(joined, "40");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_stores_have_empty_tables() {
    let world = World::empty().await;
    for table in ["coupons", "events", "redemptions", "campaigns"] {
        assert_eq!(world.one(&format!("select count(*) from {table}")).await, "0", "{table}");
    }
}

/// The example of `docs/history.md`, which the console has for each campaign: the same over both tiers, and without what was
/// taken back, voided or cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn how_soon_coupons_are_redeemed() {
    let world = World::full().await;
    let sql = "select cast(issued_at + interval '32400 seconds' as date) as day, count(*) as issued, \
         count(*) filter (where redeemed_at < issued_at + interval '1 days') as within_1_day, \
         count(*) filter (where redeemed_at < issued_at + interval '7 days') as within_7_days, \
         count(*) filter (where redeemed_at < issued_at + interval '30 days') as within_30_days \
         from coupons where campaign_id = 'winter' and issued_at is not null and state <> 'void' \
         group by 1 order by 1";
    let order = |text: &str| text.parse().unwrap();
    for (number, user) in [(120, "new"), (123, "new"), (126, "new")] {
        let to = || user.parse().unwrap();
        let issue = Action::Issue { to: to(), reference: None, expires_at: None };
        world.change(number, issue).await;
        let money = Default::default();
        if number != 126 {
            world.change(number, Action::Redeem { by: to(), order: order("o"), money }).await;
        }
    }
    let cancel = Action::CancelRedemption { order: order("o"), reason: None };
    world.change(123, cancel).await;
    world.change(124, Action::Void { reason: None }).await;
    let user = "user-7".parse().unwrap();
    world.change(127, Action::Revoke { user, reference: None, reason: None }).await;
    let want = [
        ["2026-02-28", "13", "0", "13", "13"],
        ["2026-03-01", "11", "0", "0", "0"],
        ["2026-11-20", "3", "1", "1", "1"],
    ];
    assert_eq!(world.ask(sql).await, want, "hot");
    world.compact(ClosedPolicy::Now).await;
    assert_ne!(world.one("select count(*) from coupons where tier = 'cold'").await, "0");
    assert_eq!(world.ask(sql).await, want, "both tiers");
}
