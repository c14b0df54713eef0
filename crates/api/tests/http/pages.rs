//! The HTML pages, and `/openapi.json`.

use std::collections::BTreeSet;

use api::problem_code::ApiErrorCode;
use serde_json::{Value, json};

use crate::contract::{DOCUMENT, OPERATIONS};
use crate::service::{Admin, Nobody, Service};

#[tokio::test]
async fn pages_need_nothing_from_outside() {
    let service = Service::new();
    let mut targets = vec!["/".to_owned(), "/docs/search?q=hold".to_owned()];
    targets
        .extend(ApiErrorCode::ALL.iter().map(|code| format!("/docs/problems/{}", code.as_str())));
    let mut known: BTreeSet<String> = targets.iter().cloned().collect();
    // Each page that a link leads to is looked at once.
    while let Some(target) = targets.pop() {
        let page = service.get(Nobody, &target).await;
        page.is("200", &target);
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{target}: {policy}");
        let kind = page.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{target}: {kind}");
        for outside in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "<script", "@import"]
        {
            assert!(!page.text.contains(outside), "{target} has {outside}");
        }
        for link in page.text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || !known.insert(path.to_owned()) {
                continue;
            }
            match path.starts_with("/docs") && !path.ends_with(".css") {
                true => targets.push(path.to_owned()),
                false => {
                    _ = service.get(Nobody, path).await.is("200", &format!("{link} on {target}"))
                }
            }
        }
    }
    let groups = DOCUMENT["tags"].as_array().map_or(0, Vec::len);
    let shapes = DOCUMENT["components"]["schemas"].as_object().map_or(0, |it| it.len());
    assert!(known.len() > groups + shapes + ApiErrorCode::ALL.len(), "links lead to {known:?}");
    for (name, target) in [("no group", "/docs/nowhere"), ("no shape", "/docs/shapes/Nothing")] {
        service.get(Nobody, target).await.is("404 NOT_FOUND", name);
    }
    let style = service.get(Nobody, "/docs/style.css").await;
    assert!(!style.is("200", "style").text.contains("url("), "the style loads nothing");
}

/// A browser shows also the answer to a path that nobody has.
#[tokio::test]
async fn no_page_has_the_headers_of_a_page() {
    let service = Service::new();
    for target in ["/console/nowhere", "/console/%2e%2e", "/nowhere"] {
        let answer = service.get(Nobody, target).await;
        let found = answer.is("404 NOT_FOUND", target);
        let policy = found.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{target}: {policy}");
        for (name, want) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(found.header(name), Some(want), "{target}: {name}");
        }
    }
}

#[tokio::test]
async fn the_document_is_served_unchanged() {
    let service = Service::new();
    let served = service.get(Nobody, "/openapi.json").await;
    assert_eq!(served.is("200", "openapi").json, *DOCUMENT);
    assert_eq!(served.header("content-type"), Some("application/json"));
    let docs = service.get(Nobody, "/docs").await.text;
    for operation in OPERATIONS.iter() {
        let it = operation_of(&operation.id);
        let summary = it["summary"].as_str().unwrap_or("?").to_owned();
        let group = format!("/docs/{}", it["tags"][0].as_str().unwrap_or("?"));
        let page = service.get(Nobody, &group).await.text;
        let anchor = format!("id=\"call-{}\"", operation.id);
        for (path, text) in [("/docs", &docs), (group.as_str(), &page)] {
            let is_there = text.contains(&summary) && text.contains(&anchor);
            assert!(is_there, "{} is on {path}", operation.id);
        }
    }
    for name in DOCUMENT["components"]["schemas"].as_object().expect("schemas").keys() {
        let is_there = docs.contains(&format!("id=\"shape-{name}\""));
        assert!(is_there, "{name} has its old address on /docs");
    }
}

#[tokio::test]
async fn a_search_is_a_page() {
    let service = Service::new();
    let cases = [
        ("one word", "?q=redeem", "href=\"/docs/coupons#call-redeem\""),
        ("two words", "?q=post+hold", "href=\"/docs/coupons#call-hold\""),
        ("an encoded word", "?q=h%6Fld", "value=\"hold\""),
        ("markup", "?q=%22%3E%3Cscript%3E", "value=\"&quot;&gt;&lt;script&gt;\""),
        ("Korean", "?q=%EC%BF%A0%ED%8F%B0", "Nothing here"),
        ("no query", "", "Type words"),
        ("no text", "?q=", "Type words"),
        ("no UTF-8", "?q=%FF", "<h1>Search</h1>"),
        ("another parameter", "?x=1", "Type words"),
    ];
    for (name, query, want) in cases {
        let page = service.get(Nobody, &format!("/docs/search{query}")).await;
        assert!(page.is("200", name).text.contains(want), "{name}: {want}\n{}", page.text);
        assert!(!page.text.contains("<script"), "{name}");
    }
}

fn operation_of(id: &str) -> &'static Value {
    let items = DOCUMENT["paths"].as_object().into_iter().flatten();
    let operations = items.flat_map(|(_, item)| item.as_object().into_iter().flatten());
    let mut operations = operations.map(|(_, operation)| operation);
    operations.find(|operation| operation["operationId"] == id).expect("an operation")
}

#[tokio::test]
async fn every_operation_is_described() {
    let service = Service::new();
    let tags: Vec<&str> = DOCUMENT["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| tag["name"].as_str())
        .collect();
    let mut ids: Vec<&str> = OPERATIONS.iter().map(|it| it.id.as_str()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "operationIds are unique");
    for operation in OPERATIONS.iter() {
        let (name, it) = (&operation.id, operation_of(&operation.id));
        assert!(!name.is_empty(), "{} {}", operation.method, operation.path);
        assert!(it["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}: summary");
        assert!(it["description"].as_str().is_some_and(|it| !it.is_empty()), "{name}: description");
        let tagged = it["tags"].as_array().into_iter().flatten();
        let tagged: Vec<&str> = tagged.filter_map(Value::as_str).collect();
        assert!(!tagged.is_empty() && tagged.iter().all(|tag| tags.contains(tag)), "{name}: tag");
        let statuses = || operation.responses.keys();
        assert!(statuses().any(|status| status.starts_with('2')), "{name}: a good answer");
        assert!(statuses().any(|status| status == "405"), "{name}: 405");
        for (status, text) in &operation.responses {
            assert!(!text.is_empty(), "{name} {status}: description");
        }
        let open = it["security"] == json!([{}]) || it["security"] == json!([]);
        let sample = operation.path.replace("{code}", "AAAA").replace("{campaign_id}", "c");
        let sample = sample.replace("{batch_id}", "b").replace("{user_id}", "u");
        if operation.method == "GET" {
            let answer = service.get(Nobody, &sample).await;
            assert_eq!(open, answer.status == 200, "{name}: security");
            assert_eq!(!open, statuses().any(|status| status == "401"), "{name}: 401");
        }
        let in_path: Vec<&str> =
            operation.path.split('/').filter(|it| it.starts_with('{')).collect();
        let parameters = it["parameters"].as_array().into_iter().flatten();
        let declared = parameters.filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(declared, in_path.len(), "{name}: parameters of the path");
        let body = ["POST", "PATCH"].contains(&operation.method.as_str());
        assert_eq!(it["requestBody"].is_object(), body, "{name}: a body");
    }
}

/// Whether a schema has a type.
fn typed(schema: &Value) -> bool {
    ["type", "$ref", "oneOf", "anyOf", "allOf", "enum", "const"]
        .iter()
        .any(|key| !schema[*key].is_null())
}

/// Client generators turn an `allOf` with fields beside it into a new type, and lose which fields
/// of the first may be null.
#[test]
fn a_coupon_with_events_is_a_coupon_and_its_events() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let all_of: Vec<&str> = schemas
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, schema)| !schema["allOf"].is_null())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(all_of, Vec::<&str>::new(), "every schema lists its fields");
    let (coupon, detail) = (&schemas["Coupon"], &schemas["CouponWithEvents"]);
    assert_eq!(detail["type"], "object");
    let mut fields = coupon["properties"].as_object().expect("fields").clone();
    fields.insert("events".to_owned(), detail["properties"]["events"].clone());
    assert_eq!(detail["properties"], Value::Object(fields), "the same fields, nulls included");
    assert_eq!(detail["properties"]["order_ref"]["type"], json!(["string", "null"]));
    let names = |schema: &Value| -> BTreeSet<String> {
        let required = schema["required"].as_array().into_iter().flatten();
        required.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut required = names(coupon);
    required.insert("events".to_owned());
    assert_eq!(names(detail), required);
}

/// A generated client sends the `default` of a field that its caller leaves out, and in TypeScript
/// the field becomes required. So the description says what the server takes instead.
#[test]
fn nothing_has_a_default() {
    assert!(!DOCUMENT.to_string().contains("\"default\""));
}

/// A generator renames an operation whose name is a word of its language, each in another way.
#[test]
fn no_operation_has_a_reserved_word_for_a_name() {
    let reserved = "abstract assert async await break case catch class const continue default delete \
        do else enum except export extends final finally for from function global if implements \
        import in instanceof interface is lambda let match native new not null object package pass \
        private protected public raise return static super switch this throw throws try type typeof \
        var void volatile when while with yield";
    for operation in OPERATIONS.iter() {
        let is_reserved = reserved.split_whitespace().any(|word| word == operation.id);
        assert!(!is_reserved, "{} {}", operation.method, operation.path);
    }
}

#[test]
fn every_property_has_a_type() {
    let schemas = DOCUMENT["components"]["schemas"].as_object().expect("schemas");
    let mut properties = 0;
    for (name, schema) in schemas {
        assert!(typed(schema), "{name}");
        let inline = schema["allOf"].as_array().into_iter().flatten();
        for part in inline.chain([schema]) {
            for (field, property) in part["properties"].as_object().into_iter().flatten() {
                properties += 1;
                assert!(typed(property), "{name}.{field}: {property}");
                if property["type"] == "array" {
                    assert!(typed(&property["items"]), "{name}.{field}: items");
                }
            }
        }
    }
    assert!(properties > 100, "{properties}");
    for operation in OPERATIONS.iter() {
        let parameters = operation_of(&operation.id)["parameters"].as_array().into_iter().flatten();
        for parameter in parameters {
            assert!(typed(&parameter["schema"]), "{}: {parameter}", operation.id);
        }
    }
    // Every reference leads to a schema.
    let text = DOCUMENT.to_string();
    for name in text.split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().unwrap_or_default();
        assert!(schemas.contains_key(name), "{name} is referred to");
    }
}

/// How many problems of this code the metrics count.
fn problems_counted(metrics: &str, code: ApiErrorCode) -> u64 {
    let name = format!("couponry_problems_total{{code=\"{}\"}} ", code.as_str());
    let count = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
    count.unwrap_or_else(|| panic!("{name}is not a number in {metrics}"))
}

#[tokio::test]
async fn health_and_metrics() {
    let service = Service::new();
    assert_eq!(
        service.get(Nobody, "/healthz").await.is("200", "healthz").json,
        json!({"status": "ok"})
    );
    let ready = service.get(Nobody, "/readyz").await;
    assert_eq!(ready.is("200", "readyz").json["ready"], true);
    assert_eq!((&ready.json["writable"], &ready.json["reason"]), (&json!(true), &Value::Null));
    let metrics = service.get(Nobody, "/metrics").await;
    let kind = metrics.is("200", "metrics").header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{kind}");
    for name in [
        "couponry_hot_reads_total",
        "couponry_hot_writes_total",
        "couponry_hot_commits_total",
        "couponry_hot_writes_waiting",
        "couponry_hot_unknown_resolved_total{how=\"applied\"}",
        "couponry_hot_unknown_resolved_total{how=\"refused\"}",
        "couponry_hot_unknown_resolved_total{how=\"unknown\"}",
        "couponry_hot_resent_total",
        "couponry_events_aside_total",
        "couponry_http_request_duration_seconds",
        "couponry_build_info",
    ] {
        assert!(metrics.text.contains(name), "{name}");
    }
    for code in ApiErrorCode::ALL {
        // It is there before the first problem. Other tests of this process count, too.
        problems_counted(&metrics.text, *code);
    }
    let before = problems_counted(&metrics.text, ApiErrorCode::NotFound);
    service.get(Admin, "/v1/campaigns/nowhere").await.is("404 NOT_FOUND", "nowhere");
    let metrics = service.get(Nobody, "/metrics").await;
    assert!(problems_counted(&metrics.text, ApiErrorCode::NotFound) > before, "one more");
    service.campaign("c", json!({})).await;
    let code = service.issued("c", "ann").await;
    service.coupon(&code).await;
    let metrics = service.get(Nobody, "/metrics").await.text;
    assert!(!metrics.contains(&code), "a code is not a label");
    assert!(metrics.contains("route=\"/v1/coupons/{code}\""), "its path template is a label");
}
