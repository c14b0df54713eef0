//! Several coupons of one order: all of them, or none.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Answer, BOB, Service, Shop};

/// A campaign of which ann gets as many coupons as she wants.
async fn campaign(service: &Service, id: &str, benefit: Value, terms: Value) {
    let mut all = json!({"currency": "KRW", "benefit": benefit, "stock": 9, "per_user_limit": 9});
    for (field, value) in terms.as_object().into_iter().flatten() {
        all[field] = value.clone();
    }
    service.campaign(id, all).await.is("201", id);
}

async fn issued(service: &Service, campaign: &str, reference: &str) -> String {
    let body = json!({"user_id": "ann", "issue_ref": reference});
    let issued = service.post(Shop, &format!("/v1/campaigns/{campaign}/issue"), body).await;
    issued.is("201", reference).string("code")
}

async fn order(service: &Service, what: &str, order: &str, coupons: &[&str]) -> Answer {
    let body = json!({"user_id": "ann", "coupons": coupons, "order_amount": 50_000});
    service.post(Shop, &format!("/v1/orders/{order}/{what}"), body).await
}

async fn cancel(service: &Service, order: &str, body: Value) -> Answer {
    service.post(Shop, &format!("/v1/orders/{order}/cancel"), body).await
}

/// A field of each coupon of an answer.
fn each<'a>(answer: &'a Answer, field: &str) -> Vec<&'a Value> {
    answer.json["coupons"].as_array().expect("coupons").iter().map(|it| &it[field]).collect()
}

fn amount(amount: u64) -> Value {
    json!({"kind": "amount", "amount": amount})
}

#[tokio::test]
async fn the_life_of_an_order() {
    let service = Service::new();
    campaign(&service, "won", amount(10_000), json!({})).await;
    campaign(&service, "share", json!({"kind": "percent", "percent": 10}), json!({})).await;
    let shared = json!({"handout": "shared", "shared_code": "SUMMER2026", "per_user_limit": 1});
    campaign(&service, "all", json!({"kind": "percent", "percent": 50}), shared).await;
    let (won, share) = (issued(&service, "won", "1").await, issued(&service, "share", "1").await);
    let coupons = [won.as_str(), &share, "SUMMER2026"];

    let checked = order(&service, "check", "991", &coupons).await;
    assert_eq!(checked.is("200", "checked").json["complete"], true);
    assert_eq!(each(&checked, "discount"), [&json!(10_000), &json!(4_000), &json!(18_000)]);
    assert_eq!(each(&checked, "state"), ["redeemable"; 3]);
    assert_eq!(service.coupon(&won).await["version"], 1, "a check changes nothing");
    service.get(Shop, "/v1/orders/991").await.is("404 NOT_FOUND", "it has redeemed nothing");

    let held = order(&service, "hold", "991", &coupons).await;
    assert_eq!(each(held.is("201", "held"), "state"), ["held"; 3]);
    order(&service, "hold", "991", &coupons).await.is("200", "held for that long");
    let other = order(&service, "redeem", "992", &[&won]).await;
    assert_eq!(other.is("409 ORDER_REFUSED", "held for 991").json["coupons"][0]["problem"], "HELD");
    assert_eq!(
        other.json["coupons"][0]["title"], "The coupon is held for another order",
        "for its buyer"
    );

    let redeemed = order(&service, "redeem", "991", &coupons).await;
    let want = json!({"order_amount": 50_000, "discount": 32_000, "currency": "KRW"});
    let has = |answer: &Answer, name: &str| {
        // What is redeemed at one instant has no sequence afterwards.
        let mut discounts: Vec<u64> =
            each(answer, "discount").iter().filter_map(|it| it.as_u64()).collect();
        discounts.sort_unstable();
        assert_eq!(discounts, [4_000, 10_000, 18_000], "{name}");
        for (field, value) in want.as_object().into_iter().flatten() {
            assert_eq!(answer.json[field], *value, "{name}: {}", answer.text);
        }
    };
    has(redeemed.is("201", "redeemed"), "redeemed");
    has(order(&service, "redeem", "991", &coupons).await.is("200", "again"), "again");
    has(service.get(Shop, "/v1/orders/991").await.is("200", "read"), "read");
    let list = service.get(Shop, "/v1/redemptions?order_ref=991").await;
    assert_eq!(list.json["data"].as_array().map(Vec::len), Some(3));

    let one = cancel(&service, "991", json!({"coupons": [share], "reason": "returned"})).await;
    assert_eq!(each(one.is("200", "one of them"), "state"), ["cancelled"]);
    let read = service.get(Shop, "/v1/orders/991").await;
    assert_eq!(read.json["discount"], 28_000, "without what was given back");
    let all = cancel(&service, "991", json!({})).await;
    assert_eq!(each(all.is("200", "all of them"), "state"), ["cancelled"; 3]);
    let again = cancel(&service, "991", json!({})).await;
    assert_eq!(again.is("200", "again").header("idempotent-replayed"), Some("true"));
    let refused = order(&service, "redeem", "991", &coupons).await;
    assert_eq!(
        refused.is("409 ORDER_REFUSED", "cancelled").json["coupons"][0]["problem"],
        "REDEMPTION_CANCELLED"
    );
    cancel(&service, "nothing", json!({})).await.is("404 NOT_FOUND", "an order without coupons");
}

#[tokio::test]
async fn one_refusal_refuses_all() {
    let service = Service::new();
    campaign(&service, "won", amount(10_000), json!({})).await;
    let large = json!({"kind": "amount", "amount": 1, "min_order": 60_000});
    campaign(&service, "large", large, json!({})).await;
    let (good, large) = (issued(&service, "won", "1").await, issued(&service, "large", "1").await);
    let used = issued(&service, "won", "2").await;
    service.does("redeem", &used, "0").await;
    let bobs = json!({"user_id": "bob", "issue_ref": "1"});
    let of_bob = service.post(Shop, "/v1/campaigns/won/issue", bobs).await.string("code");

    let coupons = [good.as_str(), &large, &of_bob, "NOSUCHCODE", "not a code!"];
    for what in ["hold", "redeem"] {
        let refused = order(&service, what, "991", &coupons).await;
        let said = each(refused.is("409 ORDER_REFUSED", what), "problem");
        assert_eq!(said, ["ORDER_TOO_SMALL", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND"], "{what}");
        assert_eq!(refused.json["coupons"][0]["missing"], 10_000);
        assert_eq!(each(&refused, "code")[1], of_bob.as_str(), "as the request has it");
    }
    let checked = order(&service, "check", "991", &[&good, &large]).await;
    assert_eq!(each(checked.is("200", "a check"), "state"), ["redeemable", "refused"]);
    assert_eq!(checked.json["complete"], false);
    assert_eq!(service.coupon(&good).await["version"], 1, "nothing was done with the good one");
    service.get(Shop, "/v1/orders/991").await.is("404 NOT_FOUND", "nothing is redeemed");
    order(&service, "redeem", "991", &[&good]).await.is("201", "without the others");

    let half = cancel(&service, "991", json!({"coupons": [good, large]})).await;
    assert_eq!(
        each(half.is("409 ORDER_REFUSED", "one is not its own"), "problem"),
        ["NOT_REDEEMED"]
    );
    assert_eq!(service.coupon(&good).await["state"], "redeemed");
}

#[tokio::test]
async fn a_budget_and_a_limit_count_over_an_order() {
    let service = Service::new();
    campaign(&service, "c", amount(3_000), json!({"budget": 7_000})).await;
    let mut codes = Vec::new();
    for nth in ["1", "2", "3"] {
        codes.push(issued(&service, "c", nth).await);
    }
    let all: Vec<&str> = codes.iter().map(String::as_str).collect();
    for what in ["check", "redeem"] {
        let answer = order(&service, what, "991", &all).await;
        assert!(answer.text.contains("BUDGET_SPENT"), "{what}: {}", answer.text);
    }
    let spent = async || service.get(Shop, "/v1/campaigns/c").await.json["spent"].clone();
    assert_eq!(spent().await, 0);
    order(&service, "redeem", "991", &all[..2]).await.is("201", "two");
    assert_eq!(spent().await, 6_000);
    cancel(&service, "991", json!({})).await.is("200", "given back");
    assert_eq!(spent().await, 0);
}

#[tokio::test]
async fn what_cannot_be_asked() {
    let service = Service::new();
    campaign(&service, "c", amount(3_000), json!({})).await;
    let code = issued(&service, "c", "1").await;
    let spaced = code.replace('-', " ");
    let many: Vec<String> = (0..21).map(|nth| format!("CODE{nth:04}")).collect();
    let body =
        |coupons: Value| json!({"user_id": "ann", "coupons": coupons, "order_amount": 5_000});
    let cases = [
        ("no coupons", Shop, body(json!([])), "400 INVALID", "coupons"),
        ("a long text", Shop, body(json!(["x".repeat(129)])), "400 INVALID", "coupons"),
        ("too many", Shop, body(json!(many)), "400 INVALID", "coupons"),
        ("one twice", Shop, body(json!([code, spaced])), "400 INVALID", "coupons[1]"),
        ("no user", Shop, json!({"coupons": [code]}), "400 INVALID", "user_id"),
        ("a user", ANN, body(json!([code])), "403 FORBIDDEN", ""),
        ("another user", BOB, body(json!([code])), "403 FORBIDDEN", ""),
        ("an admin", Admin, body(json!([code])), "201", ""),
    ];
    for (name, who, body, want, field) in cases {
        let answer = service.post(who, "/v1/orders/991/redeem", body).await;
        answer.is(want, name);
        if want == "400 INVALID" {
            assert_eq!(answer.fields(), [field], "{name}");
        }
    }
}
