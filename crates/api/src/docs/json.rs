//! Small questions to a document of JSON, and values as HTML.

use serde_json::Value;

use super::markdown::code;

/// The text under `key`, unless it is empty.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str().filter(|text| !text.trim().is_empty())
}

/// The list under `key`; no list is an empty one.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A value as code.
pub(super) fn value_html(value: &Value) -> String {
    value.as_str().map_or_else(|| code(&value.to_string()), code)
}

/// Where the shape `name` is on the page; names that differ have anchors that differ.
pub(super) fn shape_anchor(name: &str) -> String {
    let mut anchor = String::from("shape-");
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            anchor.push(c);
        } else {
            anchor.push_str(&format!("-{:x}-", u32::from(c)));
        }
    }
    anchor
}

/// The forms of `schema`, null included.
pub(super) fn either(schema: &Value) -> &[Value] {
    let one = list(schema, "oneOf");
    if one.is_empty() { list(schema, "anyOf") } else { one }
}

/// The forms of `schema` other than null.
pub(super) fn alternatives(schema: &Value) -> Vec<&Value> {
    either(schema).iter().filter(|form| form["type"] != "null").collect()
}

/// Whether a schema has parts that a few words cannot say.
pub(super) fn is_composite(schema: &Value) -> bool {
    schema["properties"].is_object()
        || !list(schema, "allOf").is_empty()
        || alternatives(schema).len() > 1
        || types(schema).contains(&"object")
}

/// The types that `schema` names, or the one that its keywords speak of.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            let speaks_of = |keys: &[&str]| keys.iter().any(|key| schema.get(key).is_some());
            if speaks_of(&["properties", "additionalProperties"]) {
                vec!["object"]
            } else if speaks_of(&["items"]) {
                vec!["array"]
            } else if speaks_of(&["enum"]) {
                vec!["value"]
            } else {
                vec!["anything"]
            }
        }
    }
}

/// `parts` without repetitions, `word` between them.
pub(super) fn joined(parts: impl Iterator<Item = String>, word: &str) -> String {
    let mut unlike: Vec<String> = Vec::new();
    for part in parts {
        if !unlike.contains(&part) {
            unlike.push(part);
        }
    }
    unlike.join(word)
}

/// `%7B` and the like as what they stand for; a reference is a URI.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let pair = after.get(..2).filter(|_| *first == b'%');
        let decoded = pair
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
