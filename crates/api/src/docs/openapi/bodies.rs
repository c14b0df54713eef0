//! What a call takes and answers: bodies, headers and examples.

use serde_json::Value;

use crate::docs::fields::Nested;
use crate::docs::json::{list, text};
use crate::docs::markdown::{Links, block, escape, inline};
use crate::docs::schema::Document;

pub(super) fn request_html<'a>(document: Document<'a>, request: &'a Value) -> String {
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

pub(super) fn description_html<'a>(document: Document<'a>, schema: &'a Value) -> String {
    let description =
        text(schema, "description").or_else(|| text(document.core(schema), "description"));
    description.map(|text| block(text, 4)).unwrap_or_default()
}

pub(super) fn responses_html<'a>(document: Document<'a>, responses: &'a Value) -> String {
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
    let headers = response["headers"].as_object().into_iter().flatten();
    // Every answer has that one: the page says so once, at its top.
    for (name, header) in headers.filter(|(name, _)| *name != "x-request-id") {
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

/// The schema of a parameter or header, which may stand under a content type.
pub(super) fn schema_of(parameter: &Value) -> &Value {
    let content = parameter["content"].as_object();
    let in_content =
        content.and_then(|content| content.values().next()).map(|media| &media["schema"]);
    in_content.unwrap_or(&parameter["schema"])
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
    } else if media_type != "application/problem+json" {
        // The example of a problem is one of all problems; each code has a page with its own.
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
