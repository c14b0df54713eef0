//! One call of the document: what it does, who may call it, and its parameters.

use serde_json::Value;

use super::bodies::{request_html, responses_html, schema_of};
use crate::docs::json::{list, text, value_html};
use crate::docs::markdown::{Links, block, escape, inline};
use crate::docs::schema::Document;

/// One call of the document, and its place on the page.
pub(super) struct Operation<'a> {
    pub(super) anchor: String,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) item: &'a Value,
    pub(super) call: &'a Value,
}

pub(super) fn operation_html(document: Document<'_>, operation: &Operation<'_>) -> String {
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

pub(super) fn method_html(method: &str) -> String {
    format!("<span class=\"method {method}\">{}</span> ", method.to_ascii_uppercase())
}

/// A path that a narrow screen may break before each `/`.
pub(super) fn path_html(path: &str) -> String {
    let broken = escape(path).replace('/', "<wbr>/");
    broken.strip_prefix("<wbr>").unwrap_or(&broken).to_owned()
}
