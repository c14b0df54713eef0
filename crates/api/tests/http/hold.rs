//! Holds: a coupon is kept for one order between check-out and payment.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::service::{ANN, Admin, Answer, BOB, Service, Shop};

const MINUTE_MS: i64 = 60_000;
const DAY_S: i64 = 86_400;

async fn hold(service: &Service, code: &str, order: &str, seconds: Option<i64>) -> Answer {
    let mut body = json!({"user_id": "ann", "order_ref": order});
    if let Some(seconds) = seconds {
        body["seconds"] = json!(seconds);
    }
    service.post(Shop, &format!("/v1/coupons/{code}/hold"), body).await
}

async fn one(terms: Value) -> (Service, String) {
    let service = Service::new();
    service.campaign("c", terms).await;
    let code = service.issued("c", "ann").await;
    (service, code)
}

#[tokio::test]
async fn sixty_four_orders_and_one_gets_it() {
    let (service, code) = one(json!({})).await;
    let orders: Vec<String> = (0..64).map(|nth| format!("order-{nth}")).collect();
    let answers = join_all(orders.iter().map(|order| hold(&service, &code, order, None))).await;
    let got: Vec<usize> = (0..64).filter(|nth| answers[*nth].status == 201).collect();
    assert_eq!(got.len(), 1, "{got:?}");
    let until = service.after(15 * MINUTE_MS);
    for (order, answer) in orders.iter().zip(&answers) {
        if answer.status == 201 {
            assert_eq!(answer.string("until"), until, "{order}");
            assert_eq!(answer.json["coupon"]["held_until"], json!(until), "{order}");
            assert_eq!(answer.json["coupon"]["order_ref"], json!(order));
        } else {
            assert_eq!(answer.is("409 HELD", order).json["retry_at"], json!(until), "{order}");
        }
    }
    let winner = &orders[got[0]];
    let other = orders.iter().find(|order| *order != winner).expect("another");
    for what in ["redeem", "hold"] {
        service.does(what, &code, other).await.is("409 HELD", what);
    }
    for (what, body) in [
        ("revoke", json!({"user_id": "ann"})),
        ("void", json!({})),
        ("extend", json!({"expires_on": "2030-01-01"})),
    ] {
        service.admin(what, &code, body).await.is("409 HELD", what);
    }
    service.does("redeem", &code, winner).await.is("201", "the order of the hold redeems");
    service.does("redeem", &code, winner).await.is("200", "and again");
    let coupon = service.coupon(&code).await;
    assert!(coupon["held_until"].is_null(), "the hold has ended");
}

#[tokio::test]
async fn sixty_four_orders_redeem_and_one_does() {
    let (service, code) = one(json!({})).await;
    let orders: Vec<String> = (0..64).map(|nth| format!("order-{nth}")).collect();
    let answers = join_all(orders.iter().map(|order| service.does("redeem", &code, order))).await;
    let words: Vec<String> = answers.iter().map(Answer::word).collect();
    let count = |want: &str| words.iter().filter(|word| *word == want).count();
    assert_eq!((count("201"), count("409 ALREADY_REDEEMED")), (1, 63), "{words:?}");

    let (service, code) = one(json!({})).await;
    let answers = join_all((0..64).map(|_| service.does("redeem", &code, "same"))).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    for answer in &answers {
        assert!(answer.status < 300, "{}", answer.text);
        assert_eq!(answer.json, made[0].json, "the same redemption for all");
    }
}

#[tokio::test]
async fn a_hold_ends_by_the_clock() {
    let (service, code) = one(json!({})).await;
    hold(&service, &code, "1", Some(60)).await.is("201", "a minute");
    service.clock.pass(MINUTE_MS - 1);
    service.does("redeem", &code, "2").await.is("409 HELD", "its last millisecond");
    service.clock.pass(1);
    let coupon = service.coupon(&code).await;
    assert!(coupon["held_until"].is_null() && coupon["order_ref"].is_null(), "lapsed");
    hold(&service, &code, "2", None).await.is("201", "another order holds");
    service.does("redeem", &code, "1").await.is("409 HELD", "the first order is too late");
    service.does("redeem", &code, "2").await.is("201", "the second order redeems");
}

#[tokio::test]
async fn a_redemption_within_the_hold_is_kept() {
    let end = "2027-01-01T00:00:00Z";
    let cases = [
        ("redeemed a minute after", MINUTE_MS, "201"),
        ("redeemed in its last millisecond", 15 * MINUTE_MS - 1_001, "201"),
        ("redeemed after its end", 15 * MINUTE_MS - 1_000, "409 EXPIRED"),
        ("16 minutes after", 16 * MINUTE_MS, "409 EXPIRED"),
    ];
    for (name, after, want) in cases {
        let (service, code) = one(json!({"expires_at": end})).await;
        service.set(end);
        service.clock.pass(-1_000);
        let held = hold(&service, &code, "1", None).await;
        held.is("201", name);
        assert_eq!(held.string("until"), "2027-01-01T00:14:59.000Z", "{name}");
        service.clock.pass(1_000 + after);
        service.does("redeem", &code, "1").await.is(want, name);
    }
}

#[tokio::test]
async fn a_hold_ends_soon_after_the_expiry() {
    let end = "2027-01-01T00:00:00Z";
    let (service, code) = one(json!({"expires_at": end})).await;
    service.set(end);
    service.clock.pass(-1_000);
    let held = hold(&service, &code, "1", Some(3_600)).await;
    assert_eq!(held.is("201", "an hour").string("until"), "2027-01-01T00:15:00.000Z");
    service.set(end);
    service.clock.pass(15 * MINUTE_MS - 1);
    let check = service.does("check", &code, "1").await;
    assert_eq!(check.json["redeemable"], true, "{}", check.text);
    assert_eq!(check.json["coupon"]["expired"], true, "it has expired and is held");
    service.clock.pass(1);
    service.does("redeem", &code, "1").await.is("409 EXPIRED", "at its end");
    hold(&service, &code, "1", None).await.is("409 EXPIRED", "no hold after the expiry");
}

#[tokio::test]
async fn holding_again() {
    let (service, code) = one(json!({})).await;
    let quarter = service.after(15 * MINUTE_MS);
    let hour = service.after(60 * MINUTE_MS);
    let cases = [
        ("15 minutes by default", None, "201", &quarter),
        ("the same request again", None, "200", &quarter),
        ("a shorter hold does not end earlier", Some(1), "200", &quarter),
        ("longer", Some(3_600), "201", &hour),
        ("also a second time", Some(900), "200", &hour),
    ];
    for (name, seconds, want, until) in cases {
        let answer = hold(&service, &code, "1", seconds).await;
        assert_eq!(&answer.is(want, name).string("until"), until, "{name}");
    }
    assert_eq!(service.coupon(&code).await["events"].as_array().map(Vec::len), Some(1), "issued");
}

#[tokio::test]
async fn seven_days_at_most() {
    let (service, code) = one(json!({})).await;
    let week = service.after(7 * DAY_S * 1_000);
    for (name, seconds) in [("0", 0), ("a second past a week", 7 * DAY_S + 1), ("-1", -1)] {
        let answer = hold(&service, &code, "1", Some(seconds)).await;
        assert_eq!(answer.is("400 INVALID", name).fields(), ["seconds"], "{name}");
    }
    let answer = hold(&service, &code, "1", Some(7 * DAY_S)).await;
    assert_eq!(answer.is("201", "a week").string("until"), week);
    service.clock.pass(DAY_S * 1_000);
    let answer = hold(&service, &code, "1", Some(7 * DAY_S)).await;
    assert_eq!(answer.is("200", "counted from its start").string("until"), week);
}

#[tokio::test]
async fn release() {
    let (service, code) = one(json!({})).await;
    let held = async || service.coupon(&code).await["held_until"].is_string();
    for who in [ANN, Shop, Admin] {
        service.does("hold", &code, "1").await.is("201", "hold");
        service.release(who, &code, "2").await.is("200", "by an order that does not hold");
        assert!(held().await, "{who:?}, another order");
        service.release(BOB, &code, "1").await.is("404 NOT_FOUND", "by a stranger");
        assert!(held().await, "a stranger");
        let answer = service.release(who, &code, "1").await;
        assert!(answer.is("200", "release").json["held_until"].is_null(), "{who:?}");
        assert!(!held().await, "{who:?}");
        let version = answer.json["version"].clone();
        let again = service.release(who, &code, "1").await;
        assert_eq!(again.is("200", "a replay").json["version"], version, "{who:?}");
    }
    service.does("redeem", &code, "9").await.is("201", "redeem");
    service
        .release(Shop, &code, "9")
        .await
        .is("409 ALREADY_REDEEMED", "by the order that redeemed");
    service.release(Shop, &code, "8").await.is("200", "by another order");
}

#[tokio::test]
async fn abandoned_holds_add_no_events() {
    let (service, code) = one(json!({})).await;
    for nth in 0..50 {
        let order = format!("cart-{nth}");
        service.does("hold", &code, &order).await.is("201", &order);
        service.release(Shop, &code, &order).await.is("200", &order);
    }
    let coupon = service.coupon(&code).await;
    assert_eq!(coupon["version"], 101, "each accepted change raises the version");
    assert_eq!(coupon["events"].as_array().map(Vec::len), Some(1), "and adds no event");
    service.does("redeem", &code, "paid").await.is("201", "redeem");
}

#[tokio::test]
async fn a_shared_word() {
    let service = Service::new();
    let terms = json!({"handout": "shared", "shared_code": "SUMMER", "stock": 2});
    service.campaign("s", terms).await;
    let held = service.does("hold", "summer", "1").await;
    let code = held.is("201", "ann holds").string("code");
    assert_ne!(code, "SUMMER", "the coupon's own code");
    assert_eq!(held.json["coupon"]["holder"], "ann");
    service.does("hold", "SUMMER", "1").await.is("200", "again");
    service.does("redeem", "SUMMER", "2").await.is("409 HELD", "another order of ann");
    let redeemed = service.does("redeem", "SUMMER", "1").await;
    assert_eq!(redeemed.is("201", "the order of ann").string("code"), code);
    assert_eq!(service.does("redeem", "SUMMER", "1").await.is("200", "again").json, redeemed.json);
}

#[tokio::test]
async fn a_pause_keeps_running_holds() {
    for target in ["/v1/campaigns/c", "/v1/campaigns/c/batches/first"] {
        let (service, code) = one(json!({})).await;
        service.does("hold", &code, "1").await.is("201", "hold");
        service.patch(Admin, target, json!({"paused": true})).await.is("200", target);
        let check = service.does("check", &code, "1").await;
        assert_eq!(check.json["redeemable"], true, "{}", check.text);
        hold(&service, &code, "1", Some(3_600))
            .await
            .is("409 PAUSED", "no longer hold while paused");
        service.does("hold", &code, "1").await.is("200", "the same hold");
        service.does("redeem", &code, "1").await.is("201", "the order of the hold redeems");
    }
}
