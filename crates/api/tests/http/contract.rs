//! The contract of every answer, as tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use api::problem_code::ApiErrorCode;
use serde_json::Value;

use crate::service::Answer;

/// Status and retry of every problem, by its code: line 2 of its page, `Status 409 · retry: never`.
static PROBLEMS: LazyLock<BTreeMap<&str, (String, String)>> = LazyLock::new(|| {
    let pages = ApiErrorCode::ALL.iter().map(|code| {
        let word = code.as_str();
        let path = format!("{}/../../docs/problems/{word}.md", env!("CARGO_MANIFEST_DIR"));
        let page = fs::read_to_string(path).expect(word);
        let line = page.lines().nth(1).and_then(|line| line.strip_prefix("Status "));
        let (status, retry) = line.and_then(|line| line.split_once(" · retry: ")).expect(word);
        (word, (status.to_owned(), retry.to_owned()))
    });
    pages.collect()
});

/// Problems with a Retry-After header.
const WITH_RETRY_AFTER: &[&str] = &[
    "TOO_MANY",
    "OVERLOADED",
    "STORE_FULL",
    "STORE_UNAVAILABLE",
    "STORE_DAMAGED",
    "COLD_UNAVAILABLE",
];

/// Problems that have the header in some answers.
const MAY_HAVE_RETRY_AFTER: &[&str] = &["OUTCOME_UNKNOWN"];

const PROBLEM: &str = "type title status code detail hint retry retry_at min_order missing discount coupon \
     next_cursor errors coupons request_id";
const COUPON: &str = "code campaign_id batch_id state expired paused holder valid_from expires_at \
    expires_on time_zone held_until issued_at redeemed_at order_ref created_at modified_at \
    version tier order_amount discount currency";
const EVENT: &str = "sequence kind at actor reference";
const CAMPAIGN: &str = "campaign_id name handout stock issued redeemed void paused shared_code \
    code_prefix valid_from expires_at expires_on time_zone valid_days issue_from issue_until \
    per_user_limit cancel_days extend_days metadata currency benefit worth budget spent \
    extension created_at counted_at";
const BATCH: &str = "batch_id campaign_id kind count paused lines imported already_there rejected \
    created_at";
const DRY_RUN: &str = "dry_run campaign_id time_zone encoding separator header columns exported_by left_out \
    lines new known unchecked rejected repeated rejected_lines parsed_lines";
const PARSED: &str = "line code valid_from expires_at expires_on state user_id issued_at \
    redeemed_at order_ref";
const REDEMPTION: &str = "code campaign_id user_id order_ref redeemed_at cancelled_at order_amount \
                          discount currency";
const LIST: &str = "data next_cursor";

/// The shape of a value in an answer.
enum Shape {
    Fields(&'static str, &'static [(&'static str, Shape)]),
    /// The fields, or null.
    Maybe(&'static Shape),
    Each(&'static Shape),
    /// The first shape if the answer has this field, or else the second.
    With(&'static str, &'static Shape, &'static Shape),
    /// Not JSON of couponry: CSV, or the metrics.
    Other,
}

use Shape::{Each, Fields, Maybe, Other, With};

const DRY_RUN_SHAPE: Shape = Fields(
    DRY_RUN,
    &[
        ("rejected_lines", Each(&Fields("line text reason detail", &[]))),
        ("parsed_lines", Each(&Fields(PARSED, &[]))),
    ],
);

const COUPON_SHAPE: Shape = Fields(COUPON, &[]);

const LISTED_SHAPE: Shape =
    Fields("COUPON+campaign", &[("campaign", Maybe(&Fields("name metadata worth", &[])))]);
const CAMPAIGN_SHAPE: Shape = Fields(CAMPAIGN, &[]);

const FEED_EVENT: Shape = Fields(
    "event_id cursor type at actor coupon change",
    &[
        (
            "coupon",
            Maybe(&Fields(
                "code campaign_id batch_id version user_id order_ref issue_ref revoke_ref reason \
                 expires_at held_until order_amount discount currency worth",
                &[],
            )),
        ),
        (
            "change",
            Maybe(&Fields(
                "campaign_id batch_id reason changes",
                &[("changes", Each(&FIELD_CHANGE))],
            )),
        ),
    ],
);

const FIELD_CHANGE: Shape = Fields("field from to", &[]);

const COUNTS: Shape = Fields(
    "time_zone data all_time",
    &[
        (
            "data",
            Each(&Fields(
                "begins_at on issued redeemed redemptions_cancelled amounts refused",
                &[("refused", Each(&Fields("problem count", &[]))), ("amounts", AMOUNT_SUMS)],
            )),
        ),
        ("all_time", AMOUNT_SUMS),
    ],
);

const AMOUNT_SUMS: Shape = Each(&Fields(
    "currency orders order_amount order_discount discount orders_cancelled order_amount_cancelled \
     order_discount_cancelled discount_cancelled",
    &[],
));

const AUDIT: Shape = Fields(
    "data next_cursor",
    &[(
        "data",
        Each(&Fields(
            "type at actor campaign_id batch_id reason changes",
            &[("changes", Each(&FIELD_CHANGE))],
        )),
    )],
);

const WEBHOOK: Shape = Fields(
    "webhook_id url description types campaign_id ordered state stopped_at stopped_reason created_at \
     pending failures failing_since secrets secret",
    &[("secrets", Each(&Fields("created_at signs_until", &[])))],
);

const DELIVERY: Shape = Fields(
    "delivery_id state event_id type code created_at attempts redelivered tried_at status error \
     duration_ms next_at ended_at",
    &[],
);

const ERASURE: Shape = Fields(
    "erasure_id number name state actor reason asked_at found_at settled_at overwritten_at \
     archived_at finished_at",
    &[],
);

const ORDER_SHAPE: Shape = Fields(
    "order_ref complete coupons order_amount discount currency",
    &[(
        "coupons",
        Each(&Fields(
            "code campaign_id state refusal missing discount held_until redeemed_at cancelled_at",
            &[],
        )),
    )],
);

/// The shape of the good answer of every operation.
const SHAPES: &[(&str, Shape)] = &[
    ("read_coupon", Fields("COUPON+events", &[("events", Each(&Fields(EVENT, &[])))])),
    ("list_coupons", Fields(LIST, &[("data", Each(&LISTED_SHAPE))])),
    (
        "check",
        Fields(
            "redeemable refusal discount missing coupon campaign",
            &[("coupon", Maybe(&COUPON_SHAPE)), ("campaign", Maybe(&CAMPAIGN_SHAPE))],
        ),
    ),
    ("hold", Fields("code order_ref until discount coupon", &[("coupon", COUPON_SHAPE)])),
    ("release", COUPON_SHAPE),
    ("redeem", Fields(REDEMPTION, &[])),
    (
        "cancel_redemption",
        Fields(
            "redemption coupon",
            &[("redemption", Fields(REDEMPTION, &[])), ("coupon", COUPON_SHAPE)],
        ),
    ),
    ("check_order", ORDER_SHAPE),
    ("hold_order", ORDER_SHAPE),
    ("redeem_order", ORDER_SHAPE),
    ("cancel_order", ORDER_SHAPE),
    ("read_order", ORDER_SHAPE),
    ("issue_coupon", COUPON_SHAPE),
    (
        "do_operations",
        Fields("results", &[("results", Each(&Fields("status replayed body", &[])))]),
    ),
    ("revoke", COUPON_SHAPE),
    ("void_coupon", COUPON_SHAPE),
    ("extend", COUPON_SHAPE),
    ("create_campaign", CAMPAIGN_SHAPE),
    ("list_campaigns", Fields(LIST, &[("data", Each(&CAMPAIGN_SHAPE))])),
    ("read_campaign", CAMPAIGN_SHAPE),
    ("change_campaign", CAMPAIGN_SHAPE),
    ("issue", COUPON_SHAPE),
    ("create_batch", With("dry_run", &DRY_RUN_SHAPE, &Fields(BATCH, &[]))),
    ("list_batches", Fields(LIST, &[("data", Each(&Fields(BATCH, &[])))])),
    ("read_batch", Fields(BATCH, &[])),
    ("change_batch", Fields(BATCH, &[])),
    ("list_codes", Other),
    (
        "list_attempts",
        Fields(
            "data next_cursor dropped",
            &[(
                "data",
                Each(&Fields(
                    "at action code unknown campaign_id user_id order_ref actor peer problem",
                    &[],
                )),
            )],
        ),
    ),
    ("read_counts", COUNTS),
    ("read_campaign_counts", COUNTS),
    ("list_redemptions", Fields(LIST, &[("data", Each(&Fields(REDEMPTION, &[])))])),
    ("list_audit", AUDIT),
    ("list_campaign_audit", AUDIT),
    ("create_webhook", WEBHOOK),
    ("list_webhooks", Fields(LIST, &[("data", Each(&WEBHOOK))])),
    ("read_webhook", WEBHOOK),
    ("change_webhook", WEBHOOK),
    ("delete_webhook", Other),
    ("rotate_secret", Fields("secret", &[])),
    ("test_webhook", Fields("delivered delivery_id event_id status error duration_ms", &[])),
    ("list_deliveries", Fields(LIST, &[("data", Each(&DELIVERY))])),
    ("redeliver", DELIVERY),
    ("list_events", Fields("data next_cursor has_more", &[("data", Each(&FEED_EVENT))])),
    (
        "read_person",
        Fields("user_id read_at records", &[("records", Each(&Fields("kind value", &[])))]),
    ),
    ("erase_person", ERASURE),
    ("list_erasures", Fields(LIST, &[("data", Each(&ERASURE))])),
    ("read_erasure", ERASURE),
    ("import_template", Other),
    ("create_user", Fields("user_id token expires_at", &[])),
    ("create_session", Fields("user_id token expires_at", &[])),
    ("delete_user", Other),
    ("healthz", Other),
    ("readyz", Other),
];

/// One operation of `/openapi.json`.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Descriptions by status.
    pub(crate) responses: BTreeMap<String, String>,
    /// Names of headers by status.
    headers: BTreeMap<String, BTreeSet<String>>,
}

/// The document as `/openapi.json` serves it.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(api::openapi::document()).expect("JSON"));

pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("a path item");
        item.iter().map(|(method, operation)| Operation {
            id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
            method: method.to_uppercase(),
            path: path.clone(),
            responses: described(&operation["responses"]),
            headers: headers(&operation["responses"]),
        })
    });
    each.collect()
});

fn described(responses: &Value) -> BTreeMap<String, String> {
    let text = |it: &Value| it["description"].as_str().unwrap_or_default().to_owned();
    let responses = responses.as_object().into_iter().flatten();
    responses.map(|(status, response)| (status.clone(), text(response))).collect()
}

fn headers(responses: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let names = |it: &Value| {
        let headers = it["headers"].as_object().into_iter().flatten();
        headers.map(|(name, _)| name.to_lowercase()).collect()
    };
    let responses = responses.as_object().into_iter().flatten();
    responses.map(|(status, response)| (status.clone(), names(response))).collect()
}

/// The headers of an answer. The document must name each of them.
const HEADERS: &[&str] =
    &["x-request-id", "retry-after", "www-authenticate", "allow", "content-disposition"];

fn stands_for(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(want, found)| want == found || (want.starts_with('{') && !found.is_empty()))
}

/// Checks an answer against the document and the tables.
pub(crate) fn check(method: &str, target: &str, answer: &Answer) {
    let path = target.split('?').next().unwrap_or_default();
    let on_path: Vec<&Operation> =
        OPERATIONS.iter().filter(|operation| stands_for(&operation.path, path)).collect();
    let asked = on_path.iter().find(|operation| operation.method == method).copied();
    let context = format!("{method} {target} -> {} {}", answer.status, answer.text);
    let context = context.chars().take(2_000).collect::<String>();
    if answer.status >= 400 {
        problem(answer, &context);
        let code = answer.json["code"].as_str().unwrap_or_default();
        if let Some(operation) = asked.or(on_path.first().copied()) {
            let listed = operation.responses.get(&answer.status.to_string());
            let listed = listed.is_some_and(|text| text.contains(&format!("`{code}`")));
            assert!(listed, "{code} is not documented for {}: {context}", operation.id);
            has_named_headers(operation, answer, &context);
        }
        return;
    }
    let Some(operation) = asked else { return };
    let documented = operation.responses.contains_key(&answer.status.to_string());
    assert!(documented, "the status is not documented for {}: {context}", operation.id);
    has_named_headers(operation, answer, &context);
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        let shape = SHAPES.iter().find(|(id, _)| *id == operation.id).map(|(_, shape)| shape);
        let shape = shape.unwrap_or_else(|| panic!("{} has no shape here", operation.id));
        fits(shape, &answer.json, &context);
    }
}

fn has_named_headers(operation: &Operation, answer: &Answer, context: &str) {
    let named = operation.headers.get(&answer.status.to_string());
    for header in HEADERS.iter().filter(|header| answer.header(header).is_some()) {
        let is_named = named.is_some_and(|named| named.contains(*header));
        assert!(is_named, "{header} is not documented for {}: {context}", operation.id);
    }
}

fn fits(shape: &Shape, found: &Value, context: &str) {
    match shape {
        Fields(fields, inside) => {
            has_exactly(&fields.replace("COUPON+", &format!("{COUPON} ")), found, context);
            for (field, shape) in *inside {
                fits(shape, &found[*field], context);
            }
        }
        With(field, with, without) => {
            let shape = if found.get(field).is_some() { with } else { without };
            fits(shape, found, context);
        }
        Maybe(shape) if !found.is_null() => fits(shape, found, context),
        Each(shape) => {
            let items = found.as_array().unwrap_or_else(|| panic!("no array: {context}"));
            items.iter().for_each(|item| fits(shape, item, context));
        }
        Maybe(_) | Other => {}
    }
}

fn has_exactly(fields: &str, found: &Value, context: &str) {
    let want: BTreeSet<&str> = fields.split_whitespace().collect();
    let found = found.as_object().unwrap_or_else(|| panic!("no object: {context}"));
    let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(found, want, "{context}");
}

fn problem(answer: &Answer, context: &str) {
    has_exactly(PROBLEM, &answer.json, context);
    let it = &answer.json;
    let code = it["code"].as_str().unwrap_or_default();
    let page = PROBLEMS.get(code);
    let (status, retry) = page.unwrap_or_else(|| panic!("unknown code: {context}"));
    assert_eq!(answer.status.to_string(), *status, "{context}");
    assert_eq!(it["status"].to_string(), *status, "{context}");
    assert_eq!(it["retry"], *retry, "{context}");
    assert_eq!(it["type"], format!("/docs/problems/{code}"), "{context}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{context}");
    for field in ["title", "detail"] {
        assert!(it[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {context}");
    }
    let id = it["request_id"].as_str();
    assert!(id.is_some_and(|id| !id.is_empty()), "{context}");
    assert_eq!(answer.header("x-request-id"), id, "{context}");
    let errors = it["errors"].as_array();
    assert_eq!(errors.is_some(), code == "INVALID", "errors belong to INVALID: {context}");
    assert!(errors.is_none_or(|errors| !errors.is_empty()), "want null: {context}");
    errors.into_iter().flatten().for_each(|error| has_exactly("field detail", error, context));
    let wait = answer.header("retry-after");
    if WITH_RETRY_AFTER.contains(&code) {
        let seconds = wait.and_then(|wait| wait.parse::<u32>().ok());
        assert!(seconds.is_some_and(|seconds| seconds >= 1), "Retry-After: {context}");
    } else if !MAY_HAVE_RETRY_AFTER.contains(&code) {
        assert_eq!(wait, None, "Retry-After: {context}");
    }
    let allowed = answer.header("allow").is_some_and(|methods| !methods.is_empty());
    assert_eq!(allowed, answer.status == 405, "Allow: {context}");
    if !it["coupon"].is_null() {
        has_exactly(COUPON, &it["coupon"], context);
    }
    if it["retry"] != "later" {
        assert!(it["retry_at"].is_null(), "an instant for the next try: {context}");
    }
}

#[test]
fn every_operation_has_a_shape() {
    let shaped: BTreeSet<&str> = SHAPES.iter().map(|(id, _)| *id).collect();
    let operations: BTreeSet<&str> = OPERATIONS.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(shaped, operations);
}
