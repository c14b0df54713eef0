//! One shape of the document as a JSON Schema by itself, for programs that do not read OpenAPI.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Value, json};

/// Where the document has its shapes.
const IN_DOCUMENT: &str = "#/components/schemas/";

/// Where a JSON Schema has those that it needs.
const IN_SCHEMA: &str = "#/$defs/";

/// The shape `name` of the document as a JSON Schema (2020-12, which OpenAPI 3.1 uses, too), with every
/// shape that it needs. `None`: there is no such shape.
pub fn json_schema(document: &Value, name: &str) -> Option<Value> {
    let shapes = &document["components"]["schemas"];
    let (mut needed, mut left) = (BTreeMap::new(), vec![name.to_owned()]);
    while let Some(name) = left.pop() {
        if let Entry::Vacant(place) = needed.entry(name) {
            let mut shape = shapes.get(place.key())?.clone();
            point_inside(&mut shape, &mut left);
            place.insert(shape);
        }
    }
    let mut schema = needed.remove(name)?;
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(name);
    if !needed.is_empty() {
        schema["$defs"] = json!(needed);
    }
    Some(schema)
}

/// Turns each reference into one within the schema, and collects what is referred to.
fn point_inside(shape: &mut Value, names: &mut Vec<String>) {
    match shape {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().and_then(|it| it.strip_prefix(IN_DOCUMENT)) {
                    Some(name) if key == "$ref" => {
                        names.push(name.to_owned());
                        *value = json!(format!("{IN_SCHEMA}{name}"));
                    }
                    _ => point_inside(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_inside(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::document;

    #[test]
    fn the_schema_of_an_event_is_written_down() {
        let written = include_str!("../../../../schema/event.json");
        let written: Value = serde_json::from_str(written).expect("JSON");
        let now = json_schema(&document(), "FeedEvent");
        let same = now.as_ref() == Some(&written);
        assert!(same, "write it anew: couponry openapi --shape FeedEvent > schema/event.json");
    }

    #[test]
    fn a_shape_has_all_that_it_needs() {
        let document = document();
        let event = json_schema(&document, "FeedEvent").expect("a shape");
        let needed: Vec<&str> =
            event["$defs"].as_object().expect("others").keys().map(String::as_str).collect();
        assert_eq!(
            needed,
            ["BenefitTitle", "EventType", "FeedChange", "FeedCoupon", "FieldChange"]
        );
        assert!(!event.to_string().contains(IN_DOCUMENT));
        assert!(json_schema(&document, "EventType").expect("a shape").get("$defs").is_none());
        assert_eq!(json_schema(&document, "Nothing"), None);
    }
}
