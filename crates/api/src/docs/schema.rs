//! Schemas in words: the type of a value, its limits, and the table of its fields.
//!
//! Reads what [`crate::openapi`] writes and no other keyword of JSON Schema: no schema there
//! contains itself.

use std::slice;

use serde_json::Value;

use super::json::{list, members, text};
use super::markdown::{block, code, escape};
use super::table;

/// The shapes of the document, by name.
#[derive(Clone, Copy)]
pub(super) struct ComponentSchemas<'a>(pub(super) &'a Value);

impl<'a> ComponentSchemas<'a> {
    pub(super) fn address(name: &str) -> String {
        format!("/docs/shapes/{name}")
    }

    /// The example of a body: its own, else that of its shape.
    pub(super) fn example(self, media: &'a Value) -> Option<&'a Value> {
        media.get("example").or_else(|| self.core(&media["schema"]).get("example"))
    }

    /// The schema that says what a value looks like: behind its name, and behind the "or null".
    pub(super) fn core(self, schema: &'a Value) -> &'a Value {
        if let Some(name) = name_of(schema) {
            return self.core(&self.0[name]);
        }
        let mut forms = list(schema, "oneOf").iter().filter(|form| form["type"] != "null");
        match (forms.next(), forms.next()) {
            (Some(only), None) => self.core(only),
            _ => schema,
        }
    }

    /// The description of `schema`, or of the shape that it names.
    pub(super) fn description(self, schema: &'a Value) -> &'a str {
        match text(schema, "description") {
            "" => text(self.core(schema), "description"),
            own => own,
        }
    }

    pub(super) fn type_html(self, schema: &'a Value) -> String {
        if let Some(name) = name_of(schema) {
            // The words of a closed set stand beside the type, as a limit.
            return match self.0[name]["enum"].is_array() {
                true => self.type_html(&self.0[name]),
                false => format!("<a href=\"{}\">{name}</a>", ComponentSchemas::address(name)),
            };
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.as_slice(),
            kind => slice::from_ref(kind),
        };
        let words: Vec<String> = match list(schema, "oneOf") {
            [] => kinds.iter().map(|kind| self.kind_html(kind, schema)).collect(),
            forms => forms.iter().map(|form| self.type_html(form)).collect(),
        };
        words.join(" or ")
    }

    fn kind_html(self, kind: &Value, schema: &'a Value) -> String {
        match (kind.as_str().unwrap_or("anything"), text(schema, "format")) {
            ("array", _) => match self.type_html(&schema["items"]) {
                items if items.contains(" or ") => format!("list of ({items})"),
                items => format!("list of {items}"),
            },
            (kind, "") | (kind @ "null", _) => escape(kind),
            (kind, format) => {
                format!("{} <span class=\"format\">({})</span>", escape(kind), escape(format))
            }
        }
    }

    /// What a field or a parameter means and how far it goes: the last cell of its row.
    pub(super) fn meaning_html(self, field: &'a Value, schema: &'a Value) -> String {
        let mut html = block(match text(field, "description") {
            "" => self.description(schema),
            own => own,
        });
        let mut limits = self.limits(schema);
        if let Some(example) = field.get("example") {
            limits.push(format!("for example {}", value_html(example)));
        }
        if !limits.is_empty() {
            html.push_str(&format!("<p class=\"limits\">{}</p>", limits.join("; ")));
        }
        html
    }

    fn limits(self, schema: &'a Value) -> Vec<String> {
        let core = self.core(schema);
        let mut limits = own_limits(core);
        if core["items"].is_object() {
            let items = own_limits(self.core(&core["items"]));
            limits.extend(items.into_iter().map(|limit| format!("each {limit}")));
        }
        limits
    }

    /// A whole body: its fields as a table, or its type where it has none.
    pub(super) fn body_html(self, schema: &'a Value) -> String {
        let core = self.core(schema);
        let fields = members(&core["properties"]).map(|(name, field)| {
            let is_required = list(core, "required").iter().any(|required| required == name);
            format!(
                "<tr>{}<td>{}</td><td>{}</td></tr>\n",
                name_html(name, is_required),
                self.type_html(field),
                self.meaning_html(field, field)
            )
        });
        let rows: String = fields.collect();
        if rows.is_empty() {
            let limits = self.limits(schema).join("; ");
            return format!("<p>{}</p><p class=\"limits\">{limits}</p>\n", self.type_html(schema));
        }
        let mut html = table("fields", &["Field", "Type", "Meaning"], &rows);
        if core["additionalProperties"] == false {
            html.push_str("<p class=\"limits\">Other fields are refused.</p>\n");
        }
        html
    }
}

/// The name of a field or a parameter: the first cell of its row.
pub(super) fn name_html(name: &str, is_required: bool) -> String {
    let required = if is_required { " <span class=\"required\">required</span>" } else { "" };
    format!("<th scope=\"row\"><code>{}</code>{required}</th>", escape(name))
}

fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn own_limits(schema: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    let words: Vec<String> = list(schema, "enum").iter().map(value_html).collect();
    if !words.is_empty() {
        limits.push(format!("one of {}", words.join(", ")));
    }
    for (least, most, unit) in [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minimum", "maximum", ""),
    ] {
        limits.extend(match (schema.get(least), schema.get(most)) {
            (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
            (Some(least), None) => Some(format!("at least {least}{unit}")),
            (None, Some(most)) => Some(format!("at most {most}{unit}")),
            (None, None) => None,
        });
    }
    limits.extend(schema.get("pattern").map(|value| format!("matches {}", value_html(value))));
    limits
}

fn value_html(value: &Value) -> String {
    value.as_str().map_or_else(|| code(&value.to_string()), code)
}
