//! Webhooks: the calls of a person who sets one up. What is posted is tested in the crate `webhooks`, and through
//! the binary in `tests/service`.

use serde_json::{Value, json};

use crate::service::{Admin, Operator, Service};

/// An address at which nobody listens.
const HOOK: &str = "http://127.0.0.1:9/";

#[tokio::test]
async fn a_webhook_is_made_changed_and_deleted() {
    let service = Service::new();
    let new =
        json!({"webhook_id": "w", "url": HOOK, "types": ["coupon.redeemed"], "ordered": true});
    let made = service.post(Admin, "/v1/webhooks", new.clone()).await;
    made.is("201", "made");
    let secret = made.string("secret");
    assert!(secret.starts_with("whsec_"), "{secret}");
    let again = service.post(Admin, "/v1/webhooks", new).await;
    assert_eq!(again.is("200", "again").string("secret"), secret, "the same one");
    let other = json!({"webhook_id": "w", "url": "http://127.0.0.1:8/"});
    service.post(Admin, "/v1/webhooks", other).await.is("409 NAME_TAKEN", "other values");
    let cases = [
        ("paused", json!({"paused": true}), "state", json!("paused")),
        ("paused again", json!({"paused": true}), "state", json!("paused")),
        ("resumed", json!({"paused": false}), "state", json!("active")),
        ("all types", json!({"types": null}), "types", Value::Null),
        ("another type", json!({"types": ["coupon.held"]}), "types", json!(["coupon.held"])),
        ("a campaign", json!({"campaign_id": "c"}), "campaign_id", json!("c")),
        ("described", json!({"description": "for the till"}), "description", json!("for the till")),
    ];
    for (name, change, field, want) in cases {
        let changed = service.patch(Admin, "/v1/webhooks/w", change).await;
        assert_eq!(changed.is("200", name).json[field], want, "{name}");
        assert_eq!(changed.json["secret"], Value::Null, "{name}");
    }
    // The report is about all campaigns, and the webhook has one.
    let report = json!({"types": ["report.weekly"]});
    service.patch(Admin, "/v1/webhooks/w", report).await.is("400 INVALID", "of one campaign");
    let rotate = "/v1/webhooks/w/rotate-secret";
    let rotated = service.post(Admin, rotate, json!({"rotate_ref": "r"})).await.string("secret");
    let again = service.post(Admin, rotate, json!({"rotate_ref": "r"})).await.string("secret");
    assert!(rotated != secret && rotated == again, "a new one, and the same again");
    let list = service.get(Operator, "/v1/webhooks").await;
    assert_eq!(list.json["data"][0]["secrets"].as_array().map(Vec::len), Some(2));
    assert!(!list.text.contains("whsec_"), "no secret is shown");
    service.delete(Admin, "/v1/webhooks/w").await.is("204", "deleted");
    service.get(Operator, "/v1/webhooks/w").await.is("404 NOT_FOUND", "gone");
    let audit = service.get(Operator, "/v1/audit?limit=50").await;
    assert!(!audit.text.contains("whsec_"), "no secret is in the audit");
    let kinds = audit.data("type");
    let count = |kind: &str| kinds.iter().filter(|it| *it == kind).count();
    let entries = ["created", "updated", "secret_rotated", "deleted"];
    let entries = entries.map(|it| count(&format!("webhook.{it}")));
    assert_eq!(entries, [1, 6, 1, 1], "what changes nothing has no entry: {kinds:?}");
}

/// A query may have a secret in it: only who may change the webhook reads it.
#[tokio::test]
async fn who_reads_the_query_of_a_url() {
    let service = Service::new();
    let new = json!({"webhook_id": "w", "url": "HTTP://127.0.0.1:9?key=s3cret"});
    let made = service.post(Admin, "/v1/webhooks", new).await;
    let (whole, hidden) = ("http://127.0.0.1:9/?key=s3cret", "http://127.0.0.1:9/?...");
    assert_eq!(made.is("201", "made").json["url"], whole, "in its normal form");
    let change = json!({"url": "http://127.0.0.1:9/?key=0ther-s3cret"});
    service.patch(Admin, "/v1/webhooks/w", change).await.is("200", "changed");
    service.patch(Admin, "/v1/webhooks/w", json!({"url": whole})).await.is("200", "back");
    let read = service.get(Admin, "/v1/webhooks/w").await;
    assert_eq!(read.json["url"], whole);
    let list = service.get(Admin, "/v1/webhooks").await;
    assert_eq!(list.json["data"][0]["url"], whole);
    let read = service.get(Operator, "/v1/webhooks/w").await;
    assert_eq!(read.json["url"], hidden);
    let list = service.get(Operator, "/v1/webhooks").await;
    assert_eq!(list.json["data"][0]["url"], hidden);
    let audit = service.get(Operator, "/v1/audit?limit=50").await;
    assert!(audit.text.contains(hidden) && !audit.text.contains("s3cret"), "{}", audit.text);
    let kinds = audit.data("type");
    assert_eq!(kinds[..3], ["webhook.updated", "webhook.updated", "webhook.created"]);
}

#[tokio::test]
async fn a_test_says_what_the_receiver_answered() {
    let service = Service::new();
    service
        .post(Admin, "/v1/webhooks", json!({"webhook_id": "w", "url": HOOK}))
        .await
        .is("201", "made");
    let tested = service.post(Admin, "/v1/webhooks/w/test", json!({})).await;
    assert_eq!(tested.is("200", "tested").json["delivered"], false);
    assert!(tested.json["error"].as_str().is_some_and(|why| !why.is_empty()), "{}", tested.text);
    let log = service.get(Operator, "/v1/webhooks/w/deliveries?state=failed").await;
    assert_eq!(log.data("type"), ["webhook.test"]);
    let redeliver = format!("/v1/webhooks/w/deliveries/{}/redeliver", tested.json["delivery_id"]);
    let waits = service.post(Admin, &redeliver, json!({})).await;
    assert_eq!(waits.is("200", "again").json["state"], "pending");
    let audit = service.get(Operator, "/v1/audit?limit=50").await.data("type");
    assert_eq!(audit[..2], ["webhook.redelivered", "webhook.tested"]);
    let cases = [
        ("no such delivery", "/v1/webhooks/w/deliveries/99/redeliver", "404 NOT_FOUND"),
        ("no number", "/v1/webhooks/w/deliveries/x/redeliver", "404 NOT_FOUND"),
        ("no such webhook", "/v1/webhooks/x/test", "404 NOT_FOUND"),
    ];
    for (name, target, want) in cases {
        service.post(Admin, target, json!({})).await.is(want, name);
    }
}

#[tokio::test]
async fn what_no_webhook_may_be() {
    let service = Service::new();
    let cases = [
        ("no address", json!({"url": "shop.example"}), "url"),
        ("another scheme", json!({"url": "ftp://shop.example/"}), "url"),
        ("a password", json!({"url": "https://ann:secret@shop.example/"}), "url"),
        ("an unknown type", json!({"url": HOOK, "types": ["coupon.eaten"]}), "types"),
        ("no types", json!({"url": HOOK, "types": []}), "types"),
        ("a name with a slash", json!({"url": HOOK, "webhook_id": "a/b"}), "webhook_id"),
        ("no campaign", json!({"url": HOOK, "campaign_id": "a b"}), "campaign_id"),
    ];
    for (name, body, field) in cases {
        let answer = service.post(Admin, "/v1/webhooks", body).await;
        assert_eq!(answer.is("400 INVALID", name).fields(), [field], "{name}");
    }
}
