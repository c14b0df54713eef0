//! Tables of the fields of an object, of the objects in it, and of all its forms.
//!
//! A schema that contains itself is entered once; one that is deep or wide is cut.

use std::ptr;

use serde_json::Value;

use super::json::{alternatives, list};
use super::markdown::escape;
use super::schema::{Document, HOPS_MAX};

/// Objects within objects that one table shows; deeper ones are links.
const DEPTH_MAX: usize = 5;

/// Rows of one table. The widest of our own has some thirty.
const ROWS_MAX: usize = 300;

/// Schemas looked at for one table, so that many that add no row end too.
const VISITS_MAX: usize = 1_000;

/// What a table does with the objects inside its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nested {
    /// Their fields follow as rows of their own.
    Rows,
    /// They are links to their shape.
    Links,
}

/// The state of one walk over a schema, from the outermost object inwards.
pub(super) struct Walk<'a> {
    document: Document<'a>,
    nested: Nested,
    rows: Vec<Row>,
    above: Vec<&'a Value>,
    visits: usize,
}

/// The fields of `core` as a table, found by `fields`; empty when there are none.
pub(super) fn table<'a>(
    document: Document<'a>,
    core: &'a Value,
    nested: Nested,
    fields: fn(&mut Walk<'a>, &'a Value, &str, usize),
) -> String {
    let mut walk = Walk { document, nested, rows: Vec::new(), above: Vec::new(), visits: 0 };
    fields(&mut walk, core, "", 0);
    if walk.rows.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<div class=\"scroll\"><table class=\"fields\"><thead><tr><th scope=\"col\">Field</th>\
         <th scope=\"col\">Type</th><th scope=\"col\">Meaning</th></tr></thead><tbody>\n",
    );
    for row in &walk.rows {
        html.push_str(&row.html());
    }
    html.push_str("</tbody></table></div>\n");
    if walk.rows.len() >= ROWS_MAX || walk.visits >= VISITS_MAX {
        html.push_str("<p>More fields are in <a href=\"/openapi.json\">openapi.json</a>.</p>\n");
    }
    if core["additionalProperties"] == false || core["unevaluatedProperties"] == false {
        html.push_str("<p class=\"limits\">Other fields are refused.</p>\n");
    }
    html
}

impl<'a> Walk<'a> {
    /// Adds a row for each field of `schema`, those of its forms included.
    pub(super) fn fields(&mut self, schema: &'a Value, prefix: &str, depth: usize) {
        let core = self.document.core(schema);
        self.own_fields(core, prefix, depth);
        let forms = alternatives(core);
        for form in forms {
            let form = self.document.core(form);
            if self.enters(form) {
                self.above.push(core);
                let first = self.rows.len();
                self.fields(form, prefix, depth);
                self.above.pop();
                // Not in every form, so not in every body.
                self.rows.iter_mut().skip(first).for_each(|row| row.is_required = false);
            }
        }
    }

    /// Adds a row for each field that every form of `schema` has.
    pub(super) fn own_fields(&mut self, schema: &'a Value, prefix: &str, depth: usize) {
        let core = self.document.core(schema);
        if !self.enters(core) {
            return;
        }
        self.above.push(core);
        for part in list(core, "allOf") {
            self.fields(part, prefix, depth);
        }
        for (name, field) in core["properties"].as_object().into_iter().flatten() {
            self.field(field, format!("{prefix}{name}"), depth);
        }
        let others = &core["additionalProperties"];
        if others.is_object() {
            self.field(others, format!("{prefix}(any name)"), depth);
        }
        for part in list(core, "allOf").iter().chain([core]) {
            self.mark_required(part, prefix);
        }
        self.above.pop();
    }

    fn field(&mut self, schema: &'a Value, name: String, depth: usize) {
        self.push(Row {
            types_html: vec![self.document.type_html(schema)],
            meaning_html: self.document.meaning_html(schema),
            is_required: false,
            name: name.clone(),
        });
        if self.nested == Nested::Links || depth >= DEPTH_MAX {
            return;
        }
        let (mut inner, mut name) = (self.document.core(schema), name);
        for _ in 0..HOPS_MAX {
            if !inner["items"].is_object() {
                break;
            }
            inner = self.document.core(&inner["items"]);
            name.push_str("[]");
        }
        if self.document.is_object(inner) {
            name.push('.');
            self.fields(inner, &name, depth + 1);
        }
    }

    /// Adds `row`, or what is new in it where another form has a field of that name.
    fn push(&mut self, row: Row) {
        if let Some(same) = self.rows.iter_mut().find(|same| same.name == row.name) {
            for type_html in row.types_html {
                if !same.types_html.contains(&type_html) {
                    same.types_html.push(type_html);
                }
            }
            if !same.meaning_html.contains(&row.meaning_html) {
                same.meaning_html.push_str(&row.meaning_html);
            }
        } else if self.rows.len() < ROWS_MAX {
            self.rows.push(row);
        }
    }

    fn mark_required(&mut self, schema: &Value, prefix: &str) {
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            let full = format!("{prefix}{name}");
            self.rows
                .iter_mut()
                .filter(|row| row.name == full)
                .for_each(|row| row.is_required = true);
        }
    }

    /// Whether to look into `schema`: not when it is being looked into, nor when it is enough.
    fn enters(&mut self, schema: &Value) -> bool {
        self.visits += 1;
        self.visits < VISITS_MAX
            && self.rows.len() < ROWS_MAX
            && !self.above.iter().any(|above| ptr::eq(*above, schema))
    }
}

/// One line of a table of fields.
struct Row {
    name: String,
    is_required: bool,
    /// One, or one for each form that has a field of this name.
    types_html: Vec<String>,
    meaning_html: String,
}

impl Row {
    fn html(&self) -> String {
        let required =
            if self.is_required { " <span class=\"required\">required</span>" } else { "" };
        format!(
            "<tr><th scope=\"row\"><code>{}</code>{required}</th><td>{}</td><td>{}</td></tr>\n",
            escape(&self.name),
            self.types_html.join(" or "),
            self.meaning_html
        )
    }
}
