//! Schemas in the shape that generators of clients read best.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::schema::{AllOf, Object, Schema};
use utoipa::openapi::{OpenApi as Document, RefOr};

use super::schemas;

/// Writes each shape that extends another one out in full. Generators of clients read an `allOf`
/// with fields beside it as a new type, and forget which fields of the first may be null.
pub(super) fn in_one_piece(mut document: Document) -> Document {
    let Some(components) = &mut document.components else { return document };
    let known = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        if let RefOr::T(Schema::AllOf(parts)) = schema
            && let Some(whole) = merged(parts, &known)
        {
            *schema = RefOr::T(Schema::Object(whole));
        }
    }
    document
}

/// `None` where a part is no object: then it stays as it is.
fn merged(parts: &AllOf, known: &BTreeMap<String, RefOr<Schema>>) -> Option<Object> {
    let mut whole = Object::new();
    whole.description.clone_from(&parts.description);
    for part in &parts.items {
        let part = match part {
            RefOr::Ref(to) => known.get(to.ref_location.rsplit('/').next()?)?,
            part => part,
        };
        let RefOr::T(Schema::Object(part)) = part else { return None };
        whole.properties.extend(part.properties.clone());
        whole.required.extend(part.required.iter().cloned());
    }
    Some(whole)
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
