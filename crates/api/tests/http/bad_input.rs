//! Every bad input has an answer that says it is the fault of the sender.

use serde_json::{Value, json};

use crate::contract::{DOCUMENT, OPERATIONS};
use crate::service::{ANN, Admin, Asked, Nobody, Operator, Service, Shop, Who};

/// A coupon of ann's in campaign c, and its code.
async fn service() -> (Service, String) {
    let service = Service::new();
    service.campaign("c", json!({"handout": "self", "per_user_limit": 100})).await;
    let body = json!({"user_id": "ann", "issue_ref": "r0"});
    let issued = service.post(Shop, "/v1/campaigns/c/issue", body).await;
    let code = issued.is("201", "a coupon").string("code");
    let hook = json!({"webhook_id": "hook", "url": HOOK});
    service.post(Admin, "/v1/webhooks", hook).await.is("201", "a webhook");
    service.post(Admin, "/v1/webhooks/hook/test", json!({})).await.is("200", "a test");
    (service, code)
}

/// An address at which nobody listens.
const HOOK: &str = "http://127.0.0.1:9/";

/// Every operation with a JSON body: its path for `code`, a good body, and who may call it.
fn bodies(code: &str) -> Vec<(&'static str, String, Value)> {
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    let of_order = |what: &str| format!("/v1/orders/1/{what}");
    let order = json!({"user_id": "ann", "order_ref": "1"});
    let coupons = json!({"user_id": "ann", "coupons": [code]});
    let login = json!({"login_id": "a@b", "password": "12345678"});
    let campaign = json!({"campaign_id": "n", "stock": 1, "expires_on": "2027-12-31"});
    vec![
        ("POST", "/v1/users".into(), login.clone()),
        ("POST", "/v1/sessions".into(), login),
        ("POST", "/v1/campaigns".into(), campaign),
        ("PATCH", "/v1/campaigns/c".into(), json!({"name": "n"})),
        ("POST", "/v1/campaigns/c/batches".into(), json!({"count": 1})),
        ("PATCH", "/v1/campaigns/c/batches/first".into(), json!({"paused": false})),
        ("POST", "/v1/webhooks".into(), json!({"webhook_id": "other", "url": HOOK})),
        ("PATCH", "/v1/webhooks/hook".into(), json!({"paused": false})),
        ("POST", "/v1/webhooks/hook/rotate-secret".into(), json!({"rotate_ref": "r1"})),
        ("POST", "/v1/webhooks/hook/test".into(), json!({})),
        ("POST", "/v1/webhooks/hook/deliveries/1/redeliver".into(), json!({})),
        ("POST", "/v1/campaigns/c/issue".into(), json!({"user_id": "ann", "issue_ref": "r1"})),
        ("POST", at("issue"), json!({"user_id": "ann"})),
        ("POST", at("check"), order.clone()),
        ("POST", at("hold"), order.clone()),
        ("POST", at("release"), json!({"order_ref": "1"})),
        ("POST", at("redeem"), order),
        ("POST", at("cancel-redemption"), json!({"order_ref": "1"})),
        ("POST", of_order("check"), coupons.clone()),
        ("POST", of_order("hold"), coupons.clone()),
        ("POST", of_order("redeem"), coupons),
        ("POST", of_order("cancel"), json!({})),
        ("POST", at("revoke"), json!({"user_id": "ann"})),
        ("POST", at("void"), json!({})),
        ("POST", at("extend"), json!({"expires_on": "2030-01-01"})),
        ("POST", "/v1/people/zoe/erase".into(), json!({"reason": "asked"})),
        ("POST", "/v1/batch".into(), json!({"operations": [{"action": "void", "code": code}]})),
    ]
}

#[tokio::test]
async fn every_body() {
    let (service, code) = service().await;
    let with_body = bodies(&code);
    let documented = OPERATIONS.iter().filter(|it| ["POST", "PATCH"].contains(&it.method.as_str()));
    assert_eq!(with_body.len(), documented.count(), "the table has every operation with a body");
    let nested = format!("{{\"metadata\":{}", "[".repeat(30_000));
    let deep = "[".repeat(60_000);
    let over = " ".repeat(api::BODY_BYTES_MAX + 1);
    let cases: Vec<(&str, &str, Vec<u8>, &str)> = vec![
        ("empty", "application/json", vec![], "400 INVALID"),
        ("a blank", "application/json", b" ".into(), "400 INVALID"),
        ("null", "application/json", b"null".into(), "400 INVALID"),
        ("a number", "application/json", b"7".into(), "400 INVALID"),
        ("a text", "application/json", b"\"x\"".into(), "400 INVALID"),
        ("a list", "application/json", b"[]".into(), "400 INVALID"),
        ("a list of objects", "application/json", b"[{}]".into(), "400 INVALID"),
        ("not closed", "application/json", b"{\"a\":1".into(), "400 INVALID"),
        ("a trailing comma", "application/json", b"{\"a\":1,}".into(), "400 INVALID"),
        ("single quotes", "application/json", b"{'a':1}".into(), "400 INVALID"),
        ("no UTF-8", "application/json", b"{\"name\":\"\xff\xfe\"}".into(), "400 INVALID"),
        ("a byte-order mark", "application/json", b"\xef\xbb\xbf{}".into(), "400 INVALID"),
        ("UTF-16", "application/json", b"{\x00}\x00".into(), "400 INVALID"),
        ("a lone surrogate", "application/json", b"{\"name\":\"\\ud800\"}".into(), "400 INVALID"),
        ("deep nesting", "application/json", deep.into(), "400 INVALID"),
        ("deep nesting in a field", "application/json", nested.into(), "400 INVALID"),
        ("100,000 deep", "application/json", "[".repeat(100_000).into(), "413 TOO_LARGE"),
        ("64 KiB and a byte", "application/json", over.into(), "413 TOO_LARGE"),
        ("10 MB", "application/json", vec![b' '; 10 << 20], "413 TOO_LARGE"),
        ("no type", "", b"{}".into(), "415 UNSUPPORTED_MEDIA_TYPE"),
        ("text", "text/plain", b"{}".into(), "415 UNSUPPORTED_MEDIA_TYPE"),
        (
            "a form",
            "application/x-www-form-urlencoded",
            b"a=b".into(),
            "415 UNSUPPORTED_MEDIA_TYPE",
        ),
        ("nearly JSON", "application/jsonx", b"{}".into(), "415 UNSUPPORTED_MEDIA_TYPE"),
        (
            "a type that is not ASCII",
            "application/j\u{e4}son",
            b"{}".into(),
            "415 UNSUPPORTED_MEDIA_TYPE",
        ),
    ];
    for (method, target, good) in &with_body {
        for (name, kind, body, want) in &cases {
            // Its body may be longer: operations.rs has the limits.
            if target == "/v1/batch" && ["100,000 deep", "64 KiB and a byte"].contains(name) {
                continue;
            }
            let asked = Asked::new(method, target).typed(kind, body.clone());
            let answer = service.send(Admin, asked).await;
            answer.is(want, &format!("{method} {target}: {name}"));
        }
        let trailing = format!("{good} x");
        let asked = Asked::new(method, target).typed("application/json", trailing);
        service.send(Admin, asked).await.is("400 INVALID", &format!("{target}: trailing"));
        let twice = good.to_string().replacen('{', "{\"reason\":\"a\",\"reason\":\"b\",", 1);
        let asked = Asked::new(method, target).typed("application/json", twice.replace(",}", "}"));
        service.send(Admin, asked).await.is("400 INVALID", &format!("{target}: a field twice"));
        let mut unknown = good.clone();
        unknown["colour"] = json!("red");
        let answer = service.send(Admin, Asked::new(method, target).json(&unknown)).await;
        assert_eq!(answer.is("400 INVALID", target).fields(), ["colour"], "{target}: unknown");
    }
    assert_eq!(service.coupon(&code).await["version"], 1, "and nothing was written");
}

#[tokio::test]
async fn a_body_at_its_limit() {
    let (service, _) = service().await;
    let start = "{\"login_id\":\"a@b\",\"password\":\"12345678\"";
    let body = |len: usize| format!("{start}{}}}", " ".repeat(len - start.len() - 1));
    for (name, len, want) in [
        ("64 KiB", api::BODY_BYTES_MAX, "201"),
        ("64 KiB and a byte", api::BODY_BYTES_MAX + 1, "413 TOO_LARGE"),
    ] {
        let asked = Asked::new("POST", "/v1/users").typed("application/json", body(len));
        service.send(Nobody, asked).await.is(want, name);
    }
}

#[tokio::test]
async fn a_content_type_may_have_parameters() {
    let (service, code) = service().await;
    let target = format!("/v1/coupons/{code}/check");
    let body = json!({"user_id": "ann", "order_ref": "1"}).to_string();
    for kind in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
        let asked = Asked::new("POST", &target).typed(kind, body.clone());
        service.send(Shop, asked).await.is("200", kind);
    }
}

/// A header that protects a change is read, or refused: it is not ignored.
#[tokio::test]
async fn headers() {
    let (service, code) = service().await;
    let check = format!("/v1/coupons/{code}/check");
    let void = format!("/v1/coupons/{code}/void");
    let (batch, campaign) = ("/v1/campaigns/c/batches/first", "/v1/campaigns/c");
    let batches = "/v1/campaigns/c/batches";
    let order = json!({"user_id": "ann", "order_ref": "1"});
    let (pause, name, none) = (json!({"paused": false}), json!({"name": "n"}), json!({}));
    let tag = ("if-match", "\"0000000000000000\"");
    let (gzip, plain) = (("content-encoding", "gzip"), ("content-encoding", "Identity"));
    let (json, key) = (("content-type", "application/json"), ("idempotency-key", "k"));
    let unsupported = "415 UNSUPPORTED_MEDIA_TYPE";
    let cases = [
        ("a tag of a batch", "PATCH", batch, &pause, vec![tag], "400 INVALID"),
        ("a tag of a webhook", "PATCH", "/v1/webhooks/hook", &pause, vec![tag], "400 INVALID"),
        ("a tag of a coupon", "POST", &void, &none, vec![tag], "400 INVALID"),
        ("a tag of what is deleted", "DELETE", "/v1/webhooks/w", &none, vec![tag], "400 INVALID"),
        ("a tag of what is read", "GET", batch, &none, vec![tag], "200"),
        ("two lines of tags", "PATCH", campaign, &name, vec![tag, tag], "412 PRECONDITION_FAILED"),
        ("no tag", "PATCH", campaign, &name, vec![("if-none-match", "*")], "400 INVALID"),
        ("a date", "PATCH", campaign, &name, vec![("if-unmodified-since", "x")], "400 INVALID"),
        ("a key of no path", "POST", "/v1/nowhere", &none, vec![key], "404 NOT_FOUND"),
        ("two keys", "POST", batches, &json!({"count": 1}), vec![key, key], "400 INVALID"),
        ("a compressed body", "POST", &check, &order, vec![gzip], unsupported),
        ("one of two codings", "POST", &check, &order, vec![plain, gzip], unsupported),
        ("a body as it is", "POST", &check, &order, vec![plain], "200"),
        ("compressed operations", "POST", "/v1/batch", &none, vec![gzip], unsupported),
        ("two types", "POST", &check, &order, vec![json], unsupported),
        (
            "two tokens",
            "POST",
            &check,
            &order,
            vec![("authorization", "Bearer x")],
            "401 UNAUTHENTICATED",
        ),
    ];
    for (name, method, target, body, headers, want) in cases {
        let asked = Asked::new(method, target).json(body);
        let asked =
            headers.into_iter().fold(asked, |asked, (name, value)| asked.header(name, value));
        service.send(Admin, asked).await.is(want, name);
    }
    let file = Asked::new("POST", batches).csv("code\nAAAA\n").header("content-encoding", "br");
    service.send(Admin, file).await.is(unsupported, "a compressed file");
    assert_eq!(service.coupon(&code).await["version"], 1, "and nothing was written");
}

#[tokio::test]
async fn which_type_is_wanted() {
    let (service, _) = service().await;
    let (csv, json) = ("text/csv; charset=utf-8", "application/json");
    let cases: [(&str, &[&str], &str); 13] = [
        ("a file", &["text/csv"], csv),
        ("in capitals", &["Text/CSV"], csv),
        ("a file, or else JSON", &["text/csv, application/json;q=0.9"], csv),
        ("both, a file first", &["text/csv, application/json"], csv),
        ("both, JSON first", &["application/json, text/csv, application/problem+json"], json),
        ("in a second line", &["application/json;q=0.1", "text/csv"], csv),
        ("no file", &["text/csv;q=0"], json),
        ("no file, but JSON", &["text/csv; q=0.000, application/json"], json),
        ("no file, with a parameter", &["text/csv;header=present;q=0"], json),
        ("rather JSON", &["application/json, text/csv;q=0.9"], json),
        ("another type", &["text/csv-schema"], json),
        ("any", &["*/*"], json),
        ("nothing", &[], json),
    ];
    for (name, lines, want) in cases {
        let asked = Asked::new("GET", "/v1/campaigns/c/batches/first");
        let asked = lines.iter().fold(asked, |asked, line| asked.header("accept", *line));
        let answer = service.send(Admin, asked).await;
        assert_eq!(answer.is("200", name).header("content-type"), Some(want), "{name}");
    }
}

/// Values that no field accepts, and values that some fields accept.
fn odd_values() -> Vec<(&'static str, Value)> {
    let number = |text: &str| serde_json::from_str(text).expect("a number");
    vec![
        ("-1", json!(-1)),
        ("1e30", number("1e30")),
        ("2^64", number("18446744073709551616")),
        ("2^63", number("9223372036854775808")),
        ("a fraction", json!(0.5)),
        ("true", json!(true)),
        ("a list", json!([])),
        ("an object", json!({})),
        ("an empty text", json!("")),
        ("a blank", json!(" ")),
        ("a line feed", json!("a\nb")),
        ("zero byte", json!("\u{0}")),
        ("an emoji", json!("🎁")),
        ("right to left", json!("\u{202e}abc")),
        ("a long text", json!("x".repeat(10_000))),
        ("30 February", json!("2027-02-30")),
        ("year 10000", json!("10000-01-01T00:00:00Z")),
        ("hour 24", json!("2027-01-01T24:00:00Z")),
        ("a leap second", json!("2027-06-30T23:59:60Z")),
        ("SQL", json!("'; DROP TABLE coupon; --")),
    ]
}

#[tokio::test]
async fn every_field_with_odd_values() {
    let (service, code) = service().await;
    for (method, target, good) in bodies(&code) {
        let operation = template(&target.replace(&code, "{code}"));
        for field in fields_of(&operation, method) {
            for (name, value) in odd_values() {
                let mut body = good.clone();
                body[&field] = value;
                let answer = service.send(Admin, Asked::new(method, &target).json(&body)).await;
                let asked = format!("{operation} {target} {field} = {name}");
                assert!(answer.status < 500, "{asked}: {}", answer.text);
                if answer.word() == "400 INVALID" {
                    let inside = [".", "["].map(|sign| format!("{field}{sign}"));
                    let is_it = |it: &&str| {
                        *it == field || inside.iter().any(|begin| it.starts_with(begin))
                    };
                    assert!(answer.fields().iter().all(is_it), "{asked} is named: {}", answer.text);
                }
            }
        }
    }
}

#[tokio::test]
async fn every_parameter_with_odd_values() {
    let (service, code) = service().await;
    let days = "from=2027-03-01&to=2027-03-02";
    let needed = [
        ("list_coupons", "user_id=ann"),
        ("list_redemptions", days),
        ("read_counts", days),
        ("read_campaign_counts", days),
    ];
    let long = "x".repeat(600);
    let odd = [
        "",
        "%00",
        "x%20y",
        "-1",
        "18446744073709551616",
        "2027-02-30",
        "true",
        "%F0%9F%8E%81",
        &long,
    ];
    let (mut named, mut wrong) = (Vec::new(), Vec::new());
    for operation in OPERATIONS.iter().filter(|it| it.method == "GET" || it.id == "create_batch") {
        let method = if operation.method == "GET" { "GET" } else { "POST" };
        let path = operation.path.replace("{code}", &code).replace("{campaign_id}", "c");
        let path = path.replace("{batch_id}", "first").replace("{webhook_id}", "hook");
        let call = &DOCUMENT["paths"][&operation.path][method.to_lowercase()];
        let parameters = call["parameters"].as_array().into_iter().flatten();
        for name in parameters.filter(|it| it["in"] == "query").filter_map(|it| it["name"].as_str())
        {
            let other = needed.iter().find(|(id, _)| *id == operation.id).map_or("", |it| it.1);
            let begin = format!("{name}=");
            let others =
                other.split('&').filter(|it| !it.starts_with(&begin)).collect::<Vec<_>>().join("&");
            for value in odd {
                let target = format!("{path}?{others}&{name}={value}");
                let answer = service.send(Admin, Asked::new(method, &target).csv("code\n")).await;
                assert!(answer.status < 500, "{target}: {}", answer.text);
                if answer.word() == "400 INVALID" {
                    let is_named = answer.fields().iter().all(|field| *field == name);
                    let list = if is_named { &mut named } else { &mut wrong };
                    list.push(format!("{target}: {}", answer.text));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(named.len() > 100, "{} were refused", named.len());
}

/// The path of the document that a target of [`bodies`] for `{code}` stands for.
fn template(target: &str) -> String {
    let target = target.replace("campaigns/c", "campaigns/{campaign_id}");
    let target = target.replace("batches/first", "batches/{batch_id}");
    let target = target.replace("webhooks/hook", "webhooks/{webhook_id}");
    let target = target.replace("orders/1/", "orders/{order_ref}/");
    let target = target.replace("people/zoe/", "people/{user_id}/");
    target.replace("deliveries/1/", "deliveries/{delivery_id}/")
}

/// The fields of the JSON body that an operation takes.
fn fields_of(path: &str, method: &str) -> Vec<String> {
    let operation = &DOCUMENT["paths"][path][method.to_lowercase()];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()).unwrap_or("?");
    let taken = &DOCUMENT["components"]["schemas"][name];
    assert!(taken.is_object(), "{method} {path} takes {schema}");
    taken["properties"].as_object().into_iter().flat_map(|it| it.keys().cloned()).collect()
}

#[tokio::test]
async fn limits_of_fields() {
    let (service, code) = service().await;
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    let x = |len: usize| json!("x".repeat(len));
    let campaign = || json!({"expires_on": "2027-12-31"});
    let with = |mut body: Value, field: &str, value: Value| {
        body[field] = value;
        body
    };
    let order = || json!({"user_id": "ann", "order_ref": "1"});
    let object = |len: usize| json!({"m": "x".repeat(len - 8)});
    let deep = |levels: usize| (0..levels).fold(json!(1), |below, _| json!({"m": below}));
    // Field, a value at its limit, and a value over it.
    let cases: Vec<(&str, String, Value, Value, Value)> = vec![
        ("order_ref", at("check"), order(), x(128), x(129)),
        ("order_ref", at("check"), order(), json!("가".repeat(42)), json!("가".repeat(43))),
        ("user_id", at("check"), order(), x(128), x(129)),
        ("user_id", at("check"), order(), json!("가".repeat(42)), json!("가".repeat(43))),
        ("reason", at("cancel-redemption"), json!({"order_ref": "1"}), x(200), x(201)),
        ("campaign_id", "/v1/campaigns".into(), campaign(), x(64), x(65)),
        ("name", "/v1/campaigns".into(), campaign(), x(200), x(201)),
        (
            "stock",
            "/v1/campaigns".into(),
            campaign(),
            json!(100_000_000_000u64),
            json!(100_000_000_001u64),
        ),
        ("code_prefix", "/v1/campaigns".into(), campaign(), x(12), x(13)),
        ("valid_days", "/v1/campaigns".into(), campaign(), json!(3_660), json!(3_661)),
        ("valid_days", "/v1/campaigns".into(), campaign(), json!(1), json!(0)),
        ("per_user_limit", "/v1/campaigns".into(), campaign(), json!(100), json!(101)),
        ("per_user_limit", "/v1/campaigns".into(), campaign(), json!(1), json!(0)),
        ("cancel_days", "/v1/campaigns".into(), campaign(), json!(366), json!(367)),
        ("extend_days", "/v1/campaigns".into(), campaign(), json!(366), json!(367)),
        ("metadata", "/v1/campaigns".into(), campaign(), object(4_096), object(4_097)),
        ("metadata", "/v1/campaigns".into(), campaign(), deep(32), deep(33)),
        ("issue_ref", "/v1/campaigns/c/issue".into(), json!({"user_id": "ann"}), x(128), x(129)),
        ("batch_id", "/v1/campaigns/c/batches".into(), json!({"count": 1}), x(64), x(65)),
        ("count", "/v1/campaigns/c/batches".into(), json!({}), json!(1), json!(0)),
    ];
    for (nth, (field, target, body, fits, over)) in cases.into_iter().enumerate() {
        let answer = service.post(Admin, &target, with(body.clone(), field, fits)).await;
        let fine = answer.status < 300 || answer.word() == "404 NOT_FOUND" || answer.status == 409;
        assert!(fine, "{field} #{nth} at its limit: {}", answer.text);
        let answer = service.post(Admin, &target, with(body, field, over)).await;
        let name = format!("{field} #{nth} over its limit");
        assert_eq!(answer.is("400 INVALID", &name).fields(), [field], "{name}");
    }
    let metadata = [json!([]), json!("x"), json!(5), json!(true)];
    for value in metadata {
        let body = with(campaign(), "metadata", value.clone());
        let answer = service.post(Admin, "/v1/campaigns", body).await;
        assert_eq!(answer.is("400 INVALID", "no object").fields(), ["metadata"], "{value}");
    }
}

#[tokio::test]
async fn all_faults_are_reported_together() {
    let service = Service::new();
    let body = json!({
        "campaign_id": "a b", "expires_at": "never", "time_zone": "Mars/Base", "handout": "gift",
    });
    let answer = service.post(Admin, "/v1/campaigns", body).await;
    let mut fields = answer.is("400 INVALID", "four faults").fields();
    fields.sort_unstable();
    assert_eq!(fields, ["campaign_id", "expires_at", "handout", "time_zone"]);
}

#[tokio::test]
async fn paths() {
    let (service, _) = service().await;
    let cases = [
        ("GET", "/v1/coupons/%FF%FE%FD%FC", "404 NOT_FOUND"),
        ("GET", "/v1/coupons/%00%00%00%00", "404 NOT_FOUND"),
        ("GET", "/v1/coupons/..%2F..%2Fetc", "404 NOT_FOUND"),
        ("GET", "/v1/coupons/%", "404 NOT_FOUND"),
        ("GET", "/v1/coupons/", "404 NOT_FOUND"),
        ("GET", "/v1/campaigns/%FF", "404 NOT_FOUND"),
        ("GET", "/v1/campaigns/a%20b", "404 NOT_FOUND"),
        ("GET", "/v1/campaigns/c/batches/%FF", "404 NOT_FOUND"),
        ("DELETE", "/v1/users/%FF", "404 NOT_FOUND"),
        ("GET", "/v2/coupons", "404 NOT_FOUND"),
        ("GET", "//v1/coupons", "404 NOT_FOUND"),
        ("GET", "/v1/coupons/A/B/C", "404 NOT_FOUND"),
        ("PUT", "/v1/coupons", "405 METHOD_NOT_ALLOWED"),
        ("DELETE", "/v1/campaigns/c", "405 METHOD_NOT_ALLOWED"),
        ("GET", "/v1/campaigns/c/issue", "405 METHOD_NOT_ALLOWED"),
        ("POST", "/healthz", "405 METHOD_NOT_ALLOWED"),
        ("GET", "/v1/coupons?%FF=%FF", "400 INVALID"),
        ("GET", "/v1/coupons?user_id=%FF", "400 INVALID"),
        ("GET", "/v1/coupons?=", "400 INVALID"),
        ("GET", "/v1/campaigns/c/codes?after=%FF%FF%FF%FF", "400 INVALID"),
    ];
    for (method, target, want) in cases {
        service.send(Admin, Asked::new(method, target)).await.is(want, target);
    }
    let long = format!("/v1/coupons/{}", "A".repeat(60_000));
    service.get(Admin, &long).await.is("404 NOT_FOUND", "a long path");
    let many: String = (0..5_000).map(|nth| format!("a{nth}=b&")).collect();
    service.get(Admin, &format!("/v1/coupons?{many}")).await.is("400 INVALID", "5,000 parameters");
}

/// Knuth's 64-bit generator: the same requests in every run.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next(all.len())]
    }
}

fn random_value(seeded: &mut Seeded, depth: usize) -> Value {
    const TEXTS: [&str; 14] = [
        "",
        "ann",
        "bob",
        "1",
        "c",
        "first",
        "2027-12-31",
        "2027-01-01T00:00:00Z",
        "UTC",
        "shared",
        "bearer",
        "ABCD",
        "\u{0}",
        "🎁",
    ];
    match seeded.next(if depth > 3 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(seeded.next(2) == 0),
        2 => json!([-1i64, 0, 1, 2, 900, 604_800, i64::MAX][seeded.next(7)]),
        3 | 4 => json!(seeded.of(&TEXTS)),
        5 => json!(0.5),
        6 => Value::Array((0..seeded.next(4)).map(|_| random_value(seeded, depth + 1)).collect()),
        _ => random_object(seeded, depth + 1),
    }
}

fn random_object(seeded: &mut Seeded, depth: usize) -> Value {
    const FIELDS: [&str; 24] = [
        "user_id",
        "order_ref",
        "issue_ref",
        "seconds",
        "reason",
        "expires_at",
        "expires_on",
        "time_zone",
        "campaign_id",
        "batch_id",
        "count",
        "stock",
        "handout",
        "shared_code",
        "name",
        "metadata",
        "paused",
        "per_user_limit",
        "valid_days",
        "issue_from",
        "issue_until",
        "login_id",
        "code_prefix",
        "valid_from",
    ];
    let mut object = json!({});
    for _ in 0..seeded.next(6) {
        let field = seeded.of(&FIELDS);
        object[field] = random_value(seeded, depth);
    }
    object
}

#[tokio::test]
async fn a_few_thousand_random_requests() {
    const REQUESTS: usize = 4_000;
    let (service, code) = service().await;
    service.campaign("s", json!({"handout": "shared", "shared_code": "SUMMER"})).await;
    let mut seeded = Seeded(20_261_120);
    let goods = bodies("{code}").into_iter();
    let goods: Vec<(String, Value)> =
        goods.map(|(_, target, good)| (template(&target), good)).collect();
    let whos = [Nobody, ANN, ANN, Shop, Shop, Operator, Admin, Admin, Admin, Who::OtherKey];
    let codes = [code.as_str(), &code, "SUMMER", "ABCD", "%FF", "ZZZZZZZZZZZZZZZZ", "a%20b"];
    let names = ["c", "c", "s", "first", "first", "nowhere", "%FF", "a%20b"];
    let queries = [
        "",
        "",
        "",
        "",
        "?user_id=ann",
        "?limit=0",
        "?cursor=x",
        "?batch_id=first",
        "?expired=true",
    ];
    let kinds = ["application/json", "application/json", "application/json", "text/csv", "x"];
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for nth in 0..REQUESTS {
        let operation = &OPERATIONS[seeded.next(OPERATIONS.len())];
        // Hashing a password takes 20 ms, and this test does not need it.
        if operation.path.starts_with("/v1/users") || operation.path.starts_with("/v1/sessions") {
            continue;
        }
        let who = seeded.of(&whos);
        let mut path = operation.path.replace("{code}", seeded.of(&codes));
        path = path.replace("{campaign_id}", seeded.of(&names));
        path = path.replace("{webhook_id}", seeded.of(&["hook", "hook", "nowhere"]));
        path = path.replace("{delivery_id}", seeded.of(&["1", "1", "99", "x"]));
        path = path.replace("{batch_id}", seeded.of(&names)) + seeded.of(&queries);
        let method = ["GET", "POST", "PATCH", "DELETE"].into_iter();
        let method = method.into_iter().find(|it| *it == operation.method).unwrap_or("GET");
        let asked = match (method, seeded.next(8)) {
            ("GET" | "DELETE", _) => Asked::new(method, &path),
            (_, 0) => {
                let bytes: Vec<u8> =
                    (0..seeded.next(200)).map(|_| seeded.next(256) as u8).collect();
                Asked::new(method, &path).typed(seeded.of(&kinds), bytes)
            }
            (_, 1) => {
                let body = random_object(&mut seeded, 0);
                Asked::new(method, &path).typed(seeded.of(&kinds), body.to_string())
            }
            _ => {
                let good = goods.iter().find(|(template, _)| *template == operation.path);
                let mut body = good.map_or(json!({}), |(_, good)| good.clone());
                let fields: Vec<String> = fields_of(&operation.path, method);
                if seeded.next(2) == 0 && !fields.is_empty() {
                    let field = &fields[seeded.next(fields.len())];
                    body[field] = random_value(&mut seeded, 0);
                }
                if matches!(who, Who::User(_))
                    && let Some(body) = body.as_object_mut()
                {
                    body.remove("user_id");
                }
                Asked::new(method, &path).json(&body)
            }
        };
        let answer = service.send(who, asked).await;
        assert!(answer.status < 500, "#{nth} {method} {path}: {}", answer.text);
        *seen.entry(answer.word()).or_default() += 1;
    }
    assert!(seen.len() >= 12, "many kinds of answers: {seen:?}");
}
