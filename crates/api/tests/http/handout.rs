//! Handouts: by the shop, by the users, by bearer codes, by a shared code.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::service::{ANN, Admin, Answer, BOB, Service, Shop, Who};

async fn issue(service: &Service, who: Who<'_>, campaign: &str, body: Value) -> Answer {
    service.post(who, &format!("/v1/campaigns/{campaign}/issue"), body).await
}

async fn wallet(service: &Service, who: Who<'_>, code: &str, body: Value) -> Answer {
    service.post(who, &format!("/v1/coupons/{code}/issue"), body).await
}

#[tokio::test]
async fn users_take_one_themselves() {
    let service = Service::new();
    service.campaign("self", json!({"handout": "self", "stock": 2})).await;
    service.campaign("shop", json!({})).await;
    service.campaign("shared", json!({"handout": "shared", "shared_code": "SUMMER"})).await;
    service.campaign("bearer", json!({"handout": "bearer"})).await;
    let first = issue(&service, ANN, "self", json!({})).await;
    assert_eq!(first.is("201", "ann").string("holder"), "ann");
    let again = issue(&service, ANN, "self", json!({})).await;
    assert_eq!(again.is("200", "ann again").json["code"], first.json["code"]);
    issue(&service, Shop, "self", json!({"user_id": "bob"})).await.is("201", "the shop may, too");
    issue(&service, Who::User("eve"), "self", json!({})).await.is("409 SOLD_OUT", "too late");
    issue(&service, BOB, "shop", json!({})).await.is("403 FORBIDDEN", "handout shop");
    issue(&service, BOB, "shared", json!({})).await.is("403 FORBIDDEN", "by the shared code");
    issue(&service, BOB, "nowhere", json!({})).await.is("404 NOT_FOUND", "no campaign");
    for (who, body) in [(Shop, json!({"user_id": "ann"})), (Admin, json!({"user_id": "ann"}))] {
        issue(&service, who, "bearer", body).await.is("409 NOT_ISSUABLE", "printed codes");
    }
    let user = issue(&service, BOB, "bearer", json!({})).await;
    assert!(["403 FORBIDDEN", "409 NOT_ISSUABLE"].contains(&user.word().as_str()), "{}", user.text);
}

#[tokio::test]
async fn exactly_the_stock_is_issued() {
    let service = Service::new();
    service.campaign("c", json!({"handout": "self", "stock": 50})).await;
    let users: Vec<String> = (0..80).map(|nth| format!("user{nth}")).collect();
    // Everybody sends the request twice at the same time.
    let asked = users.iter().chain(&users).map(|user| {
        let service = &service;
        async move { issue(service, Who::User(user), "c", json!({})).await }
    });
    let answers = join_all(asked).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 50, "issued");
    let mut codes: Vec<String> =
        answers.iter().filter(|it| it.status < 300).map(|it| it.string("code")).collect();
    let holders = codes.len();
    codes.sort();
    codes.dedup();
    assert_eq!((codes.len(), holders), (50, 100), "each got one coupon in both answers");
    let sold_out = answers.iter().filter(|it| it.word() == "409 SOLD_OUT").count();
    assert_eq!(sold_out, 60);
    let campaign = service.get(Admin, "/v1/campaigns/c").await;
    assert_eq!(campaign.json["issued"], 50);
    let holder = answers.iter().find(|it| it.status == 201).expect("a holder");
    let body = json!({"user_id": holder.string("holder")});
    service.admin("revoke", &holder.string("code"), body).await.is("200", "revoke");
    issue(&service, Who::User("late"), "c", json!({})).await.is("201", "right after a revoke");
}

#[tokio::test]
async fn a_shared_word() {
    let service = Service::new();
    let terms = json!({"handout": "shared", "shared_code": "summer-2027", "stock": 2});
    let made = service.campaign("s", terms).await;
    assert_eq!(made.string("shared_code"), "SUMMER2027", "in another spelling");
    let redeem = async |user: &str, word: &str, order: &str| {
        let body = json!({"user_id": user, "order_ref": order});
        service.post(Shop, &format!("/v1/coupons/{word}/redeem"), body).await
    };
    let check = service.does("check", "SUMMER2027", "1").await;
    assert_eq!(check.json["redeemable"], true, "{}", check.text);
    assert!(check.json["coupon"].is_null(), "a check issues nothing");
    assert_eq!(check.json["campaign"]["campaign_id"], "s");
    assert_eq!(service.get(Admin, "/v1/campaigns/s").await.json["issued"], 0);

    let first = redeem("ann", "summer2027", "1").await;
    let code = first.is("201", "ann").string("code");
    assert_eq!(first.string("user_id"), "ann");
    assert_eq!(redeem("ann", "SUMMER-2027", "1").await.is("200", "again").json, first.json);
    let over = redeem("ann", "SUMMER2027", "2").await;
    over.is("409 ALREADY_REDEEMED", "the limit is one");
    redeem("bob", "SUMMER2027", "1").await.is("201", "bob, with the same order_ref");
    redeem("eve", "SUMMER2027", "1").await.is("409 SOLD_OUT", "eve");
    let own = service.get(ANN, "/v1/coupons/SUMMER2027").await;
    assert_eq!(own.is("200", "ann reads the shared code").string("code"), code);
    service
        .get(Who::User("eve"), "/v1/coupons/SUMMER2027")
        .await
        .is("404 NOT_FOUND", "eve has none");
    wallet(&service, Shop, "SUMMER2027", json!({"user_id": "eve"}))
        .await
        .is("409 NOT_ISSUABLE", "");

    service.cancel(Shop, &code, "1").await.is("200", "ann cancels");
    let again = redeem("ann", "SUMMER2027", "3").await;
    assert_eq!(again.is("201", "the unredeemed coupon of ann").string("code"), code);
    for word in ["admin", "void"] {
        let answer = service.admin("void", "SUMMER2027", json!({})).await;
        answer.is("404 NOT_FOUND", word);
    }
    let taken = json!({
        "campaign_id": "t", "handout": "shared", "shared_code": "Summer 2027",
        "expires_on": "2027-12-31",
    });
    service
        .post(Admin, "/v1/campaigns", taken)
        .await
        .is("409 NAME_TAKEN", "another campaign has the shared code");
}

/// Whoever typed the shared code for a hold or a redeem has no other code to give back with.
#[tokio::test]
async fn a_shared_code_gives_back() {
    let service = Service::new();
    let terms = json!({"handout": "shared", "shared_code": "TWICE", "per_user_limit": 2});
    service.campaign("s", terms).await;
    let post = async |call: &str, body: Value| {
        service.post(Shop, &format!("/v1/coupons/TWICE/{call}"), body).await
    };
    let of = |user: &str, order: &str| json!({"user_id": user, "order_ref": order});
    let first = post("redeem", of("ann", "1")).await.is("201", "ann").string("code");
    let second = post("redeem", of("ann", "2")).await.is("201", "ann, again").string("code");
    post("redeem", of("bob", "2")).await.is("201", "bob, with the same order_ref");
    post("hold", of("cat", "3")).await.is("201", "cat holds");

    let get = async |query: &str| service.get(Shop, &format!("/v1/coupons/TWICE{query}")).await;
    let found = [
        ("by an order", "?order_ref=1", "200", &first),
        ("by both", "?user_id=ann&order_ref=2", "200", &second),
        ("by an order of two", "?order_ref=2", "400 INVALID", &first),
        ("by nothing", "", "400 INVALID", &first),
        ("by an order without a coupon", "?order_ref=9", "400 INVALID", &first),
        ("by a hold", "?user_id=cat&order_ref=3", "200", &first),
        (
            "by another order than that of the hold",
            "?user_id=cat&order_ref=4",
            "404 NOT_FOUND",
            &first,
        ),
    ];
    for (name, query, want, code) in found {
        let answer = get(query).await;
        answer.is(want, name);
        assert!(want != "200" || name == "by a hold" || answer.string("code") == *code, "{name}");
    }
    let own = service.get(Shop, &format!("/v1/coupons/{first}?order_ref=2")).await;
    own.is("404 NOT_FOUND", "a coupon of another order");

    let cases = [
        ("cancelled by its order", "cancel-redemption", json!({"order_ref": "1"}), "200"),
        ("and repeated", "cancel-redemption", json!({"order_ref": "1"}), "200"),
        ("of two users", "cancel-redemption", json!({"order_ref": "2"}), "400 INVALID"),
        ("of one of them", "cancel-redemption", of("bob", "2"), "200"),
        ("of another order", "cancel-redemption", of("bob", "9"), "409 NOT_REDEEMED"),
        ("a hold, and no user", "release", json!({"order_ref": "3"}), "400 INVALID"),
        ("a hold", "release", of("cat", "3"), "200"),
        ("and repeated", "release", of("cat", "3"), "200"),
    ];
    for (name, call, body, want) in cases {
        post(call, body).await.is(want, name);
    }
    let counts = service.get(Admin, "/v1/campaigns/s").await;
    assert_eq!(counts.json["redeemed"], 1, "ann's second: {}", counts.text);
    let own =
        service.post(ANN, "/v1/coupons/TWICE/cancel-redemption", json!({"order_ref": "2"})).await;
    own.is("200", "a user gives back by themselves");
}

#[tokio::test]
async fn a_shared_code_with_limit_two() {
    let service = Service::new();
    let terms = json!({"handout": "shared", "shared_code": "TWICE", "per_user_limit": 2});
    service.campaign("s", terms).await;
    let cases = [
        ("the first", "1", "201"),
        ("its repeat", "1", "200"),
        ("the second", "2", "201"),
        ("the first again", "1", "200"),
        ("a third", "3", "409 LIMIT_PER_USER"),
    ];
    for (name, order, want) in cases {
        service.does("redeem", "TWICE", order).await.is(want, name);
    }
    assert_eq!(service.get(Admin, "/v1/campaigns/s").await.json["redeemed"], 2);
}

#[tokio::test]
async fn a_bearer_code() {
    let service = Service::new();
    service.campaign("b", json!({"handout": "bearer"})).await;
    let codes = service.codes("b").await;
    let target = |code: &str, what: &str| format!("/v1/coupons/{code}/{what}");
    let order = |order: &str| json!({"order_ref": order});

    let redeemed = service.post(ANN, &target(&codes[0], "redeem"), order("1")).await;
    assert_eq!(redeemed.is("201", "any bearer").string("user_id"), "ann");
    let bob = service.post(BOB, &target(&codes[0], "redeem"), order("2")).await;
    bob.is("409 ALREADY_REDEEMED", "spent");
    let over = service.post(ANN, &target(&codes[1], "redeem"), order("2")).await;
    over.is("409 LIMIT_PER_USER", "ann is at the limit");
    service.post(BOB, &target(&codes[1], "redeem"), order("1")).await.is("201", "bob's");

    // After a cancel it has no holder again, and the next bearer can redeem it.
    let cancelled = service.cancel(ANN, &codes[0], "1").await;
    assert_eq!(cancelled.is("200", "cancel").json["coupon"]["state"], "available");
    let eve = Who::User("eve");
    let spent = service.post(eve, &target(&codes[0], "redeem"), order("1")).await;
    spent.is("409 REDEMPTION_CANCELLED", "a cancelled order_ref stays used for every user");
    service.post(eve, &target(&codes[0], "redeem"), order("e1")).await.is("201", "redeemed by eve");
    service
        .post(ANN, &target(&codes[2], "redeem"), order("3"))
        .await
        .is("201", "ann is below the limit again");
}

#[tokio::test]
async fn a_bearer_code_in_a_wallet() {
    let service = Service::new();
    service.campaign("b", json!({"handout": "bearer"})).await;
    service.campaign("shop", json!({})).await;
    let codes = service.codes("b").await;
    let put = wallet(&service, ANN, &codes[0], json!({})).await;
    assert_eq!(put.is("201", "ann").string("holder"), "ann");
    wallet(&service, ANN, &codes[0], json!({})).await.is("200", "it is in the wallet already");
    wallet(&service, BOB, &codes[0], json!({})).await.is("409 ALREADY_ISSUED", "bob is too late");
    wallet(&service, ANN, &codes[1], json!({})).await.is("409 LIMIT_PER_USER", "a second coupon");
    wallet(&service, Shop, &codes[1], json!({"user_id": "bob"})).await.is("201", "by the shop");
    let order = json!({"order_ref": "1"});
    let redeem = |code: &str| format!("/v1/coupons/{code}/redeem");
    let stolen = service.post(BOB, &redeem(&codes[0]), order.clone()).await;
    stolen.is("409 ALREADY_ISSUED", "ann is the holder");
    service.post(ANN, &redeem(&codes[0]), order).await.is("201", "ann redeems");
    let list = service.get(ANN, "/v1/coupons").await;
    assert_eq!(list.data("code"), [codes[0].clone()]);

    let plain = service.codes("shop").await;
    wallet(&service, ANN, &plain[0], json!({})).await.is("404 NOT_FOUND", "not a bearer code");
    wallet(&service, Shop, &plain[0], json!({"user_id": "ann"})).await.is("201", "by the shop");
    wallet(&service, Shop, &plain[1], json!({"user_id": "ann"})).await.is("409 LIMIT_PER_USER", "");
    wallet(&service, Admin, &plain[0], json!({"user_id": "bob"}))
        .await
        .is("409 ALREADY_ISSUED", "");
}

#[tokio::test]
async fn bearer_codes_without_a_limit() {
    let service = Service::new();
    service.campaign("b", json!({"handout": "bearer", "per_user_limit": null})).await;
    for (nth, code) in service.codes("b").await.iter().enumerate() {
        let target = format!("/v1/coupons/{code}/redeem");
        let body = json!({"order_ref": format!("o{nth}")});
        service.post(ANN, &target, body).await.is("201", code);
    }
    for handout in ["shop", "self", "shared"] {
        let mut body =
            json!({"handout": handout, "per_user_limit": null, "expires_on": "2027-01-01"});
        if handout == "shared" {
            body["shared_code"] = json!("WORD");
        }
        let answer = service.post(Admin, "/v1/campaigns", body).await;
        assert_eq!(answer.is("400 INVALID", handout).fields(), ["per_user_limit"], "{handout}");
    }
}

#[tokio::test]
async fn the_limit_can_only_rise() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 2})).await;
    let limit = async |limit: Value| {
        service.patch(Admin, "/v1/campaigns/c", json!({"per_user_limit": limit})).await
    };
    let cases = [
        ("down", json!(1), "400 INVALID"),
        ("the same", json!(2), "200"),
        ("up", json!(3), "200"),
        ("a lower limit", json!(2), "400 INVALID"),
        ("0", json!(0), "400 INVALID"),
        ("100", json!(100), "200"),
        ("101", json!(101), "400 INVALID"),
    ];
    for (name, wanted, want) in cases {
        let answer = limit(wanted).await;
        answer.is(want, name);
        if want != "200" {
            assert_eq!(answer.fields(), ["per_user_limit"], "{name}");
        }
    }
    assert_eq!(service.get(Admin, "/v1/campaigns/c").await.json["per_user_limit"], 100);
}

#[tokio::test]
async fn a_raised_limit_applies_at_once() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 1})).await;
    let body = |name: &str| json!({"user_id": "ann", "issue_ref": name});
    issue(&service, Shop, "c", body("r1")).await.is("201", "the first");
    issue(&service, Shop, "c", body("r2")).await.is("200", "the limit is one");
    service.patch(Admin, "/v1/campaigns/c", json!({"per_user_limit": 2})).await.is("200", "up");
    issue(&service, Shop, "c", body("r3")).await.is("201", "a second");
    issue(&service, Shop, "c", body("r1")).await.is("200", "the first by its issue_ref");
    issue(&service, Shop, "c", body("r4")).await.is("409 LIMIT_PER_USER", "a third");
    let missing = issue(&service, Shop, "c", json!({"user_id": "ann"})).await;
    missing.is("400 INVALID", "an issue_ref is needed now");
}
