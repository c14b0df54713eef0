//! The API page: an OpenAPI 3.1 document for people.
//!
//! Parts that are missing are left out, references are followed (a circle ends), and nothing of
//! the document reaches the page unescaped.

use std::collections::HashSet;

use serde_json::Value;

use super::fields::Nested;
use super::frame;
use super::markdown::{Links, block, escape, inline};
use super::schema::{Document, list, shape_anchor, text, value_html};

/// The keys of a path that are methods; the others are about all of them.
const METHODS: &[&str] =
    &["get", "head", "post", "put", "patch", "delete", "options", "trace", "query"];

/// Where operations without a tag are listed.
const NO_TAG: &str = "Other";

/// One call of the document, and its place on the page.
struct Operation<'a> {
    anchor: String,
    method: &'a str,
    path: &'a str,
    item: &'a Value,
    call: &'a Value,
}

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

fn operation_html(document: Document<'_>, operation: &Operation<'_>) -> String {
    let Operation { anchor, method, path, item, call } = operation;
    let mut html = format!(
        "<section class=\"call\"><h3 id=\"{anchor}\"><a href=\"#{anchor}\">{}<code>{}</code></a></h3>\n",
        method_html(method),
        path_html(path)
    );
    let summary = text(call, "summary").or_else(|| text(item, "summary"));
    let description = text(call, "description").or_else(|| text(item, "description"));
    if call["deprecated"] == true {
        html.push_str("<p><strong>Deprecated.</strong></p>\n");
    }
    if let Some(summary) =
        summary.filter(|summary| description.is_none_or(|text| !text.starts_with(summary)))
    {
        html.push_str(&format!("<p class=\"summary\">{}</p>\n", inline(summary, Links::Live)));
    }
    html.extend(description.map(|text| block(text, 3)));
    html.push_str(&token_html(document, call));
    html.push_str(&parameters_html(document, item, call));
    html.push_str(&request_html(document, document.resolve(&call["requestBody"])));
    html.push_str(&responses_html(document, &call["responses"]));
    html.push_str("</section>\n");
    html
}

/// Whether a token is needed, when the document says so.
fn token_html(document: Document<'_>, call: &Value) -> String {
    let own = call.get("security").or_else(|| document.root.get("security"));
    let Some(ways) = own.and_then(Value::as_array) else { return String::new() };
    let mut names: Vec<String> = Vec::new();
    for name in ways.iter().filter_map(Value::as_object).flat_map(|way| way.keys()) {
        let name = format!("<code>{}</code>", escape(name));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let is_free = ways.iter().all(|way| way.as_object().is_some_and(serde_json::Map::is_empty));
    if is_free {
        "<p class=\"token\">No token needed.</p>\n".to_owned()
    } else {
        format!("<p class=\"token\">Token: {}</p>\n", names.join(" or "))
    }
}

fn parameters_html<'a>(document: Document<'a>, item: &'a Value, call: &'a Value) -> String {
    let mut parameters: Vec<&Value> = Vec::new();
    let all = list(item, "parameters").iter().chain(list(call, "parameters"));
    for parameter in all.map(|parameter| document.resolve(parameter)) {
        // The call's own wins over the path's, in the place of the path's.
        let same = |other: &&mut &Value| {
            other["name"] == parameter["name"] && other["in"] == parameter["in"]
        };
        match parameters.iter_mut().find(same) {
            Some(other) => *other = parameter,
            None => parameters.push(parameter),
        }
    }
    if parameters.is_empty() {
        return String::new();
    }
    let rows: String =
        parameters.iter().map(|parameter| parameter_html(document, parameter)).collect();
    format!(
        "<h4>Parameters</h4>\n<div class=\"scroll\"><table class=\"fields\"><thead><tr>\
         <th scope=\"col\">Name</th><th scope=\"col\">In</th><th scope=\"col\">Type</th>\
         <th scope=\"col\">Meaning</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn parameter_html<'a>(document: Document<'a>, parameter: &'a Value) -> String {
    let schema = schema_of(parameter);
    let required = if parameter["required"] == true {
        " <span class=\"required\">required</span>"
    } else {
        ""
    };
    let own = text(parameter, "description").map(|text| block(text, 5));
    let mut meaning = match own {
        Some(own) => own + &limits_html(document, schema),
        None => document.meaning_html(schema),
    };
    if let Some(example) = parameter.get("example") {
        meaning.push_str(&format!("<p class=\"limits\">for example {}</p>", value_html(example)));
    }
    if parameter["deprecated"] == true {
        meaning.push_str("<p class=\"limits\"><strong>deprecated</strong></p>");
    }
    format!(
        "<tr><th scope=\"row\"><code>{}</code>{required}</th><td>{}</td><td>{}</td><td>{meaning}</td></tr>\n",
        escape(text(parameter, "name").unwrap_or_default()),
        escape(text(parameter, "in").unwrap_or_default()),
        document.type_html(schema)
    )
}

fn limits_html<'a>(document: Document<'a>, schema: &'a Value) -> String {
    let limits = document.limits_html(schema);
    if limits.is_empty() {
        String::new()
    } else {
        format!("<p class=\"limits\">{}</p>", limits.join("; "))
    }
}

/// The schema of a parameter or header, which may stand under a content type.
fn schema_of(parameter: &Value) -> &Value {
    let content = parameter["content"].as_object();
    let in_content =
        content.and_then(|content| content.values().next()).map(|media| &media["schema"]);
    in_content.unwrap_or(&parameter["schema"])
}

fn request_html<'a>(document: Document<'a>, request: &'a Value) -> String {
    let Some(content) = request["content"].as_object() else { return String::new() };
    let mut html = String::from("<h4>Body</h4>\n");
    html.extend(text(request, "description").map(|text| block(text, 4)));
    for (media_type, media) in content {
        let optional = if request["required"] == true { "" } else { ", optional" };
        html.push_str(&format!(
            "<p class=\"media\"><code>{}</code>{optional}</p>\n",
            escape(media_type)
        ));
        let schema = &media["schema"];
        if schema.is_object() {
            html.push_str(&description_html(document, schema));
            html.push_str(&document.body_html(schema, Nested::Rows));
        }
        html.push_str(&examples_html(document, "Example body", media_type, media));
    }
    html
}

fn description_html<'a>(document: Document<'a>, schema: &'a Value) -> String {
    let description =
        text(schema, "description").or_else(|| text(document.core(schema), "description"));
    description.map(|text| block(text, 4)).unwrap_or_default()
}

fn responses_html<'a>(document: Document<'a>, responses: &'a Value) -> String {
    let Some(responses) = responses.as_object().filter(|responses| !responses.is_empty()) else {
        return String::new();
    };
    let (mut rows, mut bodies) = (String::new(), String::new());
    for (status, response) in responses {
        let response = document.resolve(response);
        rows.push_str(&response_html(document, status, response));
        for (media_type, media) in response["content"].as_object().into_iter().flatten() {
            let schema = &media["schema"];
            let status = escape(status);
            if schema.is_object() && !document.is_told_by_type(schema) {
                let fields = document.body_html(schema, Nested::Links);
                bodies.push_str(&format!("<h5>Fields of {status}</h5>\n{fields}"));
            }
            let title = format!("Example of {status}");
            bodies.push_str(&examples_html(document, &title, media_type, media));
        }
    }
    format!(
        "<h4>Answers</h4>\n<div class=\"scroll\"><table class=\"answers\"><thead><tr>\
         <th scope=\"col\">Status</th><th scope=\"col\">Meaning</th><th scope=\"col\">Body</th></tr>\
         </thead><tbody>\n{rows}</tbody></table></div>\n{bodies}"
    )
}

fn response_html<'a>(document: Document<'a>, status: &str, response: &'a Value) -> String {
    let mut meaning = text(response, "description").map(|text| block(text, 5)).unwrap_or_default();
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let header = document.resolve(header);
        let about = text(header, "description").map(|text| inline(text, Links::Live));
        meaning.push_str(&format!(
            "<p class=\"limits\">Header <code>{}</code>: {}</p>",
            escape(name),
            about.unwrap_or_else(|| document.type_html(schema_of(header)))
        ));
    }
    let mut bodies = String::new();
    for (media_type, media) in response["content"].as_object().into_iter().flatten() {
        let schema = &media["schema"];
        let shape =
            if schema.is_object() { document.type_html(schema) + "<br>" } else { String::new() };
        bodies.push_str(&format!("{shape}<code class=\"quiet\">{}</code> ", escape(media_type)));
    }
    let status = if status == "default" { "any other".to_owned() } else { escape(status) };
    format!("<tr><th scope=\"row\">{status}</th><td>{meaning}</td><td>{bodies}</td></tr>\n")
}

/// The examples of a body: its own, else those of its schema.
fn examples_html<'a>(
    document: Document<'a>,
    title: &str,
    media_type: &str,
    media: &'a Value,
) -> String {
    let mut html = String::new();
    let mut add = |name: &str, value: &Value| {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!(": {}", inline(name, Links::Dead))
        };
        html.push_str(&format!(
            "<details><summary>{title}{name} <code class=\"quiet\">{}</code></summary>\
             <pre tabindex=\"0\"><code>{}</code></pre></details>\n",
            escape(media_type),
            escape(&example_text(media_type, value))
        ));
    };
    if let Some(examples) = media["examples"].as_object() {
        for (name, example) in examples {
            let example = document.resolve(example);
            let name = text(example, "summary").unwrap_or(name);
            if let Some(value) = example.get("value") {
                add(name, value);
            }
        }
    } else if let Some(value) = media.get("example") {
        add("", value);
    } else {
        let schema = &media["schema"];
        let of =
            |schema: &'a Value| schema.get("example").or_else(|| list(schema, "examples").first());
        if let Some(value) = of(schema).or_else(|| of(document.core(schema))) {
            add("", value);
        }
    }
    html
}

/// An example as it goes over the wire: JSON, but for text that is not.
fn example_text(media_type: &str, value: &Value) -> String {
    match value.as_str() {
        Some(text) if !media_type.contains("json") => text.to_owned(),
        Some(_) | None => format!("{value:#}"),
    }
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

fn method_html(method: &str) -> String {
    format!("<span class=\"method {method}\">{}</span> ", method.to_ascii_uppercase())
}

/// A path that a narrow screen may break before each `/`.
fn path_html(path: &str) -> String {
    let broken = escape(path).replace('/', "<wbr>/");
    broken.strip_prefix("<wbr>").unwrap_or(&broken).to_owned()
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
