//! The pages as a browser gets them.

use serde_json::{Value, json};

use super::*;

/// Elements that have no end tag.
const VOID: &[&str] = &["meta", "link", "br", "hr", "wbr", "img", "input"];

/// A small document with everything that is awkward.
fn tricky() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Tricky <b>", "version": "1 & 2", "description": "See [RFC](https://rfc.example/9457)."},
        "tags": [{"name": "second"}, {"name": "first", "description": "About **first**. <script>alert(1)</script>"}],
        "paths": {
            "/a/{id}": {
                "parameters": [
                    {"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/Name"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}}
                ],
                "post": {
                    "tags": ["first"],
                    "summary": "Redeem `EXPIRED` <script>alert(2)</script>",
                    "description": "Roles: *shop*.\n\n| a | b |\n|--:|---|\n| `HELD` | <i>x</i> |",
                    "security": [{"token": []}],
                    "parameters": [
                        {"$ref": "#/components/parameters/Limit"},
                        {"name": "\"><script>alert(3)</script>", "in": "header"}
                    ],
                    "requestBody": {"$ref": "#/components/requestBodies/Redeem"},
                    "responses": {
                        "201": {
                            "description": "redeemed",
                            "headers": {"Retry-After": {"schema": {"type": "integer"}}},
                            "content": {"application/json": {
                                "schema": {"$ref": "#/components/schemas/Node"},
                                "examples": {"one": {"summary": "<script>alert(4)</script>", "value": {"k": "</code><script>"}}}
                            }}
                        },
                        "409": {"$ref": "#/components/responses/Refused"},
                        "default": {}
                    }
                },
                "get": {"tags": ["second"], "responses": {"200": {"description": "csv", "content": {"text/csv": {
                    "schema": {"type": "string"}, "example": "code\nABC"}}}}}
            },
            "/a-id": {"get": {"description": "no tag"}, "x-other": 7},
            "/a/id": {"get": {"security": [], "responses": {"200": {"description": "inline", "content": {"application/json": {
                "schema": {"type": "object", "required": ["data"], "properties": {
                    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
                    "next_cursor": {"type": ["string", "null"]}
                }}
            }}}}}}
        },
        "components": {
            "parameters": {"Limit": {"name": "limit", "in": "query", "description": "how many",
                "schema": {"type": "integer", "minimum": 1.0, "maximum": 1000, "default": 50}}},
            "requestBodies": {"Redeem": {"required": true, "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/Body"}}}}},
            "responses": {"Refused": {"description": "`ALREADY_REDEEMED` or NOT_A_LINK", "content": {
                "application/problem+json": {"schema": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Node"}]}}}}},
            "schemas": {
                "Name": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[^<>]+$"},
                "Kind": {"type": "string", "enum": ["minted", "<imported>"]},
                "Body": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["order_ref"],
                    "properties": {
                        "order_ref": {"$ref": "#/components/schemas/Name", "description": "names the attempt"},
                        "kind": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Kind"}]},
                        "lines": {"type": "array", "minItems": 1, "items": {
                            "type": "object", "properties": {"deep_field": {"type": ["string", "null"], "format": "date-time"}}}},
                        "who": {"anyOf": [
                            {"type": "object", "properties": {"guest": {"type": "boolean"}}},
                            {"$ref": "#/components/schemas/Pet"}
                        ]},
                        "tags": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "number"}}},
                        "node": {"$ref": "#/components/schemas/Node"}
                    }
                },
                "Pet": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"type": "object", "required": ["base_field"],
                    "properties": {"pet_field": {"const": "cat"}}}]},
                "Base": {"type": "object", "properties": {"base_field": {"type": "integer", "format": "int64"}}},
                "Expiry": {"oneOf": [
                    {"title": "instant", "type": "object", "properties": {"expires_at": {"type": "string"}}},
                    {"title": "day", "type": "object", "properties": {"expires_on": {"type": "string"}}}
                ]},
                "Node": {"type": "object", "properties": {
                    "children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
                    "self": {"$ref": "#/components/schemas/Node"},
                    "lost": {"$ref": "#/components/schemas/Nowhere<"},
                    "inner": {"$ref": "#/components/schemas/Expiry/oneOf/0"},
                    "odd": {"$ref": "#/components/schemas/node%20x"}
                }},
                "Circle": {"$ref": "#/components/schemas/Circle"},
                "Wide": {"oneOf": [{"$ref": "#/components/schemas/Wide"}, {"$ref": "#/components/schemas/Wide"}]},
                "node x": {"type": "object"},
                "node-x": {"type": "object"},
                "node": {"type": "object"},
                "Any": true,
                "None": {}
            }
        }
    })
}

fn every_page() -> Vec<(String, String)> {
    let mut pages = vec![
        ("home".to_owned(), home_page("0.1.0")),
        ("index".to_owned(), problem_index()),
        ("tricky".to_owned(), api_page(&tricky())),
    ];
    for (number, odd) in odd_documents().iter().enumerate() {
        pages.push((format!("odd {number}"), api_page(odd)));
    }
    pages.extend(problem_codes().map(|code| {
        let page = problem_page(code).expect("a code has a page");
        (code.to_owned(), page)
    }));
    pages
}

/// Documents that lack what a page is made of, or have something else there.
fn odd_documents() -> Vec<Value> {
    vec![
        json!(null),
        json!([]),
        json!({}),
        json!({"info": 1, "paths": [], "tags": {}, "components": 3}),
        json!({"paths": {"/": {"get": null, "post": 1, "put": {"responses": [], "requestBody": {"content": {"a/b": 1}}}}}}),
        json!({"paths": {"/": {"get": {"parameters": [1, {}], "tags": [1], "responses": {"200": {"content": {"a/b": {}}}}}}}}),
        json!({"components": {"schemas": {"A": {"properties": {"a": 1, "b": {"type": 7, "enum": []}}, "required": [1]}}}}),
    ]
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
    let page = api_page(&tricky());
    let cases = [
        ("title", "Tricky &lt;b&gt; <small>1 &amp; 2</small>"),
        ("a link to outside is text", "See RFC (https://rfc.example/9457)."),
        ("group text", "About <strong>first</strong>."),
        ("a script is text", "&lt;script&gt;alert(2)&lt;/script&gt;"),
        (
            "a code in a summary",
            "Redeem <a href=\"/docs/problems/EXPIRED\"><code>EXPIRED</code></a>",
        ),
        ("a code in a table", "<td><a href=\"/docs/problems/HELD\"><code>HELD</code></a></td>"),
        ("a code in an answer", "href=\"/docs/problems/ALREADY_REDEEMED\""),
        ("a token", "Token: <code>token</code>"),
        ("no token", "No token needed."),
        ("a parameter of the path", "<code>id</code> <span class=\"required\">required</span>"),
        ("limits through a reference", "1 to 64 characters; matches <code>^[^&lt;&gt;]+$</code>"),
        (
            "the call's parameter wins",
            "<p>how many</p>\n<p class=\"limits\">1 to 1000; default <code>50</code></p>",
        ),
        ("a name that is markup", "<code>&quot;&gt;&lt;script&gt;alert(3)&lt;/script&gt;</code>"),
        ("a required field", "<code>order_ref</code> <span class=\"required\">required</span>"),
        ("a description beside a reference", "<p>names the attempt</p>"),
        (
            "one of, or null",
            "<td>null or string</td><td><p class=\"limits\">one of <code>minted</code>, <code>&lt;imported&gt;</code></p>",
        ),
        ("a field in a list", "<code>lines[].deep_field</code>"),
        ("nullable with a format", "string <span class=\"format\">(date-time)</span> or null"),
        ("entries", "at least 1 entries"),
        ("a field of a form", "<code>who.guest</code>"),
        ("a field of a part of a form", "<code>who.base_field</code>"),
        ("a constant", "<code>cat</code>"),
        ("a map", "object of list of number"),
        ("others refused", "Other fields are refused."),
        ("a link to a shape", "<a href=\"#shape-Node\">Node</a>"),
        ("a circle is shown once", "<code>node.children</code>"),
        ("a reference to nowhere", "<code>#/components/schemas/Nowhere&lt;</code>"),
        ("a header", "Header <code>Retry-After</code>: integer"),
        ("any other status", "<th scope=\"row\">any other</th>"),
        ("an example", "&quot;k&quot;: &quot;&lt;/code&gt;&lt;script&gt;&quot;"),
        ("an example as text", "<code>code\nABC</code>"),
        ("fields of an inline answer", "<h5>Fields of 200</h5>"),
        ("a list of shapes", "list of <a href=\"#shape-Node\">Node</a>"),
        ("a reference into a shape", "<td>instant</td>"),
        ("forms", "<strong>instant</strong>"),
        ("no tag", "id=\"tag-other\""),
        ("a path in the navigation", "<li><a href=\"#call-post-a-id\">"),
        ("a slug that is taken", "id=\"call-get-a-id-3\""),
    ];
    for (name, want) in cases {
        assert!(page.contains(want), "{name}: {want}\n{page}");
    }
    for (name, unwanted) in [
        ("markup of the document", "<script"),
        ("a circle", "node.self.self"),
        ("a link for what is no code", "/docs/problems/NOT_A_LINK"),
    ] {
        assert!(!page.contains(unwanted), "{name}: {unwanted}");
    }
    let limits = page.matches("<code>limit</code>").count();
    assert_eq!(limits, 2, "once in each call of the path");
}

#[test]
fn groups_come_in_the_order_of_the_document() {
    let page = api_page(&tricky());
    let at = |text: &str| page.find(&format!("<h2 id=\"{text}\"")).expect(text);
    assert!(at("tag-second") < at("tag-first"));
    assert!(at("tag-first") < at("tag-other"));
    assert!(at("tag-other") < at("shapes"));
}

#[test]
fn a_document_that_grows_without_end_is_cut() {
    let mut schemas = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/components/schemas/S{}", level + 1)});
        let fields: serde_json::Map<_, _> =
            (0..8).map(|n| (format!("f{n}"), next.clone())).collect();
        let schema = json!({"properties": fields, "oneOf": [next, next], "allOf": [next, next]});
        schemas.insert(format!("S{level}"), schema);
    }
    let body =
        json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}});
    let document = json!({"paths": {"/": {"post": {"requestBody": body}}}, "components": {"schemas": schemas}});
    let page = api_page(&document);
    assert!(page.contains("More fields are in"));
    assert!(page.len() < 5_000_000, "{}", page.len());
}

#[test]
fn home_leads_everywhere() {
    let page = home_page("1.2.3-<x>");
    assert!(page.contains("1.2.3-&lt;x&gt;"));
    for path in ["/docs", "/openapi.json", "/docs/problems", "/healthz", "/readyz", "/metrics"] {
        assert!(page.contains(&format!("<dt><a href=\"{path}\">")), "{path}");
    }
}
