//! The audit: who changed campaigns and batches, and why.

use serde_json::{Value, json};

use crate::service::{Admin, Operator, Service, Shop};

#[tokio::test]
async fn who_paused_it_and_why() {
    let service = Service::new();
    service.campaign("a", json!({"metadata": {"percent": 10}})).await;
    service.campaign("b", json!({})).await;
    service.clock.pass(1_000);
    let at = service.after(0);
    let changes = json!({"paused": true, "metadata": {"percent": 20}, "reason": "a wrong price"});
    service.patch(Admin, "/v1/campaigns/a", changes).await.is("200", "changed");
    let paused = json!({"paused": true, "reason": "codes leaked"});
    service.patch(Admin, "/v1/campaigns/a/batches/first", paused).await.is("200", "paused");

    let audit = service.get(Operator, "/v1/campaigns/a/audit").await;
    let types = ["batch.paused", "campaign.paused", "campaign.updated", "batch.created"];
    assert_eq!(audit.data("type")[..4], types);
    let entry = |kind: &str, batch: Value, reason: &str, changes: Value| {
        json!({"type": kind, "at": at, "actor": "admin:root", "campaign_id": "a",
            "batch_id": batch, "reason": reason, "changes": changes})
    };
    let price =
        json!([{"field": "metadata", "from": r#"{"percent":10}"#, "to": r#"{"percent":20}"#}]);
    let cases = [
        entry("batch.paused", json!("first"), "codes leaked", json!([])),
        entry("campaign.paused", Value::Null, "a wrong price", json!([])),
        entry("campaign.updated", Value::Null, "a wrong price", price),
    ];
    for (nth, want) in cases.iter().enumerate() {
        assert_eq!(&audit.json["data"][nth], want);
    }
    let all = service.get(Admin, "/v1/audit").await;
    assert_eq!(all.data("campaign_id"), ["a", "a", "a", "b", "b", "a", "a"]);
    // Page by page it is the same.
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(Admin, &format!("/v1/audit?limit=2{cursor}")).await;
        read.extend(page.json["data"].as_array().expect("entries").iter().cloned());
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(Value::from(read), all.json["data"]);
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong() {
    let service = Service::new();
    service.campaign("a", json!({})).await;
    let long = "x".repeat(201);
    let patched = |reason: &str| json!({"paused": true, "reason": reason});
    service.patch(Admin, "/v1/campaigns/a", patched(&long)).await.is("400 INVALID", "too long");
    service.patch(Admin, "/v1/campaigns/a", patched("")).await.is("400 INVALID", "empty");
    let cases = [
        ("a shop", service.get(Shop, "/v1/audit").await, "403 FORBIDDEN"),
        ("no such campaign", service.get(Admin, "/v1/campaigns/x/audit").await, "404 NOT_FOUND"),
        ("a cursor of nothing", service.get(Admin, "/v1/audit?cursor=x").await, "400 INVALID"),
    ];
    for (name, answer, want) in cases {
        answer.is(want, name);
    }
    // A cursor belongs to its list.
    let first = service.get(Admin, "/v1/audit?limit=1").await.string("next_cursor");
    let other = service.get(Admin, &format!("/v1/campaigns/a/audit?cursor={first}")).await;
    other.is("400 INVALID", "of another list");
}
