//! One call of the document: what it does, who may call it, what it takes and what it answers.

use serde_json::Value;

use crate::docs::json::{list, members, text};
use crate::docs::markdown::{block, escape, inline};
use crate::docs::schema::{Shapes, name_html};
use crate::docs::table;

pub(super) struct Operation<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) call: &'a Value,
}

impl<'a> Operation<'a> {
    pub(super) fn anchor(&self) -> String {
        format!("call-{}", text(self.call, "operationId"))
    }

    /// A narrow screen may break the path before each `/`.
    pub(super) fn title_html(&self) -> String {
        let (method, path) = (self.method, escape(self.path).replace('/', "<wbr>/"));
        format!(
            "<span class=\"method {method}\">{}</span> <code>{}</code>",
            method.to_ascii_uppercase(),
            path.trim_start_matches("<wbr>")
        )
    }

    pub(super) fn html(&self, shapes: Shapes<'a>) -> String {
        let (anchor, call) = (self.anchor(), self.call);
        // Every call needs a token but those that say otherwise.
        let token = if call["security"].is_array() { "No token needed." } else { "Needs a token." };
        format!(
            "<section class=\"call\"><h3 id=\"{anchor}\"><a href=\"#{anchor}\">{}</a></h3>\n\
             <p class=\"summary\">{}</p>\n{}<p class=\"token\">{token}</p>\n{}{}{}</section>\n",
            self.title_html(),
            inline(text(call, "summary")),
            block(text(call, "description")),
            parameters_html(shapes, call),
            request_html(shapes, &call["requestBody"]),
            responses_html(shapes, &call["responses"])
        )
    }
}

fn parameters_html<'a>(shapes: Shapes<'a>, call: &'a Value) -> String {
    let parameters = list(call, "parameters").iter().map(|parameter| {
        let schema = &parameter["schema"];
        format!(
            "<tr>{}<td>{}</td><td>{}</td><td>{}</td></tr>\n",
            name_html(text(parameter, "name"), parameter["required"] == true),
            escape(text(parameter, "in")),
            shapes.type_html(schema),
            shapes.meaning_html(parameter, schema)
        )
    });
    let rows: String = parameters.collect();
    if rows.is_empty() {
        return rows;
    }
    format!("<h4>Parameters</h4>\n{}", table("fields", &["Name", "In", "Type", "Meaning"], &rows))
}

fn request_html<'a>(shapes: Shapes<'a>, request: &'a Value) -> String {
    let bodies = members(&request["content"]).map(|(kind, media)| {
        let schema = &media["schema"];
        format!(
            "<p class=\"media\"><code>{}</code></p>\n{}{}{}",
            escape(kind),
            block(shapes.description(schema)),
            shapes.body_html(schema),
            example_html(shapes, "Example body", kind, media)
        )
    });
    let bodies: String = bodies.collect();
    if bodies.is_empty() { bodies } else { format!("<h4>Body</h4>\n{bodies}") }
}

fn responses_html<'a>(shapes: Shapes<'a>, responses: &'a Value) -> String {
    let (mut rows, mut examples) = (String::new(), String::new());
    for (status, response) in members(responses) {
        let mut meaning = block(text(response, "description"));
        // Every answer has `x-request-id`: the page says so once, at its top.
        let headers = members(&response["headers"]).filter(|(name, _)| *name != "x-request-id");
        meaning.extend(headers.map(|(name, header)| {
            let about = inline(text(header, "description"));
            format!("<p class=\"limits\">Header <code>{}</code>: {about}</p>", escape(name))
        }));
        let mut bodies = String::new();
        for (kind, media) in members(&response["content"]) {
            let shape = shapes.type_html(&media["schema"]);
            bodies.push_str(&format!("{shape}<br><code class=\"quiet\">{}</code> ", escape(kind)));
            // The example of a problem is one for all codes; each code has a page with its own.
            if kind != "application/problem+json" {
                let title = format!("Example of {status}");
                examples.push_str(&example_html(shapes, &title, kind, media));
            }
        }
        rows.push_str(&format!(
            "<tr><th scope=\"row\">{status}</th><td>{meaning}</td><td>{bodies}</td></tr>\n"
        ));
    }
    let table = table("answers", &["Status", "Meaning", "Body"], &rows);
    format!("<h4>Answers</h4>\n{table}{examples}")
}

/// The example of a body as it goes over the wire: its own, else that of its shape.
fn example_html<'a>(shapes: Shapes<'a>, title: &str, kind: &str, media: &'a Value) -> String {
    let of_shape = || shapes.core(&media["schema"]).get("example");
    let Some(example) = media.get("example").or_else(of_shape) else { return String::new() };
    let example = match example.as_str() {
        Some(text) if !kind.contains("json") => text.to_owned(),
        Some(_) | None => format!("{example:#}"),
    };
    format!(
        "<details><summary>{title} <code class=\"quiet\">{}</code></summary>\
         <pre tabindex=\"0\"><code>{}</code></pre></details>\n",
        escape(kind),
        escape(&example)
    )
}
