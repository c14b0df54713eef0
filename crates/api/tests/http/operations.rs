//! `POST /v1/batch`: many calls in one request, each with its own answer.

use std::sync::Arc;

use api::{AccessPolicy, GUESSES_MAX, OPERATIONS_BYTES_MAX, OPERATIONS_MAX};
use serde_json::{Value, json};
use server::request_rate::RequestRate;

use crate::service::{ANN, Admin, Answer, Asked, Service, Shop, Who};

const BATCH: &str = "/v1/batch";

async fn does(service: &Service, who: Who<'_>, operations: &[Value]) -> Answer {
    service.post(who, BATCH, json!({"operations": operations})).await
}

fn redeem(code: &str, order: &str) -> Value {
    json!({"action": "redeem", "code": code, "body": {"user_id": "ann", "order_ref": order}})
}

/// The status and the problem code of each result.
fn words(answer: &Answer) -> Vec<String> {
    let results = answer.is("200", "the request").json["results"].as_array().expect("results");
    results.iter().map(word).collect()
}

fn word(result: &Value) -> String {
    let status = result["status"].to_string();
    match result["body"]["code"].as_str().filter(|_| !status.starts_with('2')) {
        Some(code) => format!("{status} {code}"),
        None => status,
    }
}

#[tokio::test]
async fn each_operation_is_answered_as_its_call() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let at = |action: &str, body: Value| json!({"action": action, "code": code, "body": body});
    let order = || json!({"user_id": "ann", "order_ref": "1"});
    let issue = json!({"user_id": "bob", "issue_ref": "b1"});
    let rows: Vec<(Value, &str)> = vec![
        (json!({"action": "issue", "campaign_id": "c", "body": issue}), "201"),
        (json!({"action": "issue", "campaign_id": "none", "body": issue}), "404 NOT_FOUND"),
        (json!({"action": "issue", "campaign_id": "no name!", "body": issue}), "404 NOT_FOUND"),
        (at("check", order()), "200"),
        (at("hold", order()), "201"),
        (at("release", json!({"order_ref": "1"})), "200"),
        (at("redeem", order()), "201"),
        (at("redeem", order()), "200"),
        (redeem(&code, "2"), "409 ALREADY_REDEEMED"),
        (at("cancel-redemption", json!({"order_ref": "1"})), "200"),
        (at("revoke", json!({"user_id": "ann", "revoke_ref": "r"})), "200"),
        (at("issue", json!({"user_id": "eve"})), "201"),
        (at("extend", json!({"expires_on": "2030-01-01"})), "200"),
        (at("void", json!({})), "200"),
        (json!({"action": "void", "code": code}), "200"),
        (redeem("0000-0000", "1"), "404 NOT_FOUND"),
        (redeem("", "1"), "404 NOT_FOUND"),
        (at("redeem", json!({"user_id": "ann"})), "400 INVALID"),
        (at("redeem", json!({"order_ref": "1", "colour": "red"})), "400 INVALID"),
        (at("redeem", json!([])), "400 INVALID"),
        (at("spend", order()), "400 INVALID"),
        (json!({"action": "redeem", "body": order()}), "400 INVALID"),
        (json!({"action": "redeem", "campaign_id": "c", "body": order()}), "400 INVALID"),
        (
            json!({"action": "issue", "campaign_id": "c", "code": code, "body": issue}),
            "400 INVALID",
        ),
        (json!({"action": "check", "code": code, "more": 1}), "400 INVALID"),
        (json!(7), "400 INVALID"),
    ];
    let (operations, want): (Vec<Value>, Vec<&str>) = rows.into_iter().unzip();
    let answer = does(&service, Admin, &operations).await;
    assert_eq!(words(&answer), want);
    let results = answer.json["results"].as_array().expect("results");
    let replayed = (0..results.len()).filter(|nth| results[*nth]["replayed"] == true);
    // The second redeem, and the second void.
    assert_eq!(replayed.collect::<Vec<_>>(), [7, 14]);
    let single = service.post(Admin, &format!("/v1/coupons/{code}/void"), json!({})).await;
    // In between it may have been archived.
    let without_tier = |coupon: &Value| {
        let mut coupon = coupon.clone();
        coupon.as_object_mut().expect("a coupon").remove("tier");
        coupon
    };
    assert_eq!(without_tier(&results[14]["body"]), without_tier(&single.json));
    let missing = &results[17]["body"];
    assert_eq!(missing["errors"][0]["field"], "order_ref");
    assert_eq!(missing["request_id"].as_str(), answer.header("x-request-id"));
}

#[tokio::test]
async fn many_of_one_stock_are_issued_once() {
    let service = Service::new();
    service.campaign("c", json!({"stock": 60})).await;
    let operations: Vec<Value> = (0..100)
        .map(|nth| {
            let body = json!({"user_id": format!("user-{nth}")});
            json!({"action": "issue", "campaign_id": "c", "body": body})
        })
        .collect();
    for (name, want) in [("first", "201"), ("again", "200")] {
        let answer = does(&service, Shop, &operations).await;
        let words = words(&answer);
        let issued = words.iter().filter(|word| *word == want).count();
        let sold_out = words.iter().filter(|word| *word == "409 SOLD_OUT").count();
        assert_eq!((issued, sold_out), (60, 40), "{name}");
    }
}

#[tokio::test]
async fn a_line_for_each() {
    let service = Service::new();
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    let text = format!("{}\r\n\n{}\n7", redeem(&code, "1"), redeem(&code, "2"));
    let asked = Asked::new("POST", BATCH).typed("application/x-ndjson; charset=utf-8", text);
    let answer = service.send_unchecked(Shop, asked).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let lines = answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let words: Vec<String> = lines.map(|line: Value| word(&line)).collect();
    assert_eq!(words, ["201", "409 ALREADY_REDEEMED", "400 INVALID"]);
}

#[tokio::test]
async fn requests_that_cannot_be_read() {
    let service = Service::new();
    let many = vec![json!({}); OPERATIONS_MAX + 1];
    let rows = [
        ("none", json!({"operations": []}), "400 INVALID"),
        ("too many", json!({"operations": many}), "400 INVALID"),
        ("no list", json!({"operations": {}}), "400 INVALID"),
        ("another field", json!({"operations": [1], "atomic": true}), "400 INVALID"),
        ("as many as there may be", json!({"operations": many[1..]}), "200"),
    ];
    for (name, body, want) in rows {
        service.post(Shop, BATCH, body).await.is(want, name);
    }
    let rows = [
        ("too long", "application/json", OPERATIONS_BYTES_MAX + 1, "413 TOO_LARGE"),
        ("too long in lines", "application/x-ndjson", OPERATIONS_BYTES_MAX + 1, "413 TOO_LARGE"),
        ("no lines", "application/x-ndjson", 3, "400 INVALID"),
        ("another type", "text/csv", 3, "415 UNSUPPORTED_MEDIA_TYPE"),
    ];
    for (name, kind, bytes, want) in rows {
        let asked = Asked::new("POST", BATCH).typed(kind, vec![b'\n'; bytes]);
        service.send(Shop, asked).await.is(want, name);
    }
}

#[tokio::test]
async fn limits_are_those_of_single_calls() {
    let service = Service::new();
    let count = GUESSES_MAX as usize + 10;
    let guesses: Vec<Value> = (0..count)
        .map(|nth| {
            let body = json!({"order_ref": "1"});
            json!({"action": "redeem", "code": format!("GUESS-{nth}"), "body": body})
        })
        .collect();
    // Those that were under way when the last guess was counted are answered, too.
    does(&service, ANN, &guesses).await;
    let answer = does(&service, ANN, &guesses[..3]).await;
    assert_eq!(words(&answer), ["429 TOO_MANY"; 3]);

    let rate = RequestRate::new(5).expect("a rate").map(Arc::new);
    let service = Service::new().allowing(AccessPolicy { rate, ..AccessPolicy::default() });
    let answer = does(&service, Shop, &guesses[..20]).await;
    let refused = words(&answer).iter().filter(|word| *word == "429 TOO_MANY").count();
    assert!(refused >= 10, "the request and its operations share five a second: {refused}");
}
