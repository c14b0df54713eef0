//! What a problem says of a body or a query: the field, what was found, and what is wanted.

use serde_json::{Value, json};

use crate::service::{ANN, Admin, Asked, Nobody, Service, Shop};

/// The field and the detail of the only error.
fn fault(answer: &Value) -> (String, String) {
    let errors = answer["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 1, "{answer}");
    let text = |key: &str| errors[0][key].as_str().unwrap_or("?").to_owned();
    let (field, detail) = (text("field"), text("detail"));
    assert_eq!(answer["detail"], format!("{field} {detail}"), "one sentence says both");
    (field, detail)
}

#[tokio::test]
async fn values() {
    let campaigns = "/v1/campaigns";
    let hold = "/v1/coupons/AAAAAAAAAAAAAAAA/hold";
    let webhooks = "/v1/webhooks";
    let long = format!("{{\"stock\": \"{}\"}}", "9".repeat(10_000));
    let cut = format!("is the text \"{}…, want a whole number, at least 0", "9".repeat(63));
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        (
            "a text for a number",
            campaigns,
            r#"{"stock": "5"}"#,
            "stock",
            "is the text \"5\", want a whole number, at least 0",
        ),
        (
            "a text for a number with limits",
            hold,
            r#"{"order_ref": "1", "seconds": "5"}"#,
            "seconds",
            "is the text \"5\", want a whole number from 1 to 604800",
        ),
        (
            "a number below zero",
            campaigns,
            r#"{"per_user_limit": -1}"#,
            "per_user_limit",
            "is the number -1, want a whole number from 1 to 100",
        ),
        (
            "a number that is too large for its type",
            campaigns,
            r#"{"valid_days": 70000}"#,
            "valid_days",
            "is the number 70000, want a whole number from 1 to 3660",
        ),
        (
            "a fraction",
            campaigns,
            r#"{"cancel_days": 0.5}"#,
            "cancel_days",
            "is the number 0.5, want a whole number from 0 to 366",
        ),
        (
            "a whole number with a point",
            hold,
            r#"{"order_ref": "1", "order_amount": 50000.0}"#,
            "order_amount",
            "is the number 50000.0, want a whole number, at least 0",
        ),
        (
            "a text with our words in it",
            campaigns,
            r#"{"stock": "a, expected `b` at line 1 column 2"}"#,
            "stock",
            "is the text \"a, expected `b` at line 1 column 2\", want a whole number, at least 0",
        ),
        ("a long text", campaigns, &long, "stock", &cut),
        (
            "a number for a text",
            campaigns,
            r#"{"name": 5}"#,
            "name",
            "is the number 5, want a text",
        ),
        ("true for a text", campaigns, r#"{"name": true}"#, "name", "is true, want a text"),
        ("a list for a text", campaigns, r#"{"name": []}"#, "name", "is a list, want a text"),
        ("an object for a text", campaigns, r#"{"name": {}}"#, "name", "is an object, want a text"),
        ("null for a text", hold, r#"{"order_ref": null}"#, "order_ref", "is null, want a text"),
        (
            "a text for a yes",
            webhooks,
            r#"{"url": "https://example.com/", "ordered": "yes"}"#,
            "ordered",
            "is the text \"yes\", want true or false",
        ),
        (
            "a text for a list",
            webhooks,
            r#"{"types": "a"}"#,
            "types",
            "is the text \"a\", want a list",
        ),
        (
            "a number in a list",
            webhooks,
            r#"{"url": "https://example.com/", "types": ["coupon.issued", 5]}"#,
            "types[1]",
            "is the number 5, want a text",
        ),
        ("nothing for a required field", hold, "{}", "order_ref", "is missing"),
        (
            "a field twice",
            hold,
            r#"{"order_ref": "1", "order_ref": "2"}"#,
            "order_ref",
            "is there twice",
        ),
        (
            "a field as other clients write it",
            hold,
            r#"{"orderRef": "1"}"#,
            "orderRef",
            "is unknown: did you mean order_ref? Known are user_id, order_ref, seconds, order_amount, currency, discount",
        ),
        (
            "a typing error",
            hold,
            r#"{"oder_ref": "1"}"#,
            "oder_ref",
            "is unknown: did you mean order_ref? Known are user_id, order_ref, seconds, order_amount, currency, discount",
        ),
        (
            "a field that is like none",
            hold,
            r#"{"colour": "red"}"#,
            "colour",
            "is unknown: known are user_id, order_ref, seconds, order_amount, currency, discount",
        ),
        (
            "a field of a call that takes none",
            "/v1/webhooks/w/test",
            r#"{"url": 1}"#,
            "url",
            "is unknown: nothing may stand here",
        ),
        ("nothing", hold, "", "body", "is empty, want a JSON object"),
        ("blanks", hold, " \n", "body", "is empty, want a JSON object"),
        ("a list", hold, r#"["ann", "991", 5]"#, "body", "is a list, want an object"),
        ("a text", hold, r#""x""#, "body", "is the text \"x\", want an object"),
        ("null", hold, "null", "body", "is null, want an object"),
        (
            "a body that stops",
            hold,
            "{\"order_ref\": \"1\"",
            "body",
            "ends too early, at line 1 column 17",
        ),
        (
            "a second comma",
            hold,
            "{\"order_ref\": \"1\",}",
            "body",
            "is not JSON: trailing comma at line 1 column 19",
        ),
        (
            "something behind it",
            hold,
            "{\"order_ref\": \"1\"} x",
            "body",
            "is not JSON: trailing characters at line 1 column 20",
        ),
    ];
    let service = Service::new();
    for (name, target, body, field, detail) in cases {
        let asked = Asked::new("POST", target).typed("application/json", (*body).to_owned());
        let answer = service.send(Admin, asked).await;
        let found = fault(&answer.is("400 INVALID", name).json);
        assert_eq!((found.0.as_str(), found.1.as_str()), (*field, *detail), "{name}");
    }
    let deep = format!("{{\"metadata\": {}", "[".repeat(1_000));
    let asked = Asked::new("POST", campaigns).typed("application/json", deep);
    let answer = service.send(Admin, asked).await;
    assert!(fault(&answer.json).1.ends_with("is nested too deeply"), "{}", answer.text);
}

#[tokio::test]
async fn queries() {
    let import = "/v1/campaigns/c/batches";
    let cases = [
        (
            "a typing error",
            "GET",
            "/v1/coupons?campain_id=c",
            "campain_id",
            "is unknown: did you mean campaign_id? Known are user_id, campaign_id, ",
        ),
        ("no parameter", "GET", "/v1/webhooks?colour=red", "colour", "is unknown: known are "),
        ("twice", "GET", "/v1/coupons?user_id=a&user_id=b", "user_id", "is there twice"),
        ("a limit", "GET", "/v1/coupons?limit=many", "limit", "is \"many\", want 1 to 1000"),
        ("nothing", "GET", "/v1/counts?to=2027-01-01", "from", "is missing"),
        (
            "a word for true",
            "POST",
            &format!("{import}?dry_run=maybe"),
            "dry_run",
            "is \"maybe\", want true or false",
        ),
        ("a column", "POST", &format!("{import}?columns=cod:1"), "columns", ""),
    ];
    let service = Service::new();
    for (name, method, target, field, detail) in cases {
        let answer = service.send(Admin, Asked::new(method, target).csv("code\n")).await;
        let found = fault(&answer.is("400 INVALID", name).json);
        assert_eq!(found.0, field, "{name}");
        assert!(found.1.starts_with(detail), "{name}: {}", found.1);
        for word in ["expected", "invalid", "string", "line 1"] {
            assert!(!found.1.contains(word), "{name}: {}", found.1);
        }
    }
}

/// The field that is wrong is named, also where another one says nearly the same, or stays as it was.
#[tokio::test]
async fn fields_that_depend_on_others() {
    let service = Service::new();
    service.campaign("c", json!({"issue_until": "2027-06-01T00:00:00Z"})).await;
    let code = service.issued("c", "ann").await;
    let report =
        json!({"webhook_id": "w", "url": "https://example.com/", "types": ["report.weekly"]});
    service.post(Admin, "/v1/webhooks", report).await.is("201", "a webhook");
    let (one, webhook) = ("/v1/campaigns/c", "/v1/webhooks/w");
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    let large = 1_u64 << 53;
    let cases = [
        (
            "an end that stays",
            Admin,
            "PATCH",
            one,
            json!({"issue_from": "2027-07-01T00:00:00Z"}),
            "issue_from",
        ),
        (
            "a beginning that stays",
            Admin,
            "PATCH",
            one,
            json!({"issue_from": "2027-01-01T00:00:00Z", "issue_until": "2026-12-01T00:00:00Z"}),
            "issue_until",
        ),
        ("a currency that stays", Admin, "PATCH", one, json!({"currency": "USD"}), "currency"),
        (
            "a report of a campaign",
            Admin,
            "PATCH",
            webhook,
            json!({"campaign_id": "c"}),
            "campaign_id",
        ),
        (
            "a day of a coupon",
            Admin,
            "POST",
            &at("extend"),
            json!({"expires_on": "9999-12-31"}),
            "expires_on",
        ),
        (
            "a discount of a user",
            ANN,
            "POST",
            &at("redeem"),
            json!({"order_ref": "1", "discount": 5}),
            "discount",
        ),
        (
            "a currency of a user",
            ANN,
            "POST",
            &at("hold"),
            json!({"order_ref": "1", "currency": "KRW"}),
            "currency",
        ),
        (
            "a version to extend",
            Admin,
            "POST",
            &at("extend"),
            json!({"expires_on": "2030-01-01", "version": large}),
            "version",
        ),
        ("a version to void", Admin, "POST", &at("void"), json!({"version": large}), "version"),
        (
            "a version to revoke",
            Admin,
            "POST",
            &at("revoke"),
            json!({"user_id": "ann", "version": large}),
            "version",
        ),
    ];
    for (name, who, method, target, body, field) in cases {
        let answer = service.send(who, Asked::new(method, target).json(&body)).await;
        assert_eq!(fault(&answer.is("400 INVALID", name).json).0, field, "{name}");
    }
}

/// A long name is not compared with each known one, and the answer does not repeat it.
#[tokio::test]
async fn a_long_name() {
    let service = Service::new();
    let body = format!("{{\"{}\": 1}}", "a".repeat(60_000));
    let asked = Asked::new("POST", "/v1/users").typed("application/json", body);
    let answer = service.send(Nobody, asked).await;
    let (field, detail) = fault(&answer.is("400 INVALID", "a long name").json);
    assert_eq!(field.chars().count(), 65, "{field}");
    assert_eq!(detail, "is unknown: known are login_id, password");
    let target = format!("/v1/coupons?{}=1", "a".repeat(10_000));
    let answer = service.get(Shop, &target).await;
    let (field, _) = fault(&answer.is("400 INVALID", "a long parameter").json);
    assert_eq!(field.chars().count(), 65, "{field}");
}
