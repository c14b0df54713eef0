//! The API page: an OpenAPI 3.1 document for people.
//!
//! Parts that are missing are left out, references are followed (a circle ends), and nothing of
//! the document reaches the page unescaped.

mod bodies;
mod operation;

use std::collections::HashSet;

use serde_json::Value;

use self::bodies::description_html;
use self::operation::{Operation, method_html, operation_html, path_html};
use super::fields::Nested;
use super::frame;
use super::json::{list, shape_anchor, text};
use super::markdown::{block, escape};
use super::schema::Document;

/// The keys of a path that are methods; the others are about all of them.
const METHODS: &[&str] =
    &["get", "head", "post", "put", "patch", "delete", "options", "trace", "query"];

/// Where operations without a tag are listed.
const NO_TAG: &str = "Other";

/// The calls of one tag.
struct Group<'a> {
    anchor: String,
    name: &'a str,
    description: Option<&'a str>,
    operations: Vec<Operation<'a>>,
}

/// The whole page for `openapi`, an OpenAPI 3.1 document.
///
/// Calls are grouped by their first tag: tags in the order in which the document declares them,
/// then the others as they come. The shapes of `components/schemas` follow at the end.
pub fn api_page(openapi: &Value) -> String {
    let document = Document { root: openapi };
    let groups = groups(document);
    let shapes = shapes(document);
    let info = &openapi["info"];
    let title = text(info, "title").unwrap_or("API");
    let mut main = format!(
        "<h1>{} <small>{}</small></h1>\n",
        escape(title),
        escape(text(info, "version").unwrap_or_default())
    );
    main.extend(text(info, "description").map(|text| block(text, 1)));
    main.push_str("<p>Every refusal is one of the <a href=\"/docs/problems\">problems</a>.</p>\n");
    for group in &groups {
        main.push_str(&group_html(document, group));
    }
    if !shapes.is_empty() {
        main.push_str("<section><h2 id=\"shapes\"><a href=\"#shapes\">Shapes</a></h2>\n");
        shapes.iter().for_each(|(name, schema)| main.push_str(&shape_html(document, name, schema)));
        main.push_str("</section>\n");
    }
    frame(title, &side_html(&groups, &shapes), &main)
}

/// The calls in the order of the page.
fn groups(document: Document<'_>) -> Vec<Group<'_>> {
    let mut anchors = Anchors::default();
    let declared =
        list(document.root, "tags").iter().filter_map(|tag| Some((text(tag, "name")?, tag)));
    let mut groups: Vec<Group<'_>> = declared
        .map(|(name, tag)| Group {
            anchor: anchors.unlike(format!("tag-{}", slug(name))),
            name,
            description: text(tag, "description"),
            operations: Vec::new(),
        })
        .collect();
    for (path, item) in document.root["paths"].as_object().into_iter().flatten() {
        let item = document.resolve(item);
        for (method, call) in item.as_object().into_iter().flatten() {
            if !METHODS.contains(&method.as_str()) {
                continue;
            }
            let name = list(call, "tags").first().and_then(Value::as_str).unwrap_or(NO_TAG);
            let anchor = anchors.unlike(format!("call-{method}-{}", slug(path)));
            let operation = Operation { anchor, method, path, item, call };
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.operations.push(operation),
                None => groups.push(Group {
                    anchor: anchors.unlike(format!("tag-{}", slug(name))),
                    name,
                    description: None,
                    operations: vec![operation],
                }),
            }
        }
    }
    groups.retain(|group| !group.operations.is_empty());
    groups
}

fn shapes(document: Document<'_>) -> Vec<(&str, &Value)> {
    let shapes = document.root["components"]["schemas"].as_object().into_iter().flatten();
    shapes.map(|(name, schema)| (name.as_str(), schema)).collect()
}

fn side_html(groups: &[Group<'_>], shapes: &[(&str, &Value)]) -> String {
    let mut html = String::new();
    for group in groups {
        html.push_str(&format!(
            "<p><a href=\"#{}\">{}</a></p>\n<ul>",
            group.anchor,
            escape(group.name)
        ));
        for operation in &group.operations {
            html.push_str(&format!(
                "<li><a href=\"#{}\">{}<code>{}</code></a></li>\n",
                operation.anchor,
                method_html(operation.method),
                path_html(operation.path)
            ));
        }
        html.push_str("</ul>\n");
    }
    if !shapes.is_empty() {
        html.push_str("<p><a href=\"#shapes\">Shapes</a></p>\n<ul>");
        for (name, _) in shapes {
            html.push_str(&format!(
                "<li><a href=\"#{}\">{}</a></li>\n",
                shape_anchor(name),
                escape(name)
            ));
        }
        html.push_str("</ul>\n");
    }
    html
}

fn group_html(document: Document<'_>, group: &Group<'_>) -> String {
    let (anchor, name) = (&group.anchor, escape(group.name));
    let mut html = format!("<section><h2 id=\"{anchor}\"><a href=\"#{anchor}\">{name}</a></h2>\n");
    html.extend(group.description.map(|text| block(text, 2)));
    for operation in &group.operations {
        html.push_str(&operation_html(document, operation));
    }
    html.push_str("</section>\n");
    html
}

fn shape_html<'a>(document: Document<'a>, name: &str, schema: &'a Value) -> String {
    let (anchor, name) = (shape_anchor(name), escape(name));
    format!(
        "<section class=\"shape\"><h3 id=\"{anchor}\"><a href=\"#{anchor}\">{name}</a></h3>\n\
         {}{}</section>\n",
        description_html(document, schema),
        document.body_html(schema, Nested::Links)
    )
}

/// `name` as part of an anchor; names that differ in punctuation only may meet.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// Anchors given out so far; no two are alike.
#[derive(Default)]
struct Anchors(HashSet<String>);

impl Anchors {
    fn unlike(&mut self, anchor: String) -> String {
        let numbered = (2..).map(|number| format!("{anchor}-{number}"));
        let mut names = std::iter::once(anchor.clone()).chain(numbered);
        let free = names.find(|name| !self.0.contains(name)).unwrap_or(anchor);
        self.0.insert(free.clone());
        free
    }
}
