//! Which problems each operation can answer with, by status.

use std::collections::BTreeMap;

use utoipa::openapi::path::Operation;
use utoipa::openapi::{
    Content, OpenApi as Document, PathItem, Ref, RefOr, Response, ResponseBuilder,
};

use crate::problem::{Code, problems_of};

/// Adds to every operation the problems that it can answer with, by status.
pub(super) fn added(mut document: Document) -> Document {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let name = operation.operation_id.clone().unwrap_or_default();
            let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
            for code in problems_of(&name) {
                by_status.entry(code.status()).or_default().push(code);
            }
            by_status.entry(405).or_default().push(Code::MethodNotAllowed);
            for (status, codes) in by_status {
                let response = problem_response(&codes);
                operation.responses.responses.insert(status.to_string(), RefOr::T(response));
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put]
        .into_iter()
        .flatten()
}

fn problem_response(codes: &[Code]) -> Response {
    let lines = codes.iter().map(|code| {
        format!("- `{}`: {} (retry: {})", code.as_str(), code.title(), code.retry().as_str())
    });
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n"))
        .content("application/problem+json", content)
        .build()
}
