//! What a schema demands of a value, in a few words.

use serde_json::Value;

use super::json::{joined, list, value_html};
use super::markdown::escape;

/// The limits that stand in `schema` itself, each a few words of HTML.
pub(super) fn limits(schema: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    if schema["deprecated"] == true {
        limits.push("<strong>deprecated</strong>".to_owned());
    }
    let choices = list(schema, "enum");
    if !choices.is_empty() {
        limits.push(format!("one of {}", joined(choices.iter().map(value_html), ", ")));
    }
    limits.extend(span(&schema["minLength"], &schema["maxLength"], " characters"));
    limits.extend(span(&schema["minItems"], &schema["maxItems"], " entries"));
    limits.extend(span(&schema["minProperties"], &schema["maxProperties"], " fields"));
    limits.extend(span(&schema["minimum"], &schema["maximum"], ""));
    let named = [
        ("exclusiveMinimum", "more than "),
        ("exclusiveMaximum", "less than "),
        ("multipleOf", "a multiple of "),
        ("contentMediaType", "as "),
    ];
    for (key, words) in named {
        limits.extend(schema.get(key).map(|value| format!("{words}{}", plain(value))));
    }
    for (key, words) in [("pattern", "matches "), ("default", "default ")] {
        limits.extend(schema.get(key).map(|value| format!("{words}{}", value_html(value))));
    }
    // A whole object is shown with its body, and has no place in a few words.
    let short = schema.get("example").into_iter().chain(list(schema, "examples").first());
    let is_short = |value: &&Value| !value.is_object() && !value.is_array();
    let mut short = short.filter(|value| is_short(value) && choices.is_empty());
    limits.extend(short.next().map(|value| format!("for example {}", value_html(value))));
    for (key, words) in [
        ("uniqueItems", "no entry twice"),
        ("readOnly", "in answers only"),
        ("writeOnly", "in requests only"),
    ] {
        limits.extend((schema[key] == true).then(|| words.to_owned()));
    }
    limits
}

/// "1 to 64 characters", or what there is of it.
fn span(least: &Value, most: &Value, unit: &str) -> Option<String> {
    match (least.is_number(), most.is_number()) {
        (true, true) if least == most => Some(format!("exactly {}{unit}", plain(least))),
        (true, true) => Some(format!("{} to {}{unit}", plain(least), plain(most))),
        (true, false) => Some(format!("at least {}{unit}", plain(least))),
        (false, true) => Some(format!("at most {}{unit}", plain(most))),
        (false, false) => None,
    }
}

/// A value without quotes; a whole number without its `.0`.
fn plain(value: &Value) -> String {
    let printed = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    escape(printed.strip_suffix(".0").unwrap_or(&printed))
}
