//! Requests are idempotent by name, for ever: campaign, batch, issue_ref, order_ref.

use serde_json::{Value, json};

use crate::service::{Admin, Answer, Asked, Service, Shop};

/// Every field of a campaign.
fn full() -> Value {
    json!({
        "campaign_id": "full", "name": "Spring", "stock": 3, "handout": "shop",
        "code_prefix": "GOLD", "valid_from": "2026-11-21T00:00:00Z", "expires_on": "2026-12-24",
        "time_zone": "Asia/Seoul", "valid_days": 10, "issue_from": "2026-11-20T00:00:00Z",
        "issue_until": "2026-12-01T00:00:00Z", "per_user_limit": 2, "cancel_days": 3,
        "extend_days": 4, "metadata": {"worth": {"amount": 5, "currency": "EUR"}},
        "currency": "KRW", "benefit": {"kind": "percent", "percent": 10, "title": {"en": "Spring"}},
    })
}

async fn create(service: &Service, body: &Value) -> Answer {
    service.post(Admin, "/v1/campaigns", body.clone()).await
}

#[tokio::test]
async fn a_campaign_is_created_once() {
    let service = Service::new();
    let made = create(&service, &full()).await;
    made.is("201", "made");
    let again = create(&service, &full()).await;
    assert_eq!(again.is("200", "again").json, made.json);
    let others = [
        ("name", json!("Autumn")),
        ("stock", json!(4)),
        ("handout", json!("self")),
        ("code_prefix", json!("SILVER")),
        ("valid_from", json!("2026-11-22T00:00:00Z")),
        ("expires_on", json!("2026-12-25")),
        ("time_zone", json!("Asia/Tokyo")),
        ("valid_days", json!(11)),
        ("issue_from", json!("2026-11-20T00:00:01Z")),
        ("issue_until", json!("2026-12-01T00:00:01Z")),
        ("per_user_limit", json!(3)),
        ("cancel_days", json!(4)),
        ("extend_days", json!(5)),
        ("metadata", json!({"worth": {"amount": 6, "currency": "EUR"}})),
        ("benefit", json!({"kind": "percent", "percent": 10, "title": {"en": "Autumn"}})),
    ];
    for (field, value) in others {
        let mut other = full();
        other[field] = value;
        create(&service, &other).await.is("409 NAME_TAKEN", field);
        let Some(less) = other.as_object_mut() else { unreachable!() };
        less.remove(field);
        if field != "expires_on" {
            create(&service, &other).await.is("409 NAME_TAKEN", &format!("without {field}"));
        }
    }
    service.patch(Admin, "/v1/campaigns/full", json!({"name": "Changed"})).await;
    create(&service, &full()).await.is("200", "after a change of name");
    service.set("2030-01-01T00:00:00Z");
    create(&service, &full()).await.is("200", "years after its expiry");
    let service = service.reopened();
    create(&service, &full()).await.is("200", "after a restart");
    let mut other = full();
    other["stock"] = json!(4);
    create(&service, &other).await.is("409 NAME_TAKEN", "another body after a restart");
}

#[tokio::test]
async fn a_batch_is_created_once() {
    let service = Service::new();
    for id in ["c", "d"] {
        service.campaign(id, json!({})).await;
    }
    let mint = async |service: &Service, campaign: &str, batch: &str, count: u64| {
        let body = json!({"batch_id": batch, "count": count});
        service.post(Admin, &format!("/v1/campaigns/{campaign}/batches"), body).await
    };
    let cases = [
        ("made", "c", "b", 5, "201"),
        ("the same request again", "c", "b", 5, "200"),
        ("another count", "c", "b", 6, "409 NAME_TAKEN"),
        ("the name of the first stock", "c", "first", 6, "409 NAME_TAKEN"),
        ("the first stock itself", "c", "first", 10, "200"),
        ("the same name in another campaign", "d", "b", 7, "201"),
    ];
    for (name, campaign, batch, count, want) in cases {
        mint(&service, campaign, batch, count).await.is(want, name);
    }
    service
        .import("c", "b", "code\nAAAA\n")
        .await
        .is("409 NAME_TAKEN", "import into a minted batch");
    service.import("c", "i", "code\nAAAA\n").await.is("201", "an imported batch");
    mint(&service, "c", "i", 1).await.is("409 NAME_TAKEN", "mint into an imported batch");
    let stock = service.get(Admin, "/v1/campaigns/c").await.json["stock"].clone();
    assert_eq!(stock, 16, "stock is the sum of batches");
    service.set("2030-01-01T00:00:00Z");
    let service = service.reopened();
    mint(&service, "c", "b", 5).await.is("200", "after its expiry and a restart");
    mint(&service, "c", "b", 6).await.is("409 NAME_TAKEN", "another body after a restart");
}

async fn issue(service: &Service, user: &str, reference: Option<&str>) -> Answer {
    let mut body = json!({"user_id": user});
    if let Some(reference) = reference {
        body["issue_ref"] = json!(reference);
    }
    service.post(Shop, "/v1/campaigns/c/issue", body).await
}

#[tokio::test]
async fn an_issue_with_limit_one() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let first = issue(&service, "ann", None).await;
    let cases = [
        ("without an issue_ref again", None, "200"),
        ("with an issue_ref", Some("r1"), "200"),
        ("with another issue_ref", Some("r2"), "200"),
    ];
    let code = first.is("201", "the first").string("code");
    for (name, reference, want) in cases {
        let answer = issue(&service, "ann", reference).await;
        assert_eq!(answer.is(want, name).string("code"), code, "{name}");
    }
    issue(&service, "bob", None).await.is("201", "another user");
    let service = service.reopened();
    assert_eq!(issue(&service, "ann", None).await.is("200", "restart").string("code"), code);
}

#[tokio::test]
async fn an_issue_with_limit_three() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 3})).await;
    let missing = issue(&service, "ann", None).await;
    assert_eq!(missing.is("400 INVALID", "no issue_ref").fields(), ["issue_ref"]);
    let mut codes = Vec::new();
    for nth in 1..=3 {
        let answer = issue(&service, "ann", Some(&format!("r{nth}"))).await;
        codes.push(answer.is("201", "within the limit").string("code"));
    }
    issue(&service, "ann", Some("r4")).await.is("409 LIMIT_PER_USER", "over the limit");
    let again = issue(&service, "ann", Some("r2")).await;
    assert_eq!(again.is("200", "a repeat at the limit").string("code"), codes[1]);
    issue(&service, "bob", Some("r1")).await.is("201", "the same issue_ref for another user");

    // A redeemed coupon counts. A revoked one does not, and its issue_ref stays used.
    service.does("redeem", &codes[0], "1").await.is("201", "redeem");
    issue(&service, "ann", Some("r4")).await.is("409 LIMIT_PER_USER", "a redeemed coupon counts");
    service.admin("revoke", &codes[1], json!({"user_id": "ann"})).await.is("200", "revoke");
    issue(&service, "ann", Some("r2")).await.is("409 NAME_TAKEN", "a used issue_ref");
    issue(&service, "ann", Some("r4")).await.is("201", "below the limit again");
    issue(&service, "ann", Some("r5")).await.is("409 LIMIT_PER_USER", "at the limit again");
    let service = service.reopened();
    issue(&service, "ann", Some("r2")).await.is("409 NAME_TAKEN", "used, after a restart");
    let again = issue(&service, "ann", Some("r1")).await;
    assert_eq!(again.is("200", "after a restart").string("code"), codes[0]);
}

#[tokio::test]
async fn a_revoke_keeps_the_issue_ref_used() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = issue(&service, "ann", Some("r1")).await.is("201", "issue").string("code");
    service.admin("revoke", &code, json!({"user_id": "ann"})).await.is("200", "revoke");
    issue(&service, "ann", Some("r1")).await.is("409 NAME_TAKEN", "spent");
    issue(&service, "ann", Some("r2")).await.is("201", "a new issue_ref");
}

#[tokio::test]
async fn a_second_issue_ref_for_a_coupon_is_kept() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = issue(&service, "ann", Some("r1")).await.is("201", "issue").string("code");
    let second = issue(&service, "ann", Some("r2")).await;
    assert_eq!(second.is("200", "the one coupon").string("code"), code);
    service.patch(Admin, "/v1/campaigns/c", json!({"per_user_limit": 2})).await.is("200", "raised");
    let again = issue(&service, "ann", Some("r2")).await;
    assert_eq!(again.is("200", "for ever").string("code"), code);
    issue(&service, "ann", Some("r3")).await.is("201", "another issue_ref, another coupon");
    service.admin("revoke", &code, json!({"user_id": "ann"})).await.is("200", "revoke");
    for name in ["r1", "r2"] {
        issue(&service, "ann", Some(name)).await.is("409 NAME_TAKEN", name);
    }
}

#[tokio::test]
async fn a_coupon_is_replaced_once() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 5})).await;
    let code = issue(&service, "ann", Some("r1")).await.is("201", "issue").string("code");
    let good = issue(&service, "ann", Some(&format!("replaces:{code}"))).await;
    assert_eq!(good.is("200", "it can still be redeemed").string("code"), code);
    let strangers = issue(&service, "bob", Some(&format!("replaces:{code}"))).await;
    strangers.is("404 NOT_FOUND", "another user's coupon");
    service.admin("void", &code, json!({})).await.is("200", "void");
    let first = issue(&service, "ann", Some(&format!("replaces:{code}"))).await;
    let bare = code.replace('-', "").to_lowercase();
    let replacement = first.is("201", "the replacement").string("code");
    let again = issue(&service, "ann", Some(&format!("replaces:{code}"))).await;
    assert_eq!(again.is("200", "a repeat").string("code"), replacement);
    let respelt = issue(&service, "ann", Some(&format!("replaces:{bare}"))).await;
    respelt.is("409 NAME_TAKEN", "another spelling of the code");
    let other = issue(&service, "bob", Some(&format!("replaces:{code}"))).await;
    other.is("409 NAME_TAKEN", "for another user");
    let bad = issue(&service, "ann", Some("replaces:!")).await;
    assert_eq!(bad.is("400 INVALID", "without a code").fields(), ["issue_ref"]);
}

#[tokio::test]
async fn an_order_redeems_once() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let first = service.does("redeem", &code, "1").await;
    first.is("201", "the first");
    service.clock.pass(5_000);
    let again = service.does("redeem", &code, "1").await;
    assert_eq!(again.is("200", "its repeat").json, first.json);
    service.does("redeem", &code, "2").await.is("409 ALREADY_REDEEMED", "another order");
    let bob = json!({"user_id": "bob", "order_ref": "1"});
    let stranger = service.post(Shop, &format!("/v1/coupons/{code}/redeem"), bob).await;
    stranger.is("404 NOT_FOUND", "the same order of another user");

    service.cancel(Shop, &code, "2").await.is("409 NOT_REDEEMED", "cancel of another order");
    let cancelled = service.cancel(Shop, &code, "1").await;
    assert!(cancelled.is("200", "cancel").json["redemption"]["cancelled_at"].is_string());
    assert_eq!(cancelled.json["coupon"]["state"], "issued");
    assert_eq!(cancelled.json["coupon"]["expired"], false);
    for what in ["redeem", "hold"] {
        service.does(what, &code, "1").await.is("409 REDEMPTION_CANCELLED", what);
    }
    service.does("redeem", &code, "1-2").await.is("201", "the next attempt");
    service.clock.pass(5_000);
    let twice = service.cancel(Shop, &code, "1").await;
    assert_eq!(
        twice.is("200", "cancel again").json["redemption"],
        cancelled.json["redemption"],
        "a replay"
    );
    assert_eq!(twice.json["coupon"]["state"], "redeemed", "the newer redemption stays");
    assert_eq!(twice.json["coupon"]["order_ref"], "1-2");
    service.does("redeem", &code, "1").await.is("409 REDEMPTION_CANCELLED", "for ever");

    service.set("2040-01-01T00:00:00Z");
    let service = service.reopened();
    let later = service.does("redeem", &code, "1-2").await;
    assert_eq!(later.is("200", "13 years and a restart later").string("order_ref"), "1-2");
    service.does("redeem", &code, "1").await.is("409 REDEMPTION_CANCELLED", "after a restart");
}

#[tokio::test]
async fn a_replay_is_answered_after_later_changes() {
    for (limit, reference) in [(1, None), (1, Some("r1")), (3, Some("r1"))] {
        let service = Service::new();
        let window =
            json!({"per_user_limit": limit, "issue_until": "2027-01-01T00:00:00Z", "stock": 1});
        service.campaign("c", window).await;
        let code = issue(&service, "ann", reference).await.is("201", "issue").string("code");
        let again = async |name: &str| {
            let answer = issue(&service, "ann", reference).await;
            let name = format!("{name}, limit {limit}, {reference:?}");
            assert_eq!(answer.is("200", &name).string("code"), code, "{name}");
        };
        again("sold out").await;
        service.patch(Admin, "/v1/campaigns/c", json!({"paused": true})).await.is("200", "pause");
        again("paused").await;
        service.patch(Admin, "/v1/campaigns/c", json!({"paused": false})).await.is("200", "on");
        service.does("redeem", &code, "1").await.is("201", "redeem");
        again("redeemed").await;
        service.set("2027-01-01T00:00:00Z");
        again("after the issue window").await;
        service.set("2029-01-01T00:00:00Z");
        again("expired").await;
    }
}

#[tokio::test]
async fn a_revoke_is_made_once() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 1})).await;
    let code = service.issued("c", "ann").await;
    let revoke =
        async |body: Value| service.post(Admin, &format!("/v1/coupons/{code}/revoke"), body).await;
    let named = json!({"user_id": "ann", "revoke_ref": "ticket-1", "reason": "mistake"});
    assert_eq!(revoke(named.clone()).await.is("200", "the first").json["state"], "available");
    revoke(named.clone()).await.is("200", "a repeat");
    assert_eq!(service.issued("c", "ann").await, code, "issued to the same user again");
    let repeated = revoke(named).await;
    assert_eq!(repeated.is("200", "a late repeat").json["holder"], "ann", "the newer issue stays");
    let other = json!({"user_id": "bob", "revoke_ref": "ticket-1"});
    revoke(other).await.is("409 NAME_TAKEN", "for another user");
    let seen = json!({"user_id": "ann", "version": 1});
    revoke(seen).await.is("409 VERSION_CONFLICT", "an old version");
    let service = service.reopened();
    let read = service.get(Admin, &format!("/v1/coupons/{code}")).await;
    assert_eq!(read.json["events"][1]["reference"], "ticket-1", "{}", read.json);
}

/// `Idempotency-Key` is another way to write the name that a body has a field for.
#[tokio::test]
async fn a_key_is_a_name() {
    let service = Service::new();
    service.campaign("c", json!({"per_user_limit": 5})).await;
    let send = async |path: &str, key: &'static str, body: &Value| {
        service
            .send(Admin, Asked::new("POST", path).json(body).header("idempotency-key", key))
            .await
    };
    let issue = "/v1/campaigns/c/issue";
    let ann = json!({"user_id": "ann"});
    let code = send(issue, "k1", &ann).await.is("201", "the first").string("code");
    let again = send(issue, "\"k1\"", &ann).await;
    assert_eq!(again.is("200", "again, in quotes").string("code"), code);
    let named = json!({"user_id": "ann", "issue_ref": "k1"});
    let again = service.post(Admin, issue, named.clone()).await;
    assert_eq!(again.is("200", "the field has the same name").string("code"), code);
    send(issue, "k1", &named).await.is("200", "both");
    send(issue, "k2", &ann).await.is("201", "another key");
    let redeem = format!("/v1/coupons/{code}/redeem");
    let order = json!({"user_id": "ann", "order_ref": "o1"});
    let revoke = format!("/v1/coupons/{code}/revoke");
    let issue_code = format!("/v1/coupons/{code}/issue");
    let cases = [
        ("a contradiction", issue, "k3", &named, "400 INVALID"),
        ("no name", issue, "", &ann, "400 INVALID"),
        ("too long", issue, long(), &ann, "400 INVALID"),
        ("revoked", &revoke, "r1", &ann, "200"),
        ("a call that has no name", &issue_code, "k1", &ann, "400 INVALID"),
    ];
    for (name, path, key, body, want) in cases {
        send(path, key, body).await.is(want, name);
    }
    service.post(Admin, &issue_code, ann.clone()).await.is("201", "issued to her again");
    let cases = [
        ("revoked before", &revoke, "r1", &ann, "200"),
        ("another order", &redeem, "o2", &order, "400 INVALID"),
        ("the order", &redeem, "o1", &order, "201"),
    ];
    for (name, path, key, body, want) in cases {
        send(path, key, body).await.is(want, name);
    }
    assert_eq!(
        service.coupon(&code).await["state"],
        "redeemed",
        "the second revoke changed nothing"
    );
}

/// A second request that changes nothing says so, also where both answers have the same status.
#[tokio::test]
async fn a_replay_says_so() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let void = service.codes("c").await.remove(0);
    let order = json!({"user_id": "ann", "order_ref": "o1"});
    let held = json!({"user_id": "ann", "order_ref": "o1", "seconds": 60});
    let campaign = json!({"campaign_id": "d", "expires_on": "2027-12-31"});
    let at = |call: &str| format!("/v1/coupons/{code}/{call}");
    let calls = [
        ("/v1/campaigns".to_owned(), campaign),
        ("/v1/campaigns/c/batches".to_owned(), json!({"batch_id": "b", "count": 1})),
        ("/v1/webhooks".to_owned(), json!({"webhook_id": "w", "url": "https://shop.example/h"})),
        (at("extend"), json!({"expires_on": "2028-12-31"})),
        (at("hold"), held),
        (at("release"), json!({"order_ref": "o1"})),
        (at("redeem"), order),
        (at("cancel-redemption"), json!({"order_ref": "o1"})),
        (at("revoke"), json!({"user_id": "ann", "revoke_ref": "r1"})),
        ("/v1/campaigns/c/issue".to_owned(), json!({"user_id": "bob"})),
        (format!("/v1/coupons/{void}/void"), json!({})),
    ];
    for (path, body) in calls {
        for (nth, want) in [("first", None), ("second", Some("true"))] {
            let answer = service.post(Admin, &path, body.clone()).await;
            assert!(answer.status < 300, "{path}, {nth}: {}", answer.text);
            assert_eq!(answer.header("idempotent-replayed"), want, "{path}, {nth}");
        }
    }
}

/// A create without a name and with a key is repeated as safely as one with a name.
#[tokio::test]
async fn a_key_names_what_is_created() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let batches = "/v1/campaigns/c/batches";
    let send = async |path: &str, key: &'static str, body: &Value| {
        service
            .send(Admin, Asked::new("POST", path).json(body).header("idempotency-key", key))
            .await
    };
    let campaign = json!({"expires_on": "2027-12-31"});
    let hook = json!({"url": "https://shop.example/hook"});
    let named = json!({"batch_id": "b", "count": 10});
    let cases = [
        ("a campaign", "/v1/campaigns", "new-1", &campaign, "201"),
        ("a campaign again", "/v1/campaigns", "new-1", &campaign, "200"),
        ("another campaign", "/v1/campaigns", "new-2", &campaign, "201"),
        ("a batch", batches, "mint-1", &json!({"count": 10}), "201"),
        ("a batch again", batches, "mint-1", &json!({"count": 10}), "200"),
        ("another count", batches, "mint-1", &json!({"count": 11}), "409 NAME_TAKEN"),
        ("a batch of another name", batches, "mint-2", &named, "400 INVALID"),
        ("a webhook", "/v1/webhooks", "hook-1", &hook, "201"),
        ("a webhook again", "/v1/webhooks", "hook-1", &hook, "200"),
        ("a key that is no name", "/v1/campaigns", "a/b", &campaign, "400 INVALID"),
        ("a secret", "/v1/webhooks/hook-1/rotate-secret", "r1", &json!({}), "200"),
        ("a hold", "/v1/coupons/AAAA/hold", "h1", &json!({"order_ref": "o"}), "400 INVALID"),
        ("a test", "/v1/webhooks/hook-1/test", "t1", &json!({}), "400 INVALID"),
    ];
    for (name, path, key, body, want) in cases {
        send(path, key, body).await.is(want, name);
    }
    let stock = &service.get(Admin, "/v1/campaigns/c").await.json["stock"];
    assert_eq!(*stock, 20, "its own ten and those of mint-1");
    let file = || Asked::new("POST", batches).csv("code\nOLD00001\n");
    for (name, want) in [("a file", "201"), ("a file again", "200")] {
        let asked = file().header("idempotency-key", "file-1");
        let answer = service.send(Admin, asked).await;
        assert_eq!(answer.is(want, name).string("batch_id"), "file-1", "{name}");
    }
    let change = Asked::new("PATCH", "/v1/campaigns/c").json(&json!({"paused": true}));
    let change = service.send(Admin, change.header("idempotency-key", "p1")).await;
    change.is("400 INVALID", "a change");
    let read = Asked::new("GET", "/v1/campaigns/c").header("idempotency-key", "g1");
    service.send(Admin, read).await.is("200", "a read");
}

fn long() -> &'static str {
    static LONG: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "k".repeat(129));
    &LONG
}

/// Of two people who read a campaign and then change it, the second learns of the first.
#[tokio::test]
async fn a_change_of_what_somebody_read() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let path = "/v1/campaigns/c";
    let patch = async |tag: &str, body: Value| {
        let asked = Asked::new("PATCH", path).json(&body).header("if-match", tag);
        service.send(Admin, asked).await
    };
    let tag_of = |answer: &Answer| answer.header("etag").expect("a tag").to_owned();
    let read = tag_of(&service.get(Admin, path).await);
    service.issued("c", "ann").await;
    assert_eq!(tag_of(&service.get(Shop, path).await), read, "a count is no change");
    let changed = patch(&read, json!({"name": "Summer"})).await;
    let now = tag_of(changed.is("200", "the first"));
    let body = json!({"per_user_limit": 3});
    let both = format!("{read}, {now}");
    let weak = format!("W/{now}");
    let cases = [
        ("the second", read.as_str(), "412 PRECONDITION_FAILED"),
        ("a weak one", &weak, "412 PRECONDITION_FAILED"),
        ("of something else", "\"x\"", "412 PRECONDITION_FAILED"),
        ("no tag", "x", "400 INVALID"),
        ("one of two", &both, "200"),
        ("its own repeat", &now, "412 PRECONDITION_FAILED"),
        ("whatever there is", "*", "200"),
    ];
    for (name, tag, want) in cases {
        patch(tag, body.clone()).await.is(want, name);
    }
    service.patch(Admin, path, json!({"name": "Autumn"})).await.is("200", "without a tag");
    let seen = service.get(Admin, path).await.json.clone();
    assert_eq!((&seen["name"], &seen["per_user_limit"]), (&json!("Autumn"), &json!(3)));
}
