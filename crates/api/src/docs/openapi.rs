//! The API pages: the OpenAPI document of this server for people.
//!
//! [`crate::openapi`] makes the document in the same process, so the pages know which parts are
//! there. They escape every text all the same: some have `<`, `>` or `&` in them. The names of tags,
//! shapes and operations are words, and their anchors.

mod curl;
mod operation;

use serde_json::Value;

pub(super) use self::operation::ApiOperation;
use super::frame;
use super::json::{list, members, text};
use super::markdown::{block, escape, inline};
use super::schema::ComponentSchemas;

/// Every page of `openapi`, by its path: `/docs`, one page for each tag, and one for each shape.
pub fn api_pages(openapi: &Value) -> Vec<(String, String)> {
    let shapes = ComponentSchemas(&openapi["components"]["schemas"]);
    let mut pages = vec![("/docs".to_owned(), index_page(openapi, shapes))];
    for tag in list(openapi, "tags") {
        let name = text(tag, "name");
        pages.push((format!("/docs/{name}"), group_page(openapi, shapes, tag)));
    }
    for (name, schema) in members(shapes.0) {
        let main = format!(
            "<h1>{name}</h1>\n{}{}",
            block(text(schema, "description")),
            shapes.body_html(schema)
        );
        pages.push((format!("/docs/shapes/{name}"), frame(name, "", &main)));
    }
    pages
}

/// Has an anchor for each call and each shape: once all of them were on this page.
fn index_page(openapi: &Value, shapes: ComponentSchemas<'_>) -> String {
    let info = &openapi["info"];
    let mut main = format!(
        "<h1>The API of {} <small>{}</small></h1>\n\
         <h2 id=\"quick-start\">Quick start</h2>\n{}<h2 id=\"calls\">Calls</h2>\n",
        escape(text(info, "title")),
        escape(text(info, "version")),
        block(include_str!("quickstart.md"))
    );
    for tag in list(openapi, "tags") {
        let name = text(tag, "name");
        main.push_str(&format!(
            "<h3 id=\"tag-{name}\"><a href=\"/docs/{name}\">{name}</a></h3>\n{}<ul class=\"calls\">\n",
            block(text(tag, "description"))
        ));
        for operation in operations(openapi).filter(|it| it.tag() == name) {
            main.push_str(&format!(
                "<li id=\"{}\"><a href=\"{}\">{}</a>: {}</li>\n",
                operation.anchor(),
                operation.address(),
                operation.title_html(),
                inline(text(operation.call, "summary"))
            ));
        }
        main.push_str("</ul>\n");
    }
    main.push_str("<h2 id=\"about\">What holds for every call</h2>\n");
    main.push_str(&block(text(info, "description")));
    main.push_str("<h2 id=\"shapes\">Shapes</h2>\n<ul class=\"shapes\">\n");
    for (name, _) in members(shapes.0) {
        let address = ComponentSchemas::address(name);
        main.push_str(&format!("<li id=\"shape-{name}\"><a href=\"{address}\">{name}</a></li>\n"));
    }
    main.push_str("</ul>\n");
    frame("API", &side(openapi, ""), &main)
}

fn group_page(openapi: &Value, shapes: ComponentSchemas<'_>, tag: &Value) -> String {
    let name = text(tag, "name");
    let mut main = format!(
        "<h1>{name}</h1>\n{}<p>The lines for curl use <code>$COUPONRY</code> and <code>$TOKEN</code> of \
         the <a href=\"/docs#quick-start\">quick start</a>. Every refusal is one of the \
         <a href=\"/docs/problems\">problems</a>, a <a href=\"{}\">Problem</a> document.</p>\n",
        block(text(tag, "description")),
        ComponentSchemas::address("Problem")
    );
    for operation in operations(openapi).filter(|it| it.tag() == name) {
        main.push_str(&operation.html(shapes, &curl::commands(&operation, shapes)));
    }
    frame(name, &side(openapi, name), &main)
}

/// The navigation: every group, and the calls of `open`.
fn side(openapi: &Value, open: &str) -> String {
    let mut side = String::from("<p><a href=\"/docs#quick-start\">Quick start</a></p>\n");
    for tag in list(openapi, "tags") {
        let name = text(tag, "name");
        side.push_str(&format!("<p><a href=\"/docs/{name}\">{name}</a></p>\n"));
        let mut calls =
            operations(openapi).filter(|it| name == open && it.tag() == open).peekable();
        if calls.peek().is_some() {
            let rows = calls.map(|it| {
                format!("<li><a href=\"#{}\">{}</a></li>\n", it.anchor(), it.title_html())
            });
            side.push_str(&format!("<ul>{}</ul>\n", rows.collect::<String>()));
        }
    }
    side.push_str("<p><a href=\"/docs#about\">What holds for every call</a></p>\n");
    side.push_str("<p><a href=\"/docs#shapes\">Shapes</a></p>\n");
    side
}

pub(super) fn operations(openapi: &Value) -> impl Iterator<Item = ApiOperation<'_>> {
    members(&openapi["paths"]).flat_map(|(path, item)| {
        members(item).map(move |(method, call)| ApiOperation { method, path, call })
    })
}
