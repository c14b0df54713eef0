//! Who may call which operation: every operation of the document by every identity.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::contract::OPERATIONS;
use crate::service::{ANN, Admin, Answer, Asked, BOB, Nobody, Operator, Service, Shop, Who};

/// The state of the coupon at `{code}` before the call.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Issued,
    Held,
    Redeemed,
}

use Before::{Held, Issued, Nothing, Redeemed};

struct Row {
    operation: &'static str,
    before: Before,
    /// Appended to the path, for callers that name a user.
    query: &'static str,
    body: Value,
    /// Whether shop, operator and admin name ann in the body.
    names: bool,
    /// The status for ann, who holds the coupon; bob; shop; operator; admin.
    want: [u16; 5],
    /// Whether a token is needed.
    open: bool,
}

fn row(operation: &'static str, before: Before, body: Value, want: [u16; 5]) -> Row {
    Row { operation, before, query: "", body, names: false, want, open: false }
}

fn naming(row: Row) -> Row {
    Row { names: true, ..row }
}

fn open(row: Row) -> Row {
    Row { open: true, ..row }
}

fn rows() -> Vec<Row> {
    let order = || json!({"order_ref": "1"});
    let coupons = || json!({"user_id": "ann", "coupons": ["CODE"]});
    let login = || json!({"login_id": "LOGIN", "password": "correct horse"});
    let old = || json!({"login_id": "old@example.com", "password": "correct horse"});
    let listed = row("list_coupons", Issued, Value::Null, [200, 200, 200, 200, 200]);
    vec![
        row("read_coupon", Issued, Value::Null, [200, 404, 200, 200, 200]),
        naming(row("check", Issued, order(), [200, 404, 200, 403, 200])),
        naming(row("hold", Issued, order(), [201, 404, 201, 403, 201])),
        row("release", Held, order(), [200, 404, 200, 403, 200]),
        naming(row("redeem", Issued, order(), [201, 404, 201, 403, 201])),
        row("cancel_redemption", Redeemed, order(), [200, 404, 200, 403, 200]),
        naming(row("issue_coupon", Issued, json!({}), [404, 404, 200, 403, 200])),
        row("revoke", Issued, json!({"user_id": "ann"}), [403, 403, 403, 403, 200]),
        row("void_coupon", Issued, json!({}), [403, 403, 403, 403, 200]),
        row("extend", Issued, json!({"expires_on": "2030-01-01"}), [403, 403, 403, 403, 200]),
        row("check_order", Issued, coupons(), [403, 403, 200, 403, 200]),
        row("hold_order", Issued, coupons(), [403, 403, 201, 403, 201]),
        row("redeem_order", Issued, coupons(), [403, 403, 201, 403, 201]),
        row("cancel_order", Redeemed, coupons(), [403, 403, 200, 403, 200]),
        row("read_order", Redeemed, Value::Null, [403, 403, 200, 200, 200]),
        row(
            "do_operations",
            Nothing,
            json!({"operations": [{"action": "void", "code": "none"}]}),
            [200, 200, 200, 200, 200],
        ),
        Row { query: "?user_id=ann", ..listed },
        row(
            "create_campaign",
            Nothing,
            json!({"expires_on": "2027-12-31"}),
            [403, 403, 403, 403, 201],
        ),
        row("list_campaigns", Nothing, Value::Null, [403, 403, 200, 200, 200]),
        row("read_campaign", Nothing, Value::Null, [200, 200, 200, 200, 200]),
        row("change_campaign", Nothing, json!({"name": "new"}), [403, 403, 403, 403, 200]),
        naming(row("issue", Nothing, json!({}), [201, 201, 201, 403, 201])),
        row("create_batch", Nothing, json!({"count": 1}), [403, 403, 403, 403, 201]),
        row("list_batches", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("read_batch", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("import_template", Nothing, Value::Null, [200, 200, 200, 200, 200]),
        row("change_batch", Nothing, json!({"paused": true}), [403, 403, 403, 403, 200]),
        row("list_codes", Nothing, Value::Null, [403, 403, 403, 403, 200]),
        row("list_events", Issued, Value::Null, [403, 403, 200, 200, 200]),
        row("list_attempts", Nothing, Value::Null, [403, 403, 200, 200, 200]),
        Row { query: DAY, ..row("read_counts", Nothing, Value::Null, [403, 403, 200, 200, 200]) },
        Row {
            query: DAY,
            ..row("read_campaign_counts", Nothing, Value::Null, [403, 403, 200, 200, 200])
        },
        Row {
            query: DAY,
            ..row("list_redemptions", Nothing, Value::Null, [403, 403, 200, 200, 200])
        },
        row("list_audit", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("list_campaign_audit", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("create_webhook", Nothing, json!({"url": HOOK}), [403, 403, 403, 403, 201]),
        row("list_webhooks", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("read_webhook", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("change_webhook", Nothing, json!({"paused": true}), [403, 403, 403, 403, 200]),
        row("rotate_secret", Nothing, json!({"rotate_ref": "1"}), [403, 403, 403, 403, 200]),
        row("test_webhook", Nothing, json!({}), [403, 403, 403, 403, 200]),
        row("list_deliveries", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("redeliver", Nothing, json!({}), [403, 403, 403, 403, 200]),
        row("delete_webhook", Nothing, Value::Null, [403, 403, 403, 403, 204]),
        open(row("create_user", Nothing, login(), [201, 201, 201, 201, 201])),
        open(row("create_session", Nothing, old(), [200, 200, 200, 200, 200])),
        // Only the user themselves (see `accounts`) and an admin.
        row("delete_user", Nothing, Value::Null, [404, 404, 403, 403, 204]),
        row("read_person", Nothing, Value::Null, [403, 403, 403, 403, 200]),
        row("erase_person", Nothing, json!({"reason": "asked"}), [403, 403, 403, 403, 202]),
        row("list_erasures", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        row("read_erasure", Nothing, Value::Null, [403, 403, 403, 200, 200]),
        open(row("healthz", Nothing, Value::Null, [200, 200, 200, 200, 200])),
        open(row("readyz", Nothing, Value::Null, [200, 200, 200, 200, 200])),
    ]
}

/// An address at which nobody listens.
const HOOK: &str = "http://127.0.0.1:9/";

/// What the sums of a day need.
const DAY: &str = "?from=2027-03-08&to=2027-03-08";

const KNOWN: [(&str, Who<'static>); 5] =
    [("ann", ANN), ("bob", BOB), ("shop", Shop), ("operator", Operator), ("admin", Admin)];

const UNKNOWN: [(&str, Who<'static>); 5] = [
    ("nobody", Nobody),
    ("an expired token", Who::Expired),
    ("a token of another key", Who::OtherKey),
    ("not a token", Who::Token("x.y.z")),
    ("an unsigned token", Who::Token(UNSIGNED)),
];

/// `{"alg":"none","kid":"k1"}`, an admin until the year 3000, and no signature.
const UNSIGNED: &str = "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.\
    eyJpc3MiOiJjb3Vwb25yeSIsImF1ZCI6ImNvdXBvbnJ5Iiwic3ViIjoicm9vdCIsInJvbGUiOiJhZG1pbiIsImV4cCI6\
    MzI1MDM2ODAwMDB9.";

#[tokio::test]
async fn every_route_and_every_identity() {
    let rows = rows();
    let covered: BTreeSet<&str> = rows.iter().map(|row| row.operation).collect();
    let documented: BTreeSet<&str> = OPERATIONS.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(covered, documented, "the table has a row for every operation");

    let service = Service::new();
    let old = json!({"login_id": "old@example.com", "password": "correct horse"});
    service.post(Nobody, "/v1/users", old).await.is("201", "an account");
    let hook = json!({"webhook_id": "hook", "url": HOOK});
    service.post(Admin, "/v1/webhooks", hook).await.is("201", "a webhook");
    service.post(Admin, "/v1/webhooks/hook/test", json!({})).await.is("200", "a test");
    let mut cell = 0;
    for row in &rows {
        for (nth, (name, who)) in KNOWN.iter().enumerate() {
            cell += 1;
            let answer = asked(&service, row, *who, cell).await;
            let name = format!("{} as {name}", row.operation);
            assert_eq!(answer.status, row.want[nth], "{name}: {}", answer.text);
        }
        for (name, who) in UNKNOWN {
            cell += 1;
            let answer = asked(&service, row, who, cell).await;
            let want = if row.open { row.want[0] } else { 401 };
            assert_eq!(answer.status, want, "{} as {name}: {}", row.operation, answer.text);
            let challenge = answer.header("www-authenticate").is_some();
            assert_eq!(challenge, want == 401, "{} as {name}", row.operation);
        }
    }
}

/// The call of one cell of the table, with its own campaign.
async fn asked(service: &Service, row: &Row, who: Who<'_>, cell: usize) -> Answer {
    let campaign = format!("c{cell}");
    service.campaign(&campaign, json!({"handout": "self"})).await;
    let code = match row.before {
        Nothing => String::new(),
        Issued | Held | Redeemed => service.issued(&campaign, "ann").await,
    };
    match row.before {
        Nothing | Issued => {}
        Held => drop(service.does("hold", &code, "1").await.is("201", "hold")),
        Redeemed => drop(service.does("redeem", &code, "1").await.is("201", "redeem")),
    }
    let operation = OPERATIONS.iter().find(|it| it.id == row.operation).expect("an operation");
    let account = match row.operation {
        "delete_user" => account(service, cell).await,
        "read_person" | "erase_person" => "zoe".to_owned(),
        _ => String::new(),
    };
    let delivery = match operation.path.contains("{delivery_id}") {
        true => delivery(service).await,
        false => String::new(),
    };
    if operation.path.contains("{erasure_id}") {
        let asked = json!({"erasure_id": "ticket", "reason": "asked"});
        service.post(Admin, "/v1/people/yan/erase", asked).await.is("202", "an erasure");
    }
    let user = matches!(who, Who::User(_));
    let path = operation
        .path
        .replace("{code}", &code)
        .replace("{campaign_id}", &campaign)
        .replace("{batch_id}", "first")
        .replace("{user_id}", &account)
        .replace("{webhook_id}", "hook")
        .replace("{erasure_id}", "ticket")
        .replace("{order_ref}", "1")
        .replace("{delivery_id}", &delivery);
    let names_a_user = row.query.contains("user_id");
    let target = if user && names_a_user { path } else { path + row.query };
    let method = ["GET", "POST", "PATCH", "DELETE"].into_iter();
    let method = method.into_iter().find(|method| *method == operation.method).expect("a method");
    if method == "GET" {
        return service.get(who, &target).await;
    }
    if row.body.is_null() {
        return service.send(who, Asked::new(method, &target)).await;
    }
    let mut body = row.body.clone();
    if row.names && !user {
        body["user_id"] = json!("ann");
    }
    if body["coupons"] == json!(["CODE"]) {
        body["coupons"] = json!([code]);
    }
    if body["login_id"] == "LOGIN" {
        body["login_id"] = json!(format!("login{cell}"));
    }
    service.send(who, Asked::new(method, &target).json(&body)).await
}

async fn delivery(service: &Service) -> String {
    let log = service.get(Admin, "/v1/webhooks/hook/deliveries").await;
    log.json["data"][0]["delivery_id"].to_string()
}

async fn account(service: &Service, cell: usize) -> String {
    let body = json!({"login_id": format!("gone{cell}"), "password": "correct horse"});
    service.post(Nobody, "/v1/users", body).await.is("201", "an account").string("user_id")
}

#[tokio::test]
async fn users_name_a_user_only_where_they_may() {
    let service = Service::new();
    service.campaign("own", json!({"handout": "self"})).await;
    let code = service.issued("own", "ann").await;
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    let named = json!({"user_id": "ann", "order_ref": "1"});
    let nameless = json!({"order_ref": "1"});
    let someone = json!({"user_id": "ann"});
    let issue = "/v1/campaigns/own/issue".to_owned();
    let cases = [
        ("a user's check with the own user_id", ANN, at("check"), &named, "400 INVALID"),
        ("a user's hold", ANN, at("hold"), &named, "400 INVALID"),
        ("a user's redeem", ANN, at("redeem"), &named, "400 INVALID"),
        ("a user's issue", ANN, issue.clone(), &someone, "400 INVALID"),
        ("a user's list", ANN, "/v1/coupons?user_id=ann".into(), &Value::Null, "400 INVALID"),
        ("a shop's check without", Shop, at("check"), &nameless, "400 INVALID"),
        ("a shop's hold without", Shop, at("hold"), &nameless, "400 INVALID"),
        ("a shop's redeem without", Shop, at("redeem"), &nameless, "400 INVALID"),
        ("a shop's issue without", Shop, issue.clone(), &json!({}), "400 INVALID"),
        ("a shop's named issue without", Shop, at("issue"), &json!({}), "400 INVALID"),
        ("an admin's redeem without", Admin, at("redeem"), &nameless, "400 INVALID"),
        ("an admin's issue without", Admin, issue, &json!({}), "400 INVALID"),
        ("a shop's list without", Shop, "/v1/coupons".into(), &Value::Null, "400 INVALID"),
    ];
    for (name, who, target, body, want) in cases {
        let answer = match body.is_null() {
            true => service.get(who, &target).await,
            false => service.post(who, &target, body.clone()).await,
        };
        assert_eq!(answer.is(want, name).fields(), ["user_id"], "{name}");
    }
    assert_eq!(service.coupon(&code).await["version"], 1, "the coupon did not change");
}

#[tokio::test]
async fn users_see_only_the_terms_of_a_campaign() {
    let service = Service::new();
    let terms = json!({"handout": "shared", "shared_code": "SUMMER", "metadata": {"worth": 5}});
    service.campaign("c", terms).await;
    let inside = ["stock", "issued", "redeemed", "void", "shared_code", "counted_at"];
    let seen =
        |answer: &Answer| inside.iter().filter(|field| !answer.json[**field].is_null()).count();
    for (name, who, want) in [("ann", ANN, 0), ("shop", Shop, 6), ("operator", Operator, 6)] {
        let answer = service.get(who, "/v1/campaigns/c").await;
        assert_eq!(seen(answer.is("200", name)), want, "{name}: {}", answer.text);
        assert_eq!(answer.json["metadata"], json!({"worth": 5}), "{name} sees the metadata");
    }
    service.campaign("p", json!({"code_prefix": "GOLD"})).await;
    assert!(service.get(ANN, "/v1/campaigns/p").await.json["code_prefix"].is_null());
    assert_eq!(service.get(Shop, "/v1/campaigns/p").await.json["code_prefix"], "GOLD");
}
