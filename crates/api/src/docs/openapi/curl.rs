//! A call as a command that a person can paste into a shell.

use super::operation::{ApiOperation, is_open};
use crate::docs::json::{list, members, text};
use crate::docs::schema::ComponentSchemas;

/// The query of a call that needs one. What it needs is not in the document as an example, or not as
/// required: one of several parameters is enough.
const QUERIES: [(&str, &str); 4] = [
    ("list_coupons", "campaign_id=spring-2027"),
    ("list_redemptions", "order_ref=991"),
    ("read_counts", "from=2027-03-01&to=2027-03-31"),
    ("read_campaign_counts", "from=2027-03-01&to=2027-03-31"),
];

/// One command for each kind of body that the call takes.
pub(super) fn commands(operation: &ApiOperation<'_>, shapes: ComponentSchemas<'_>) -> Vec<String> {
    let call = operation.call;
    let method = operation.method.to_ascii_uppercase();
    let mut head = String::from("curl");
    if method != "GET" {
        head.push_str(&format!(" -X {method}"));
    }
    head.push_str(&format!(" \"$COUPONRY{}\"", target(operation)));
    if !is_open(call) {
        head.push_str(" \\\n  -H \"Authorization: Bearer $TOKEN\"");
    }
    let bodies = members(&call["requestBody"]["content"]).map(|(kind, media)| {
        let body = match kind {
            "application/json" => {
                let example = shapes.example(media).map(ToString::to_string).unwrap_or_default();
                // A quotation mark ends the text of a shell: end it, write one, begin again.
                format!("-d '{}'", example.replace('\'', "'\\''"))
            }
            "text/csv" => "--data-binary @coupons.csv".to_owned(),
            _ => "--data-binary @coupons.xlsx".to_owned(),
        };
        format!("{head} \\\n  -H 'Content-Type: {kind}' \\\n  {body}")
    });
    let commands: Vec<String> = bodies.collect();
    if commands.is_empty() { vec![head] } else { commands }
}

fn target(operation: &ApiOperation<'_>) -> String {
    let mut target = operation.path.to_owned();
    for parameter in list(operation.call, "parameters").iter().filter(|it| it["in"] == "path") {
        let example = &parameter["example"];
        let value = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        target = target.replace(&format!("{{{}}}", text(parameter, "name")), &value);
    }
    let id = text(operation.call, "operationId");
    match QUERIES.iter().find(|(of, _)| *of == id) {
        Some((_, query)) => format!("{target}?{query}"),
        None => target,
    }
}
