//! The API page: the OpenAPI document of this server for people.
//!
//! [`crate::openapi`] makes the document in the same process, so the page knows which parts are
//! there. It escapes every text all the same: some have `<`, `>` or `&` in them. The names of tags,
//! shapes and operations are words, and their anchors.

mod operation;

use serde_json::Value;

use self::operation::Operation;
use super::frame;
use super::json::{list, members, text};
use super::markdown::{block, escape};
use super::schema::Shapes;

/// The whole page for `openapi`: the calls of each tag in the order in which the document declares
/// the tags, then its shapes.
pub fn api_page(openapi: &Value) -> String {
    let shapes = Shapes(&openapi["components"]["schemas"]);
    let info = &openapi["info"];
    let title = text(info, "title");
    let mut side = String::new();
    let mut main = format!(
        "<h1>{} <small>{}</small></h1>\n{}\
         <p>Every refusal is one of the <a href=\"/docs/problems\">problems</a>.</p>\n",
        escape(title),
        escape(text(info, "version")),
        block(text(info, "description"))
    );
    for tag in list(openapi, "tags") {
        let name = text(tag, "name");
        side.push_str(&format!("<p><a href=\"#tag-{name}\">{name}</a></p>\n<ul>"));
        main.push_str(&format!(
            "<section><h2 id=\"tag-{name}\"><a href=\"#tag-{name}\">{name}</a></h2>\n{}",
            block(text(tag, "description"))
        ));
        for operation in operations(openapi, name) {
            let (anchor, title) = (operation.anchor(), operation.title_html());
            side.push_str(&format!("<li><a href=\"#{anchor}\">{title}</a></li>\n"));
            main.push_str(&operation.html(shapes));
        }
        side.push_str("</ul>\n");
        main.push_str("</section>\n");
    }
    side.push_str("<p><a href=\"#shapes\">Shapes</a></p>\n<ul>");
    main.push_str("<section><h2 id=\"shapes\"><a href=\"#shapes\">Shapes</a></h2>\n");
    for (name, schema) in members(shapes.0) {
        side.push_str(&format!("<li><a href=\"#shape-{name}\">{name}</a></li>\n"));
        main.push_str(&format!(
            "<section class=\"shape\"><h3 id=\"shape-{name}\"><a href=\"#shape-{name}\">{name}</a>\
             </h3>\n{}{}</section>\n",
            block(text(schema, "description")),
            shapes.body_html(schema)
        ));
    }
    side.push_str("</ul>\n");
    main.push_str("</section>\n");
    frame(title, &side, &main)
}

fn operations<'a>(openapi: &'a Value, tag: &'a str) -> impl Iterator<Item = Operation<'a>> {
    let calls = members(&openapi["paths"]).flat_map(|(path, item)| {
        members(item).map(move |(method, call)| Operation { method, path, call })
    });
    calls.filter(move |operation| operation.call["tags"][0] == tag)
}
