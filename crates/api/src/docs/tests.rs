//! The pages as a browser gets them.

use serde_json::{Value, json};

use super::*;
use crate::problem_code::ApiErrorCode;

/// Less than this, as it is before it is compressed.
const PAGE_BYTES_MAX: usize = 100_000;

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
                "example": {"order_ref": "ann's"},
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
    let document = crate::openapi::document();
    let mut pages = vec![
        ("home".to_owned(), home_page("0.1.0", false)),
        ("home with a console".to_owned(), home_page("0.1.0", true)),
        ("index".to_owned(), problem_index()),
        ("a search".to_owned(), SearchIndex::new(&document).page("e")),
        ("a marked up search".to_owned(), SearchIndex::new(&marked_up()).page("\"><script>")),
    ];
    pages.extend(
        api_pages(&marked_up()).into_iter().map(|(path, page)| (format!("marked up {path}"), page)),
    );
    pages.extend(api_pages(&document));
    pages.extend(ApiErrorCode::ALL.iter().map(|code| {
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
            let banned = ["script", "style", "img", "iframe", "object", "base"];
            assert!(!banned.contains(&element), "{name}: <{tag}>");
            assert!(
                element != "form" || tag.contains(" action=\"/docs/search\""),
                "{name}: <{tag}>"
            );
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
    let pages = api_pages(&crate::openapi::document());
    let mut links = 0;
    for (name, page) in &pages {
        for link in page.split("href=\"/docs").skip(1).filter_map(|rest| rest.split('"').next()) {
            let Some((path, anchor)) = link.split_once('#') else { continue };
            let target = pages.iter().find(|(of, _)| of.strip_prefix("/docs") == Some(path));
            let is_there = target.is_some_and(|it| it.1.contains(&format!(" id=\"{anchor}\"")));
            assert!(is_there, "{name}: /docs{link} leads nowhere");
            links += 1;
        }
    }
    assert!(links > 40, "{links} links from page to page");
}

#[test]
fn everything_of_a_document_is_on_the_page() {
    let page: String = api_pages(&marked_up()).into_iter().map(|(_, page)| page).collect();
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
        ("a name that is markup", "<code>\"&gt;&lt;script&gt;alert(3)&lt;/script&gt;</code>"),
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
        (
            "a link to a shape",
            "<td><a href=\"/docs/shapes/Body\">Body</a></td><td><p>its own words</p>",
        ),
        ("a list of shapes", "list of <a href=\"/docs/shapes/Body\">Body</a>"),
        ("a list of several", "list of (null or string)"),
        ("limits of its items", "each one of <code>minted</code>"),
        (
            "one of two shapes",
            "<p><a href=\"/docs/shapes/Body\">Body</a> or <a href=\"/docs/shapes/Node\">Node</a></p>",
        ),
        ("a header", "Header <code>Retry-After</code>: seconds"),
        (
            "a command, quoted for a shell",
            "curl -X POST \"$COUPONRY/a/&lt;a&gt;\" \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  \
             -H 'Content-Type: application/json' \\\n  -d '{\"order_ref\":\"ann'\\''s\"}'",
        ),
        ("a command without a token or a body", "<code>curl \"$COUPONRY/b\"</code>"),
        ("an old address of a call", "<li id=\"call-redeem\"><a href=\"/docs/first#call-redeem\">"),
        ("an old address of a group", "<h3 id=\"tag-first\"><a href=\"/docs/first\">"),
        ("an old address of a shape", "<li id=\"shape-Body\"><a href=\"/docs/shapes/Body\">"),
        ("an example", "\"k\": \"&lt;/code&gt;&lt;script&gt;\""),
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
    assert_eq!(page.matches("<p>Answer ").count(), 2, "none of a problem");
}

#[test]
fn groups_come_in_the_order_of_the_document() {
    let pages = api_pages(&marked_up());
    let paths: Vec<&str> = pages.iter().map(|(path, _)| path.as_str()).collect();
    let shapes =
        ["/docs/shapes/Kind", "/docs/shapes/Body", "/docs/shapes/Node", "/docs/shapes/Either"];
    let want: Vec<&str> =
        ["/docs", "/docs/second", "/docs/first"].into_iter().chain(shapes).collect();
    assert_eq!(paths, want);
    let at = |text: &str| pages[0].1.find(&format!("id=\"{text}\"")).expect(text);
    assert!(at("quick-start") < at("tag-second") && at("tag-second") < at("tag-first"));
    assert!(at("tag-first") < at("about") && at("about") < at("shapes"));
}

#[test]
fn home_names_the_console_first_where_there_is_one() {
    let programs = ["/docs", "/docs/problems", "/openapi.json", "/healthz", "/readyz", "/metrics"];
    for (name, has_console) in [("with a console", true), ("without", false)] {
        let page = home_page("1.2.3-<x>", has_console);
        assert!(page.contains("1.2.3-&lt;x&gt;"), "{name}");
        let entries = page.split("<dt><a href=\"").skip(1);
        let found: Vec<&str> = entries.filter_map(|it| it.split('"').next()).collect();
        let console = has_console.then_some("/console");
        let want: Vec<&str> = console.into_iter().chain(programs).collect();
        assert_eq!(found, want, "{name}");
        assert_eq!(page.contains("has no console"), !has_console, "{name}");
    }
}

/// Someone with a slow line reads a page as a whole.
#[test]
fn each_page_is_light() {
    let mut weights: Vec<(usize, String)> =
        every_page().into_iter().map(|(name, page)| (page.len(), name)).collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    for (bytes, name) in &weights {
        println!("{bytes:>7} {name}");
    }
    let heavy: Vec<_> = weights.iter().filter(|(bytes, _)| *bytes >= PAGE_BYTES_MAX).collect();
    assert!(heavy.is_empty(), "at most {PAGE_BYTES_MAX} bytes: {heavy:?}");
}

#[test]
fn what_is_found() {
    let search = SearchIndex::new(&crate::openapi::document());
    let cases = [
        ("a path", "redeem", "/docs/coupons#call-redeem"),
        ("a method and a word", "post hold", "/docs/coupons#call-hold"),
        ("in capitals", "REDEEM", "/docs/coupons#call-redeem"),
        ("a code first", "already_redeemed", "/docs/problems/ALREADY_REDEEMED"),
        ("a call that refuses with it", "already_redeemed", "/docs/coupons#call-redeem"),
        ("a field", "per_user_limit", "/docs/campaigns#call-create_campaign"),
        ("a parameter", "expires_before", "/docs/coupons#call-list_coupons"),
        ("a shape", "feedevent", "/docs/shapes/FeedEvent"),
        ("blanks around", "  hold  ", "/docs/coupons#call-hold"),
    ];
    for (name, query, want) in cases {
        let page = search.page(query);
        assert!(page.contains(&format!("<li><a href=\"{want}\">")), "{name}: {want}\n{page}");
    }
    let first = |query: &str| {
        let page = search.page(query);
        let hit = page.split("<li><a href=\"").nth(1).and_then(|it| it.split('"').next());
        hit.map(str::to_owned)
    };
    assert_eq!(first("ALREADY_REDEEMED").as_deref(), Some("/docs/problems/ALREADY_REDEEMED"));
    for (name, query) in
        [("nothing", ""), ("blanks", "  "), ("no such word", "zebra"), ("one of two", "hold zebra")]
    {
        assert_eq!(first(query), None, "{name}");
    }
    let long = search.page(&format!("hold {}", "e ".repeat(5_000)));
    assert!(long.contains("#call-hold\"") && long.len() < PAGE_BYTES_MAX, "a long text");
}

/// The README is run as a test, so what it has works.
#[test]
fn the_quick_start_is_that_of_the_readme() {
    let readme = include_str!("../../../../README.md");
    let mut in_block = false;
    let mut commands = 0;
    for line in include_str!("quickstart.md").lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            assert!(readme.contains(&format!("$ {line}\n")), "not in the README: {line}");
            commands += 1;
        }
    }
    assert!(commands >= 6, "{commands} commands");
}
