use super::*;
use crate::openapi::document;

/// The schema that a schema refers to, or itself.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(path) => root.pointer(path).expect(path),
        None => schema,
    }
}

/// Why `value` does not fit `schema`, if it does not.
fn fault(root: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = resolved(root, schema);
    if let Some(ways) = schema["oneOf"].as_array() {
        let fits = ways.iter().any(|way| fault(root, way, value).is_none());
        return (!fits).then(|| format!("{value} is none of {}", schema["oneOf"]));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !kinds.contains(&kind) {
        return Some(format!("{value} is {kind}, want {kinds:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Some(format!("{value} is none of {words:?}"));
    }
    let limit = |key: &str| schema[key].as_f64();
    let size = match value {
        Value::String(text) => Some((text.chars().count() as f64, "minLength", "maxLength")),
        Value::Array(items) => Some((items.len() as f64, "minItems", "maxItems")),
        Value::Number(number) => number.as_f64().map(|number| (number, "minimum", "maximum")),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    };
    if let Some((size, least, most)) = size
        && (limit(least).is_some_and(|least| size < least)
            || limit(most).is_some_and(|most| size > most))
    {
        return Some(format!("{value} is outside of {} to {}", schema[least], schema[most]));
    }
    match value {
        Value::Array(items) => items.iter().find_map(|it| fault(root, &schema["items"], it)),
        Value::Object(fields) => object_fault(root, schema, fields),
        _ => None,
    }
}

fn object_fault(
    root: &Value,
    schema: &Value,
    fields: &serde_json::Map<String, Value>,
) -> Option<String> {
    let properties = schema["properties"].as_object()?;
    let required = schema["required"].as_array().into_iter().flatten();
    let mut required = required.filter_map(Value::as_str);
    if let Some(name) = required.find(|name| !fields.contains_key(*name)) {
        return Some(format!("{name} is missing"));
    }
    fields.iter().find_map(|(name, value)| match properties.get(name) {
        None => Some(format!("{name} is no field")),
        Some(property) => fault(root, property, value).map(|why| format!("{name}: {why}")),
    })
}

#[test]
fn every_schema_has_an_example_that_fits() {
    let root = document();
    let schemas = root["components"]["schemas"].as_object().expect("schemas");
    assert!(schemas.len() > 40, "{}", schemas.len());
    for (name, schema) in schemas {
        assert!(!schema["example"].is_null(), "{name} has no example");
        assert_eq!(fault(&root, schema, &schema["example"]), None, "{name}");
        let whole = schema["properties"].as_object();
        let is_answer = !name.ends_with("Request") && schema["additionalProperties"].is_null();
        if let Some(whole) = whole.filter(|_| is_answer) {
            let fields = schema["example"].as_object().expect(name);
            assert_eq!(fields.len(), whole.len(), "{name}: absent means null");
        }
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let root = document();
    let coupon = &root["components"]["schemas"]["Coupon"];
    let cases = [
        ("another state", "state", json!("gone")),
        ("no code", "code", json!(null)),
        ("a long code", "code", json!("A".repeat(129))),
        ("a text for a number", "version", json!("1")),
        ("a negative number", "version", json!(-1)),
        ("an unknown field", "colour", json!("red")),
    ];
    for (name, field, value) in cases {
        let mut changed = coupon["example"].clone();
        changed[field] = value;
        assert!(fault(&root, coupon, &changed).is_some(), "{name}");
    }
}

/// Every field is described, and every number and parameter says how far it goes.
#[test]
fn every_number_and_parameter_has_its_limits() {
    let mut root = document();
    for (name, schema) in schemas(&mut root) {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let kinds = property["type"].to_string();
            if kinds.contains("integer") {
                let both = property["minimum"].is_number() && property["maximum"].is_number();
                assert!(both, "{name}.{field}: {property}");
            }
            assert!(property["description"].is_string(), "{name}.{field} is not described");
        }
    }
    for operation in crate::openapi::operations(&mut root) {
        let id = operation["operationId"].to_string();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = &parameter["name"];
            assert!(parameter["description"].is_string(), "{id} {name} is not described");
            let schema = &parameter["schema"];
            let limited = ["format", "pattern", "$ref", "maximum", "maxLength", "maxItems"]
                .iter()
                .any(|key| !schema[*key].is_null());
            let free = ["columns", "ignore", "values"].iter().any(|it| name == it);
            let free = schema["type"] == "boolean" || free;
            assert!(limited || free, "{id} {name}: {schema}");
            if parameter["in"] == "path" {
                assert!(!parameter["example"].is_null(), "{id} {name} has no example");
            }
        }
    }
}
