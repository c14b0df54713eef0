//! Schemas in the shape that generators of clients read best.

use serde_json::{Map, Value, json};

use super::schemas;

/// Writes each shape that extends another one out in full. Generators of clients read an `allOf`
/// with fields beside it as a new type, and forget which fields of the first may be null.
pub(super) fn write_out(document: &mut Value) {
    let known = document["components"]["schemas"].clone();
    for (_, schema) in schemas(document) {
        let parts = schema.as_object_mut().and_then(|schema| schema.remove("allOf"));
        let Some(Value::Array(parts)) = parts else { continue };
        let mut properties = Map::new();
        for part in &parts {
            let name = part["$ref"].as_str().and_then(|to| to.rsplit('/').next());
            let part = name.map_or(part, |name| &known[name]);
            for (name, property) in part["properties"].as_object().into_iter().flatten() {
                properties.insert(name.clone(), property.clone());
            }
        }
        schema["type"] = json!("object");
        schema["properties"] = Value::Object(properties);
    }
}

/// Requires every field of an answer: a field without a value is null, never absent.
pub(super) fn require_fields(document: &mut Value) {
    for (_, schema) in schemas(document) {
        // Only the body of a request refuses other fields.
        if let (Some(fields), Value::Null) =
            (schema["properties"].as_object(), &schema["additionalProperties"])
        {
            schema["required"] = fields.keys().cloned().collect();
        }
    }
}

/// Has each list refer to the schema of its items. The generator of the document writes the items
/// of a `List<T>` out, and a generator of clients would make a second type of them.
pub(super) fn name_items(document: &mut Value) {
    for (name, schema) in schemas(document) {
        if let Some(item) = name.strip_prefix("List_") {
            let reference = json!({"$ref": format!("#/components/schemas/{item}")});
            schema["properties"]["data"]["items"] = reference;
        }
    }
}

/// Moves the description of a field that may be null from the schema that it refers to, where the
/// generator of the document puts it, to the field.
pub(super) fn describe_fields(document: &mut Value) {
    for (_, schema) in schemas(document) {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for property in properties.into_iter().flat_map(|properties| properties.values_mut()) {
            let of = property.get_mut("oneOf").and_then(|forms| forms.get_mut(0));
            let description =
                of.and_then(Value::as_object_mut).and_then(|of| of.remove("description"));
            if let Some(description) = description {
                property["description"] = description;
            }
        }
    }
}
