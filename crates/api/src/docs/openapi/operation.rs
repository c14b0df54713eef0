//! One call of the document: what it does, how to send it, who may call it, what it takes and what
//! it answers.

use serde_json::Value;

use crate::docs::json::{list, members, text};
use crate::docs::markdown::{block, escape, inline};
use crate::docs::schema::{ComponentSchemas, name_html};
use crate::docs::table;

const PROBLEM: &str = "application/problem+json";

#[derive(Clone, Copy)]
pub(in crate::docs) struct ApiOperation<'a> {
    pub(in crate::docs) method: &'a str,
    pub(in crate::docs) path: &'a str,
    pub(in crate::docs) call: &'a Value,
}

impl<'a> ApiOperation<'a> {
    pub(in crate::docs) fn tag(&self) -> &'a str {
        self.call["tags"][0].as_str().unwrap_or_default()
    }

    pub(super) fn anchor(&self) -> String {
        format!("call-{}", text(self.call, "operationId"))
    }

    pub(in crate::docs) fn address(&self) -> String {
        format!("/docs/{}#{}", self.tag(), self.anchor())
    }

    /// A narrow screen may break the path before each `/`.
    pub(in crate::docs) fn title_html(&self) -> String {
        let (method, path) = (self.method, escape(self.path).replace('/', "<wbr>/"));
        format!(
            "<span class=\"method {method}\">{}</span> <code>{}</code>",
            method.to_ascii_uppercase(),
            path.trim_start_matches("<wbr>")
        )
    }

    /// `commands` are for a shell.
    pub(super) fn html(&self, shapes: ComponentSchemas<'a>, commands: &[String]) -> String {
        let (anchor, call) = (self.anchor(), self.call);
        let token = if is_open(call) { "No token needed." } else { "Needs a token." };
        let commands = commands.iter().map(|it| pre_html("curl", it)).collect::<String>();
        format!(
            "<section class=\"call\"><h2 id=\"{anchor}\"><a href=\"#{anchor}\">{}</a></h2>\n\
             <p class=\"summary\">{}</p>\n{}<p class=\"token\">{token}</p>\n{commands}{}{}{}{}</section>\n",
            self.title_html(),
            inline(text(call, "summary")),
            block(text(call, "description")),
            examples_html(shapes, &call["responses"]),
            parameters_html(shapes, call),
            request_html(shapes, &call["requestBody"]),
            responses_html(shapes, &call["responses"])
        )
    }
}

/// Every call needs a token but those that say otherwise.
pub(super) fn is_open(call: &Value) -> bool {
    call["security"].is_array()
}

fn parameters_html<'a>(shapes: ComponentSchemas<'a>, call: &'a Value) -> String {
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
    format!("<h3>Parameters</h3>\n{}", table("fields", &["Name", "In", "Type", "Meaning"], &rows))
}

fn request_html<'a>(shapes: ComponentSchemas<'a>, request: &'a Value) -> String {
    let bodies = members(&request["content"]).map(|(kind, media)| {
        let schema = &media["schema"];
        // The command has the example of a JSON body; that of a file is only here.
        let example = match kind {
            "application/json" => String::new(),
            _ => shapes
                .example(media)
                .map_or(String::new(), |it| pre_html("example", &wire(kind, it))),
        };
        format!(
            "<p class=\"media\"><code>{}</code></p>\n{}{}{example}",
            escape(kind),
            block(shapes.description(schema)),
            shapes.body_html(schema)
        )
    });
    let bodies: String = bodies.collect();
    if bodies.is_empty() { bodies } else { format!("<h3>Body</h3>\n{bodies}") }
}

fn responses_html<'a>(shapes: ComponentSchemas<'a>, responses: &'a Value) -> String {
    let mut rows = String::new();
    for (status, response) in members(responses) {
        let mut meaning = block(text(response, "description"));
        let mut bodies = String::new();
        // The top of the page says what a refusal is, and each code has a page of its own.
        if response["content"].get(PROBLEM).is_none() {
            // Every answer has `x-request-id`: the index says so once.
            let headers = members(&response["headers"]).filter(|(name, _)| *name != "x-request-id");
            meaning.extend(headers.map(|(name, header)| {
                let about = inline(text(header, "description"));
                format!("<p class=\"limits\">Header <code>{}</code>: {about}</p>", escape(name))
            }));
            for (kind, media) in members(&response["content"]) {
                let shape = shapes.type_html(&media["schema"]);
                bodies.push_str(&format!(
                    "{shape}<br><code class=\"quiet\">{}</code> ",
                    escape(kind)
                ));
            }
        }
        rows.push_str(&format!(
            "<tr><th scope=\"row\">{status}</th><td>{meaning}</td><td>{bodies}</td></tr>\n"
        ));
    }
    format!("<h3>Answers</h3>\n{}", table("answers", &["Status", "Meaning", "Body"], &rows))
}

/// An example of each answer that is no problem: the first is open, and one that is the same as
/// another is left out.
fn examples_html<'a>(shapes: ComponentSchemas<'a>, responses: &'a Value) -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut html = String::new();
    // What was just made before what was there.
    let mut answers: Vec<_> = members(responses).collect();
    answers.sort_by_key(|(status, _)| (!status.starts_with('2'), *status == "200"));
    for (status, response) in answers {
        for (kind, media) in members(&response["content"]).filter(|(kind, _)| *kind != PROBLEM) {
            let Some(example) = shapes.example(media).map(|it| wire(kind, it)) else { continue };
            if shown.contains(&example) {
                continue;
            }
            let (title, pre) = (
                format!("Answer {status} <code class=\"quiet\">{}</code>", escape(kind)),
                pre_html("example", &example),
            );
            html.push_str(&match shown.is_empty() {
                true => format!("<p>{title}</p>\n{pre}"),
                false => format!("<details><summary>{title}</summary>\n{pre}</details>\n"),
            });
            shown.push(example);
        }
    }
    match (html.is_empty(), responses.get("204")) {
        (true, Some(_)) => "<p>Answer 204, without a body</p>\n".to_owned(),
        _ => html,
    }
}

/// An example as it goes over the wire.
fn wire(kind: &str, example: &Value) -> String {
    match example.as_str() {
        Some(text) if !kind.contains("json") => text.to_owned(),
        Some(_) | None => format!("{example:#}"),
    }
}

fn pre_html(class: &str, text: &str) -> String {
    format!("<pre class=\"{class}\" tabindex=\"0\"><code>{}</code></pre>\n", escape(text))
}
