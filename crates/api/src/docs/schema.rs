//! JSON schemas in words: the only place that follows a reference.
//!
//! A schema may refer to itself and may be as deep as it likes; the words may not, so every walk
//! is bounded.

use serde_json::Value;

use super::fields::{self, Nested, Walk};
use super::json::{
    alternatives, either, is_composite, joined, list, percent_decoded, shape_anchor, text, types,
    value_html,
};
use super::limits::limits;
use super::markdown::{block, code, escape};

/// References followed in a row; more is a circle.
pub(super) const HOPS_MAX: usize = 16;

/// Lists within lists that a type is spelled out for; more cannot be read anyway.
const TYPE_DEPTH_MAX: usize = 8;

/// Forms within forms that get a table each; deeper ones are one line.
const FORMS_DEPTH_MAX: usize = 2;

/// Where the named shapes of a document are.
const SHAPES: &str = "#/components/schemas/";

/// A document whose references can be followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'a> {
    pub(super) root: &'a Value,
}

impl<'a> Document<'a> {
    /// What `value` refers to, or itself; a reference that leads nowhere stays as it is.
    pub(super) fn resolve(&self, value: &'a Value) -> &'a Value {
        let mut at = value;
        for _ in 0..HOPS_MAX {
            let Some(reference) = at["$ref"].as_str() else { return at };
            let Some(target) = self.target(reference) else { return at };
            at = target;
        }
        at
    }

    /// The schema that says what the value looks like: behind references, and behind the "or
    /// null" and the lists of one that only wrap another schema.
    pub(super) fn core(&self, schema: &'a Value) -> &'a Value {
        let mut at = schema;
        for _ in 0..HOPS_MAX {
            at = self.resolve(at);
            if at["properties"].is_object() {
                return at;
            }
            let forms = alternatives(at).into_iter().chain(list(at, "allOf")).collect::<Vec<_>>();
            match forms[..] {
                [only] => at = only,
                [] | [_, _, ..] => return at,
            }
        }
        at
    }

    /// The type of `schema` in a few words, with links to shapes.
    pub(super) fn type_html(&self, schema: &'a Value) -> String {
        self.type_at(schema, 0)
    }

    /// The limits of a value of `schema`, each a few words of HTML.
    pub(super) fn limits_html(&self, schema: &'a Value) -> Vec<String> {
        let core = self.core(schema);
        let mut told = limits(schema);
        for limit in limits(core) {
            if !told.contains(&limit) {
                told.push(limit);
            }
        }
        if core["items"].is_object() {
            let items = self.core(&core["items"]);
            told.extend(limits(items).into_iter().map(|limit| format!("each {limit}")));
        }
        told
    }

    /// What `schema` means and what limits it has: the last cell of a row.
    pub(super) fn meaning_html(&self, schema: &'a Value) -> String {
        let own = text(schema, "description");
        let description = own.or_else(|| text(self.core(schema), "description"));
        let mut html = description.map(|text| block(text, 5)).unwrap_or_default();
        let limits = self.limits_html(schema);
        if !limits.is_empty() {
            html.push_str(&format!("<p class=\"limits\">{}</p>", limits.join("; ")));
        }
        html
    }

    /// A whole body: its fields as a table, a table for each of its forms, or its type.
    pub(super) fn body_html(&self, schema: &'a Value, nested: Nested) -> String {
        self.body_at(schema, nested, 0)
    }

    /// Whether [`Document::type_html`] says everything about `schema`: a link to a shape, or no
    /// object at all.
    pub(super) fn is_told_by_type(&self, schema: &'a Value) -> bool {
        let mut at = schema;
        for _ in 0..HOPS_MAX {
            let items = &at["items"];
            if at["$ref"].is_string() || !items.is_object() {
                break;
            }
            at = items;
        }
        at["$ref"].is_string() || !is_composite(at)
    }

    fn body_at(&self, schema: &'a Value, nested: Nested, depth: usize) -> String {
        let core = self.core(schema);
        let forms = alternatives(core);
        if forms.len() > 1 && depth < FORMS_DEPTH_MAX && forms.iter().any(|f| self.is_object(f)) {
            let mut html = fields::table(*self, core, nested, Walk::own_fields);
            html.push_str("<p>One of these forms:</p>\n<ul class=\"forms\">");
            for form in forms {
                let body = self.body_at(form, nested, depth + 1);
                html.push_str(&format!("<li>{}{body}</li>", self.form_title(form)));
            }
            html.push_str("</ul>");
            return html;
        }
        if core["items"].is_object() && self.is_object(&core["items"]) && depth < FORMS_DEPTH_MAX {
            let each = self.body_at(&core["items"], nested, depth + 1);
            return format!("<p>A list of:</p>{each}");
        }
        let table = fields::table(*self, core, nested, Walk::fields);
        if table.is_empty() {
            let limits = self.limits_html(schema).join("; ");
            return format!("<p>{}</p><p class=\"limits\">{limits}</p>", self.type_html(schema));
        }
        table
    }

    fn form_title(&self, form: &'a Value) -> String {
        let title = text(form, "title").map(|title| format!("<strong>{}</strong> ", escape(title)));
        let link = form["$ref"].is_string().then(|| self.type_html(form));
        let core = self.core(form);
        let description = text(form, "description").or_else(|| text(core, "description"));
        let description = description.map(|text| block(text, 5)).unwrap_or_default();
        format!("{}{}{description}", title.unwrap_or_default(), link.unwrap_or_default())
    }

    /// Whether there are fields in `schema`, or several forms it may take.
    pub(super) fn is_object(&self, schema: &'a Value) -> bool {
        let core = self.core(schema);
        core["properties"].is_object()
            || core["additionalProperties"].is_object()
            || !list(core, "allOf").is_empty()
            || alternatives(core).len() > 1
    }

    fn target(&self, reference: &str) -> Option<&'a Value> {
        self.root.pointer(&percent_decoded(reference.strip_prefix('#')?))
    }

    fn type_at(&self, schema: &'a Value, depth: usize) -> String {
        if depth > TYPE_DEPTH_MAX {
            return "…".to_owned();
        }
        if let Some(reference) = schema["$ref"].as_str() {
            return self.reference_html(reference, depth);
        }
        if let Some(constant) = schema.get("const") {
            return value_html(constant);
        }
        let alternatives = either(schema);
        if !alternatives.is_empty() {
            return joined(alternatives.iter().map(|form| self.type_at(form, depth + 1)), " or ");
        }
        let parts = list(schema, "allOf");
        if !parts.is_empty() {
            return joined(parts.iter().map(|part| self.type_at(part, depth + 1)), " and ");
        }
        match schema {
            Value::Bool(false) => "nothing".to_owned(),
            Value::Object(_) => joined(
                types(schema).into_iter().map(|name| self.named_type(name, schema, depth)),
                " or ",
            ),
            Value::Null
            | Value::Bool(true)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => "anything".to_owned(),
        }
    }

    fn reference_html(&self, reference: &str, depth: usize) -> String {
        let Some(target) = self.target(reference) else { return code(reference) };
        if !is_composite(target) {
            return self.type_at(target, depth + 1);
        }
        let shapes = &self.root["components"]["schemas"];
        match reference.strip_prefix(SHAPES).filter(|name| shapes.get(name).is_some()) {
            Some(name) => format!("<a href=\"#{}\">{}</a>", shape_anchor(name), escape(name)),
            None => text(target, "title").map_or_else(|| "object".to_owned(), escape),
        }
    }

    fn named_type(&self, name: &str, schema: &'a Value, depth: usize) -> String {
        let format = text(schema, "format");
        match (name, format) {
            ("array", _) if schema["items"].is_object() => {
                let items = self.type_at(&schema["items"], depth + 1);
                if items.contains(" or ") {
                    format!("list of ({items})")
                } else {
                    format!("list of {items}")
                }
            }
            ("array", _) => "list".to_owned(),
            ("object", _) if schema["additionalProperties"].is_object() => {
                format!("object of {}", self.type_at(&schema["additionalProperties"], depth + 1))
            }
            (name, Some(format)) if name != "null" => {
                format!("{} <span class=\"format\">({})</span>", escape(name), escape(format))
            }
            (name, _) => escape(name),
        }
    }
}
