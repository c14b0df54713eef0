//! One example of every schema, all of one story: the campaign `spring-2027`, the user `ann` and
//! her order `991`. `story/examples.json` tells it: there `"@Coupon"` stands for the example of
//! `Coupon`, and an object with `"@": "Coupon"` is that example with some fields otherwise.

use coupon::language::Lang;
use coupon::refusal::Refusal;
use serde_json::{Value, json};

use super::schemas;
use crate::problem::Problem;

/// Adds to each schema its example; an enum has its first value.
pub(super) fn add(document: &mut Value) {
    let story: Value =
        serde_json::from_str(include_str!("story/examples.json")).unwrap_or_default();
    for (name, schema) in schemas(document) {
        let first = schema["enum"][0].clone();
        let example = if first.is_null() { example(&story, name) } else { first };
        schema["example"] = example;
    }
}

fn example(story: &Value, name: &str) -> Value {
    if let Some(item) = name.strip_prefix("List_") {
        return json!({"data": [example(story, item)], "next_cursor": null});
    }
    let mut example = written_out(story, &story[name]);
    match name {
        // What another order gets after ann's.
        "Problem" => {
            let problem = Problem::from(Refusal::AlreadyRedeemed);
            example = json!(problem.body(Lang::En, "01981f2c-77a0-7c1e-9b1c-5a2f0c0e9d13"));
            example["coupon"] = written_out(story, &story["Coupon, redeemed"]);
        }
        "Ready" => example["version"] = env!("CARGO_PKG_VERSION").into(),
        _ => {}
    }
    example
}

/// `thing` with the examples in the places of their names.
fn written_out(story: &Value, thing: &Value) -> Value {
    match thing {
        Value::String(text) => match text.strip_prefix('@') {
            Some(name) => written_out(story, &story[name]),
            None => thing.clone(),
        },
        Value::Array(items) => items.iter().map(|item| written_out(story, item)).collect(),
        Value::Object(fields) => {
            let mut whole = match fields.get("@").and_then(Value::as_str) {
                Some(base) => written_out(story, &story[base]),
                None => json!({}),
            };
            for (name, field) in fields.iter().filter(|(name, _)| *name != "@") {
                whole[name] = written_out(story, field);
            }
            whole
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => thing.clone(),
    }
}

#[cfg(test)]
mod tests;
