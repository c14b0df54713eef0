//! A paused campaign or batch refuses issue, hold and redeem, and loses nothing.

use serde_json::{Value, json};

use crate::service::{Admin, Service, Shop};

const CAMPAIGN: &str = "/v1/campaigns/c";
const BATCH: &str = "/v1/campaigns/c/batches/first";

#[tokio::test]
async fn campaign_and_batch() {
    for (name, target) in [("campaign", CAMPAIGN), ("batch", BATCH)] {
        let service = Service::new();
        service.campaign("c", json!({})).await;
        let code = service.issued("c", "ann").await;
        let untouched = service.codes("c").await.remove(8);
        let before = service.coupon(&code).await;
        service.clock.pass(60_000);
        let paused = service.patch(Admin, target, json!({"paused": true})).await;
        assert_eq!(paused.is("200", name).json["paused"], true, "{name}");

        let issue = || service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "bob"}));
        let bob = json!({"user_id": "bob"});
        issue().await.is("409 PAUSED", name);
        service.admin("issue", &untouched, bob.clone()).await.is("409 PAUSED", name);
        service.does("hold", &code, "1").await.is("409 PAUSED", name);
        service.does("redeem", &code, "1").await.is("409 PAUSED", name);
        let check = service.does("check", &code, "1").await;
        assert_eq!(check.is("200", name).json["redeemable"], false, "{name}");
        assert_eq!(check.json["refusal"], "PAUSED", "{name}");

        let mut after = service.coupon(&code).await;
        assert_eq!(after["paused"], true, "{name}");
        after["paused"] = json!(false);
        assert_eq!(after, before, "{name}: nothing was written to the coupon");
        assert_eq!(service.codes("c").await.len(), 9, "{name}: nor to the other coupons");
        let again = service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "ann"})).await;
        assert!(again.status == 200 || again.word() == "409 PAUSED", "{name}: {}", again.text);

        service.patch(Admin, target, json!({"paused": false})).await.is("200", name);
        issue().await.is("201", name);
        service.admin("issue", &untouched, json!({"user_id": "eve"})).await.is("201", name);
        service.does("redeem", &code, "1").await.is("201", name);
    }
}

#[tokio::test]
async fn a_paused_batch_does_not_stop_the_others() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 1})).await;
    let body = json!({"batch_id": "second", "count": 1});
    service.post(Admin, "/v1/campaigns/c/batches", body).await.is("201", "a second batch");
    service.patch(Admin, BATCH, json!({"paused": true, "reason": "misprint"})).await.is("200", "");
    let issue = async |user: &str| {
        service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": user})).await
    };
    assert_eq!(issue("ann").await.is("201", "from the second").string("batch_id"), "second");
    issue("bob").await.is("409 PAUSED", "only paused coupons are left: not SOLD_OUT");
    service.patch(Admin, BATCH, json!({"paused": false})).await.is("200", "resume");
    assert_eq!(issue("bob").await.is("201", "resumed").string("batch_id"), "first");
    issue("eve").await.is("409 SOLD_OUT", "now SOLD_OUT");
}

#[tokio::test]
async fn what_a_pause_allows() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let redeemed = service.issued("c", "ann").await;
    let issued = service.issued("c", "bob").await;
    let dead = service.issued("c", "eve").await;
    service.does("redeem", &redeemed, "1").await.is("201", "before");
    service.patch(Admin, CAMPAIGN, json!({"paused": true})).await.is("200", "pause");
    service.does("redeem", &redeemed, "1").await.is("200", "a replay");
    service.cancel(Shop, &redeemed, "1").await.is("200", "cancel");
    let cases: [(&str, &String, Value); 3] = [
        ("extend", &issued, json!({"expires_on": "2029-01-01"})),
        ("revoke", &issued, json!({"user_id": "bob"})),
        ("void", &dead, json!({})),
    ];
    for (what, code, body) in cases {
        service.admin(what, code, body).await.is("200", what);
    }
    let body = json!({"batch_id": "b", "count": 5});
    service.post(Admin, "/v1/campaigns/c/batches", body).await.is("201", "mint");
}

#[tokio::test]
async fn a_shared_word_and_a_bearer_code() {
    let service = Service::new();
    service.campaign("s", json!({"handout": "shared", "shared_code": "SUMMER"})).await;
    service.campaign("b", json!({"handout": "bearer"})).await;
    let bearer = service.codes("b").await.remove(0);
    for id in ["s", "b"] {
        let target = format!("/v1/campaigns/{id}");
        service.patch(Admin, &target, json!({"paused": true})).await.is("200", id);
    }
    for code in ["SUMMER", bearer.as_str()] {
        for what in ["hold", "redeem"] {
            service.does(what, code, "1").await.is("409 PAUSED", &format!("{what} {code}"));
        }
        let check = service.does("check", code, "1").await;
        assert_eq!(check.is("200", code).json["refusal"], "PAUSED", "{code}");
    }
    service.admin("issue", &bearer, json!({"user_id": "ann"})).await.is("409 PAUSED", "wallet");
    assert_eq!(service.coupon(&bearer).await["version"], 0);
    let issued = service.get(Admin, "/v1/campaigns/s").await.json["issued"].clone();
    assert_eq!(issued, 0, "the shared code issued nothing");
}

#[tokio::test]
async fn the_issue_window_to_the_millisecond() {
    let service = Service::new();
    let window = json!({
        "issue_from": "2026-12-01T00:00:00Z", "issue_until": "2026-12-02T00:00:00Z", "stock": 100,
    });
    service.campaign("c", window).await;
    let code = service.codes("c").await.remove(50);
    let cases = [
        ("a millisecond before it opens", "2026-11-30T23:59:59.999Z", "409 ISSUE_CLOSED"),
        ("when it opens", "2026-12-01T00:00:00Z", "201"),
        ("its last millisecond", "2026-12-01T23:59:59.999Z", "201"),
        ("when it closes", "2026-12-02T00:00:00Z", "409 ISSUE_CLOSED"),
    ];
    for (nth, (name, now, want)) in cases.into_iter().enumerate() {
        service.set(now);
        let user = json!({"user_id": format!("user{nth}")});
        service.post(Shop, "/v1/campaigns/c/issue", user.clone()).await.is(want, name);
        if want != "201" {
            service.admin("issue", &code, user).await.is(want, name);
        }
    }
    let patch = json!({"issue_until": null});
    service.patch(Admin, CAMPAIGN, patch).await.is("200", "open for ever");
    service.post(Shop, "/v1/campaigns/c/issue", json!({"user_id": "late"})).await.is("201", "");
    let empty = json!({"issue_until": "2026-12-01T00:00:00Z"});
    let answer = service.patch(Admin, CAMPAIGN, empty).await;
    assert_eq!(answer.is("400 INVALID", "an empty window").fields(), ["issue_until"]);
}
