//! The pages as a browser gets them.

use serde_json::{Value, json};

use super::*;
use crate::problem::Code;

/// Elements that have no end tag.
const VOID: &[&str] = &["meta", "link", "br", "hr", "wbr", "img", "input"];

/// A small document of the same shape as ours, with markup wherever a text may have some.
fn marked_up() -> Value {
    json!({
        "info": {"title": "Tricky <b>", "version": "1 & 2", "description": "Instants are in *UTC*."},
        "tags": [{"name": "second"}, {"name": "first", "description": "About **first**. <script>alert(1)</script>"}],
        "paths": {
            "/a/{id}": {
                "post": {
                    "tags": ["first"],
                    "operationId": "redeem",
                    "summary": "Redeem `EXPIRED` <script>alert(2)</script>",
                    "description": "Roles: *shop*.",
                    "parameters": [
                        {"name": "id", "in": "path", "required": true, "example": "<a>", "description": "which",
                            "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[^<>]+$"}},
                        {"name": "\"><script>alert(3)</script>", "in": "query", "schema": {"$ref": "#/components/schemas/Kind"}}
                    ],
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
                    "responses": {
                        "201": {
                            "description": "redeemed",
                            "headers": {"x-request-id": {"description": "everywhere"}, "Retry-After": {"description": "seconds"}},
                            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}
                        },
                        "409": {"description": "- `ALREADY_REDEEMED` or `NOT_A_LINK`", "content": {
                            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Node"}}}}
                    }
                }
            },
            "/b": {"get": {"tags": ["second"], "operationId": "read", "security": [{}], "responses": {
                "200": {"description": "csv", "content": {"text/csv": {"schema": {"type": "string"}, "example": "code\nABC"}}}}}}
        },
        "components": {"schemas": {
            "Kind": {"type": "string", "enum": ["minted", "<imported>"], "example": "minted", "description": "Where from."},
            "Body": {
                "type": "object",
                "additionalProperties": false,
                "required": ["order_ref"],
                "properties": {
                    "order_ref": {"type": "string", "description": "names the attempt", "example": "991"},
                    "kind": {"oneOf": [{"$ref": "#/components/schemas/Kind"}, {"type": "null"}]},
                    "at": {"type": ["string", "null"], "format": "date-time"},
                    "seconds": {"type": "integer", "minimum": 1}
                }
            },
            "Node": {
                "type": "object",
                "example": {"k": "</code><script>"},
                "properties": {
                    "nodes": {"type": "array", "maxItems": 32, "items": {"$ref": "#/components/schemas/Body"}},
                    "kinds": {"type": "array", "items": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Kind"}]}},
                    "body": {"$ref": "#/components/schemas/Body", "description": "its own words"}
                }
            },
            "Either": {"oneOf": [{"$ref": "#/components/schemas/Body"}, {"$ref": "#/components/schemas/Node"}]}
        }}
    })
}

fn every_page() -> Vec<(String, String)> {
    let mut pages = vec![
        ("home".to_owned(), home_page("0.1.0")),
        ("index".to_owned(), problem_index()),
        ("marked up".to_owned(), api_page(&marked_up())),
        ("api".to_owned(), api_page(&crate::openapi::document())),
    ];
    pages.extend(Code::ALL.iter().map(|code| {
        let page = problem_page(code.as_str()).expect("a code has a page");
        (code.as_str().to_owned(), page)
    }));
    pages
}

/// The tags of `html` in order, each without its angle brackets.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag).collect()
}

#[test]
fn tags_are_balanced_and_text_is_escaped() {
    for (name, page) in every_page() {
        let mut open = Vec::new();
        assert!(page.starts_with("<!DOCTYPE html>\n"), "{name}");
        for tag in tags(&page).into_iter().skip(1) {
            let element = tag.split_whitespace().next().unwrap_or_default();
            if let Some(ended) = element.strip_prefix('/') {
                assert_eq!(open.pop(), Some(ended), "{name}: </{ended}>");
            } else if !VOID.contains(&element.trim_end_matches('/')) {
                assert!(
                    element.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
                    "{name}: {tag}"
                );
                assert!(!(element == "a" && open.contains(&"a")), "{name}: a link in a link");
                assert!(!(element == "p" && open.contains(&"p")), "{name}: <p> in <p>");
                open.push(element);
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "{name}");
        let text_with_bracket = page.split('>').any(|text| text.matches('<').count() > 1);
        assert!(!text_with_bracket, "{name}: < outside of a tag");
    }
}

#[test]
fn nothing_is_loaded_run_or_linked_from_outside() {
    for (name, page) in every_page() {
        for tag in tags(&page) {
            let element = tag.split_whitespace().next().unwrap_or_default();
            let banned = ["script", "style", "img", "iframe", "object", "form", "base"];
            assert!(!banned.contains(&element), "{name}: <{tag}>");
            assert!(
                ![" on", " style=", " src="].iter().any(|with| tag.contains(with)),
                "{name}: <{tag}>"
            );
            for target in tag.split("href=\"").skip(1) {
                let is_local =
                    target.starts_with('#') || target.starts_with('/') && !target.starts_with("//");
                assert!(is_local, "{name}: <{tag}>");
            }
        }
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn anchors_are_unlike_and_every_link_in_a_page_has_one() {
    for (name, page) in every_page() {
        let after = |mark| page.split(mark).skip(1).filter_map(|rest: &str| rest.split('"').next());
        let ids: Vec<&str> = after(" id=\"").collect();
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{name}: id {id} twice");
        }
        for link in after("href=\"#") {
            assert!(ids.contains(&link), "{name}: #{link} leads nowhere");
        }
    }
}

#[test]
fn everything_of_a_document_is_on_the_page() {
    let page = api_page(&marked_up());
    let cases = [
        ("title", "Tricky &lt;b&gt; <small>1 &amp; 2</small>"),
        ("the document's text", "<p>Instants are in <em>UTC</em>.</p>"),
        ("group text", "About <strong>first</strong>."),
        ("a script is text", "&lt;script&gt;alert(2)&lt;/script&gt;"),
        (
            "a code in a summary",
            "Redeem <a href=\"/docs/problems/EXPIRED\"><code>EXPIRED</code></a>",
        ),
        ("a code in an answer", "href=\"/docs/problems/ALREADY_REDEEMED\""),
        ("a token", "Needs a token."),
        ("no token", "No token needed."),
        ("a parameter of the path", "<code>id</code> <span class=\"required\">required</span>"),
        (
            "limits and an example",
            "1 to 64 characters; matches <code>^[^&lt;&gt;]+$</code>; for example <code>&lt;a&gt;</code>",
        ),
        ("a name that is markup", "<code>&quot;&gt;&lt;script&gt;alert(3)&lt;/script&gt;</code>"),
        (
            "the description of a shape",
            "<td>string</td><td><p>Where from.</p>\n<p class=\"limits\">",
        ),
        ("a required field", "<code>order_ref</code> <span class=\"required\">required</span>"),
        ("an example of a field", "<p class=\"limits\">for example <code>991</code></p>"),
        ("one of, or null", "<td>string or null</td>"),
        ("its words", "one of <code>minted</code>, <code>&lt;imported&gt;</code></p>"),
        ("nullable with a format", "string <span class=\"format\">(date-time)</span> or null"),
        ("a number", "<p class=\"limits\">at least 1</p>"),
        ("entries", "at most 32 entries"),
        ("others refused", "Other fields are refused."),
        ("a link to a shape", "<td><a href=\"#shape-Body\">Body</a></td><td><p>its own words</p>"),
        ("a list of shapes", "list of <a href=\"#shape-Body\">Body</a>"),
        ("a list of several", "list of (null or string)"),
        ("limits of its items", "each one of <code>minted</code>"),
        (
            "one of two shapes",
            "<p><a href=\"#shape-Body\">Body</a> or <a href=\"#shape-Node\">Node</a></p>",
        ),
        ("a header", "Header <code>Retry-After</code>: seconds"),
        ("an example", "&quot;k&quot;: &quot;&lt;/code&gt;&lt;script&gt;&quot;"),
        ("an example as text", "<code>code\nABC</code>"),
        ("a path in the navigation", "<li><a href=\"#call-redeem\">"),
    ];
    for (name, want) in cases {
        assert!(page.contains(want), "{name}: {want}\n{page}");
    }
    for (name, unwanted) in [
        ("markup of the document", "<script"),
        ("a link for what is no code", "/docs/problems/NOT_A_LINK"),
        ("a header of every answer", "everywhere"),
    ] {
        assert!(!page.contains(unwanted), "{name}: {unwanted}");
    }
    assert_eq!(page.matches("Example of").count(), 2, "none of a problem");
}

#[test]
fn groups_come_in_the_order_of_the_document() {
    let page = api_page(&marked_up());
    let at = |text: &str| page.find(&format!("<h2 id=\"{text}\"")).expect(text);
    assert!(at("tag-second") < at("tag-first"));
    assert!(at("tag-first") < at("shapes"));
}

#[test]
fn home_leads_everywhere() {
    let page = home_page("1.2.3-<x>");
    assert!(page.contains("1.2.3-&lt;x&gt;"));
    for path in ["/docs", "/openapi.json", "/docs/problems", "/healthz", "/readyz", "/metrics"] {
        assert!(page.contains(&format!("<dt><a href=\"{path}\">")), "{path}");
    }
}
