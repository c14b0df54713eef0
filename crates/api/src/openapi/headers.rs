//! The headers of answers that a client may read.

use serde_json::{Map, Value, json};

use super::operations;
use crate::around::REQUEST_ID_LEN_MAX;
use crate::problem_code::{ApiErrorCode, problems_of};

/// The operations that can answer what an earlier request did.
const REPLAYING: &str = "create_campaign create_batch create_webhook create_user issue issue_coupon hold release \
                         redeem cancel_redemption hold_order redeem_order cancel_order revoke void_coupon extend";

pub(super) fn add(document: &mut Value) {
    for operation in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            response["headers"] = Value::Object(headers_of(&id, status));
        }
    }
}

fn headers_of(operation: &str, status: &str) -> Map<String, Value> {
    let mut headers = Map::new();
    let mut has = |name: &str, description: &str, schema: Value| {
        let header = json!({"description": description, "schema": schema});
        headers.insert(name.to_owned(), header);
    };
    has(
        "x-request-id",
        "Names the request in the log of the server. It is the `x-request-id` that the request \
         had, or a new one.",
        json!({"type": "string", "minLength": 1, "maxLength": REQUEST_ID_LEN_MAX}),
    );
    if status.starts_with(['4', '5']) && (operation, status) != ("readyz", "503") {
        has(
            "Content-Language",
            "The language of the texts of the problem.",
            json!({"type": "string", "enum": ["en", "ko"]}),
        );
    }
    if waits(operation, status) {
        has(
            "Retry-After",
            "Wait this many seconds, then send the request again. Not every code has this header.",
            json!({"type": "integer", "minimum": 1}),
        );
    }
    if status == "200" && REPLAYING.split(' ').any(|it| it == operation) {
        has(
            "Idempotent-Replayed",
            "`true` if an earlier request did this, and this one changed nothing; otherwise not there.",
            json!({"type": "string", "enum": ["true"]}),
        );
    }
    match (operation, status) {
        (_, "401") => has(
            "WWW-Authenticate",
            "How to send a token.",
            json!({"type": "string", "enum": ["Bearer"]}),
        ),
        (_, "405") => has("Allow", "The methods that this path has.", json!({"type": "string"})),
        ("import_template", "200") => has(
            "Content-Disposition",
            "The name of the file.",
            json!({"type": "string", "enum": ["attachment; filename=\"import-template.csv\""]}),
        ),
        ("create_campaign" | "read_campaign" | "change_campaign", "200" | "201") => has(
            "ETag",
            "A tag of what can be changed of the campaign, for `If-Match`. It says nothing about the counts.",
            json!({"type": "string", "pattern": "^\"[0-9a-f]{16}\"$"}),
        ),
        _ => {}
    }
    headers
}

/// Whether a problem of this status can say in seconds when to come back.
fn waits(operation: &str, status: &str) -> bool {
    let mut codes = problems_of(operation).filter(|code| code.status().to_string() == status);
    // How long to wait after too many attempts differs from case to case.
    codes.any(|code| code.retry_after().is_some() || code == ApiErrorCode::TooMany)
}
