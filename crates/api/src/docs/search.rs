//! The search over calls, shapes and problems: a page of the server, so it needs no script.

use serde_json::Value;

use super::json::{list, members, text};
use super::markdown::{escape, inline};
use super::openapi::operations;
use super::schema::ComponentSchemas;
use super::searched;
use crate::problem_code::ApiErrorCode;

/// Longest text to search for, in characters. The box takes no more.
const QUERY_LEN_MAX: usize = 100;

/// Most words of it that count: each is looked for everywhere.
const WORDS_MAX: usize = 8;

/// Most hits on a page: it stays below 100 kB.
const HITS_MAX: usize = 100;

/// Everything that can be found.
#[derive(Clone, Debug)]
pub struct SearchIndex(Vec<SearchEntry>);

#[derive(Clone, Debug)]
struct SearchEntry {
    address: String,
    title_html: String,
    about_html: String,
    /// In lower case: names first, because a hit there comes first.
    names: String,
    words: String,
}

impl SearchIndex {
    pub fn new(openapi: &Value) -> SearchIndex {
        let shapes = ComponentSchemas(&openapi["components"]["schemas"]);
        let calls = operations(openapi).map(|it| SearchEntry {
            address: it.address(),
            title_html: it.title_html(),
            about_html: inline(text(it.call, "summary")),
            names: format!("{} {} {}", it.method, it.path, text(it.call, "operationId"))
                .to_lowercase(),
            words: words_of_call(shapes, it.call).to_lowercase(),
        });
        let shaped = members(shapes.0).map(|(name, schema)| SearchEntry {
            address: ComponentSchemas::address(name),
            title_html: format!("<code>{name}</code>"),
            about_html: inline(&first_sentence(text(schema, "description"))),
            names: name.to_lowercase(),
            words: words_of_fields(schema).to_lowercase(),
        });
        let problems = ApiErrorCode::ALL.iter().map(|it| SearchEntry {
            address: format!("/docs/problems/{}", it.as_str()),
            title_html: format!("<code>{}</code>", it.as_str()),
            about_html: escape(it.title()),
            names: it.as_str().to_lowercase(),
            words: it.title().to_lowercase(),
        });
        SearchIndex(calls.chain(shaped).chain(problems).collect())
    }

    /// The page with everything that has all words of `query`.
    pub fn page(&self, query: &str) -> String {
        let query: String = query.trim().chars().take(QUERY_LEN_MAX).collect();
        let lower = query.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().take(WORDS_MAX).collect();
        let has_all = |entry: &&SearchEntry| {
            words.iter().all(|word| entry.names.contains(word) || entry.words.contains(word))
        };
        let mut hits: Vec<&SearchEntry> = match words.is_empty() {
            true => Vec::new(),
            false => self.0.iter().filter(has_all).collect(),
        };
        hits.sort_by_key(|entry| !words.iter().all(|word| entry.names.contains(word)));
        let rows = hits.iter().take(HITS_MAX).map(|it| {
            let SearchEntry { address, title_html, about_html, .. } = it;
            format!("<li><a href=\"{address}\">{title_html}</a>: {about_html}</li>\n")
        });
        let said = match (words.is_empty(), hits.len()) {
            (true, _) => {
                "Type words into the box: a part of a path, a field, or a problem code.".to_owned()
            }
            (false, 0) => "Nothing here has all of these words. Try fewer of them.".to_owned(),
            (false, count) if count > HITS_MAX => format!("The first {HITS_MAX} of {count}:"),
            (false, count) => format!("{count} found:"),
        };
        let main = format!(
            "<h1>Search</h1>\n<p>{said} <a href=\"/docs\">All calls</a></p>\n<ul class=\"calls\">\n{}</ul>\n",
            rows.collect::<String>()
        );
        searched(&query, "Search", "", &main)
    }
}

fn words_of_call<'a>(shapes: ComponentSchemas<'a>, call: &'a Value) -> String {
    let mut words = format!("{} {}", text(call, "summary"), text(call, "description"));
    for parameter in list(call, "parameters") {
        words = format!("{words} {}", text(parameter, "name"));
    }
    for (_, media) in members(&call["requestBody"]["content"]) {
        words = format!("{words} {}", words_of_fields(shapes.core(&media["schema"])));
    }
    for (_, response) in members(&call["responses"]) {
        words = format!("{words} {}", text(response, "description"));
    }
    words
}

fn words_of_fields(schema: &Value) -> String {
    let fields: Vec<&str> = members(&schema["properties"]).map(|(name, _)| name).collect();
    format!("{} {}", text(schema, "description"), fields.join(" "))
}

fn first_sentence(text: &str) -> String {
    let text = text.replace('\n', " ");
    text.split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned()
}
