//! The coupon and the counts of its campaign after each change.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, BOB, Service, Shop};

#[tokio::test]
async fn events_name_actor_and_reason() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 2})).await;
    let body = json!({"user_id": "ann", "issue_ref": "welcome"});
    let issued = service.post(Shop, "/v1/campaigns/c/issue", body).await;
    let code = issued.is("201", "issue").string("code");
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    let order = |order: &str| json!({"order_ref": order});
    let back = json!({"order_ref": "991", "reason": "goods returned"});
    let extend =
        json!({"expires_on": "2028-06-30", "time_zone": "Asia/Seoul", "reason": "goodwill"});
    let steps = [
        ("hold", ANN, at("hold"), order("991"), "201", "issued"),
        ("redeem", ANN, at("redeem"), order("991"), "201", "redeemed"),
        ("cancel", Shop, at("cancel-redemption"), back, "200", "issued"),
        ("extend", Admin, at("extend"), extend, "200", "issued"),
        (
            "revoke",
            Admin,
            at("revoke"),
            json!({"user_id": "ann", "reason": "asked"}),
            "200",
            "available",
        ),
        ("issue", Shop, at("issue"), json!({"user_id": "bob"}), "201", "issued"),
        ("void", Admin, at("void"), json!({"reason": "fraud"}), "200", "void"),
    ];
    let mut version = 1;
    for (name, who, target, body, want, state) in steps {
        service.clock.pass(1_000);
        service.post(who, &target, body).await.is(want, name);
        version += 1;
        let coupon = service.coupon(&code).await;
        assert_eq!(coupon["state"], state, "{name}");
        assert_eq!(coupon["version"], version, "{name}: each accepted change raises the version");
        assert_eq!(coupon["modified_at"], json!(service.after(0)), "{name}");
        assert_eq!(coupon["created_at"], json!("2026-11-20T12:00:00.000Z"), "{name}");
    }
    let coupon = service.coupon(&code).await;
    let want = [
        ("issued", "shop:till-7", json!("welcome"), 0),
        ("redeemed", "user:ann", json!("991"), 2),
        ("redemption_cancelled", "shop:till-7", json!("991"), 3),
        ("extended", "admin:root", json!("goodwill"), 4),
        ("revoked", "admin:root", json!("asked"), 5),
        ("issued", "shop:till-7", Value::Null, 6),
        ("voided", "admin:root", json!("fraud"), 7),
    ];
    let want: Vec<Value> = want
        .into_iter()
        .enumerate()
        .map(|(nth, (kind, actor, reference, second))| {
            json!({
                "sequence": nth + 1, "kind": kind, "at": format!("2026-11-20T12:00:0{second}.000Z"),
                "actor": actor, "reference": reference,
            })
        })
        .collect();
    assert_eq!(coupon["events"], json!(want));
    service.admin("void", &code, json!({})).await.is("200", "void again is a replay");
    assert_eq!(service.coupon(&code).await["version"], version);
    for (what, body) in [
        ("issue", json!({"user_id": "eve"})),
        ("revoke", json!({"user_id": "bob"})),
        ("extend", json!({"expires_on": "2030-01-01"})),
    ] {
        service.admin(what, &code, body).await.is("409 VOIDED", what);
    }
}

#[tokio::test]
async fn counts_are_exact() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 5})).await;
    let counts = async |want: [i64; 4], name: &str| {
        let campaign = service.get(Admin, "/v1/campaigns/c").await.json;
        let found = ["stock", "issued", "redeemed", "void"].map(|it| campaign[it].clone());
        assert_eq!(found, want.map(|it| json!(it)), "{name}");
        assert_eq!(campaign["counted_at"], json!(service.after(0)), "{name}");
    };
    counts([5, 0, 0, 0], "made").await;
    let (ann, bob) = (service.issued("c", "ann").await, service.issued("c", "bob").await);
    counts([5, 2, 0, 0], "two issued").await;
    service.does("redeem", &ann, "1").await.is("201", "redeem");
    counts([5, 1, 1, 0], "one redeemed").await;
    service.does("redeem", &ann, "1").await.is("200", "replay");
    counts([5, 1, 1, 0], "a replay").await;
    service.cancel(Shop, &ann, "1").await.is("200", "cancel");
    counts([5, 2, 0, 0], "cancelled").await;
    service.admin("void", &ann, json!({})).await.is("200", "void");
    service.admin("revoke", &bob, json!({"user_id": "bob"})).await.is("200", "revoke");
    counts([5, 0, 0, 1], "one void, one revoked").await;
    let untouched = service.codes("c").await.remove(0);
    service.admin("void", &untouched, json!({})).await.is("200", "void an untouched one");
    counts([5, 0, 0, 2], "two void").await;
    let extended = service.issued("c", "eve").await;
    service.admin("extend", &extended, json!({"expires_on": "2029-01-01"})).await.is("200", "");
    counts([5, 1, 0, 2], "extended to another partition").await;
}

#[tokio::test]
async fn a_held_bearer_code() {
    let service = Service::new();
    service.campaign("b", json!({"handout": "bearer"})).await;
    let code = service.codes("b").await.remove(0);
    let post = async |who, what: &str, body: Value| {
        service.post(who, &format!("/v1/coupons/{code}/{what}"), body).await
    };
    let order = |order: &str| json!({"order_ref": order});
    post(ANN, "hold", order("1")).await.is("201", "ann's cart");
    post(ANN, "hold", order("1")).await.is("200", "again");
    let refused = [("redeem", order("1")), ("hold", order("1")), ("issue", json!({}))];
    for (what, body) in refused {
        let answer = post(BOB, what, body).await;
        assert!(!answer.is("409 HELD", what).text.contains("ann"), "{what}: {}", answer.text);
    }
    post(ANN, "redeem", order("2")).await.is("409 HELD", "another order of ann");
    post(BOB, "release", order("1")).await.is("404 NOT_FOUND", "bob releases");
    let wallet = post(ANN, "issue", json!({})).await;
    assert!(
        wallet.is("201", "into the wallet of ann").json["held_until"].is_string(),
        "still held"
    );
    post(ANN, "redeem", order("1")).await.is("201", "redeemed");
    post(BOB, "cancel-redemption", order("1")).await.is("404 NOT_FOUND", "bob cancels");
    let back = post(ANN, "cancel-redemption", order("1")).await;
    assert_eq!(
        back.is("200", "cancel").json["coupon"]["state"],
        "issued",
        "in the wallet of ann again"
    );
}
