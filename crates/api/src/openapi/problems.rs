//! Which problems each operation can answer with, by status.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::operations;
use crate::problem_code::{ApiErrorCode, problems_of};

pub(super) fn add(document: &mut Value) {
    for operation in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        let mut by_status: BTreeMap<u16, Vec<ApiErrorCode>> = BTreeMap::new();
        for code in problems_of(id).chain([ApiErrorCode::MethodNotAllowed]) {
            by_status.entry(code.status()).or_default().push(code);
        }
        for (status, codes) in by_status {
            operation["responses"][status.to_string()] = response(&codes);
        }
    }
}

fn response(codes: &[ApiErrorCode]) -> Value {
    let lines = codes.iter().map(|code| {
        format!("- `{}`: {} (retry: {})", code.as_str(), code.title(), code.retry().as_str())
    });
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    json!({
        "description": lines.collect::<Vec<_>>().join("\n"),
        "content": {"application/problem+json": {"schema": schema}},
    })
}
