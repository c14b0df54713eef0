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

/// The calls of one tag.
struct Group<'a> {
    name: &'a str,
    description: &'a str,
    operations: Vec<Operation<'a>>,
}

/// The whole page for `openapi`: the calls of each tag in the order in which the document declares
/// the tags, then its shapes.
pub fn api_page(openapi: &Value) -> String {
    let shapes = Shapes(&openapi["components"]["schemas"]);
    let groups: Vec<Group<'_>> =
        list(openapi, "tags").iter().map(|tag| group(openapi, tag)).collect();
    let info = &openapi["info"];
    let title = text(info, "title");
    let mut main = format!(
        "<h1>{} <small>{}</small></h1>\n{}\
         <p>Every refusal is one of the <a href=\"/docs/problems\">problems</a>.</p>\n",
        escape(title),
        escape(text(info, "version")),
        block(text(info, "description"))
    );
    main.extend(groups.iter().map(|group| group_html(shapes, group)));
    main.push_str("<section><h2 id=\"shapes\"><a href=\"#shapes\">Shapes</a></h2>\n");
    main.extend(members(shapes.0).map(|(name, schema)| {
        format!(
            "<section class=\"shape\"><h3 id=\"shape-{name}\"><a href=\"#shape-{name}\">{name}</a>\
             </h3>\n{}{}</section>\n",
            block(text(schema, "description")),
            shapes.body_html(schema)
        )
    }));
    main.push_str("</section>\n");
    frame(title, &side_html(&groups, shapes), &main)
}

fn group<'a>(openapi: &'a Value, tag: &'a Value) -> Group<'a> {
    let name = text(tag, "name");
    let calls = members(&openapi["paths"]).flat_map(|(path, item)| {
        members(item).map(move |(method, call)| Operation { method, path, call })
    });
    let operations = calls.filter(|operation| operation.call["tags"][0] == name).collect();
    Group { name, description: text(tag, "description"), operations }
}

fn side_html(groups: &[Group<'_>], shapes: Shapes<'_>) -> String {
    let mut html = String::new();
    for Group { name, operations, .. } in groups {
        html.push_str(&format!("<p><a href=\"#tag-{name}\">{name}</a></p>\n<ul>"));
        html.extend(operations.iter().map(|operation| {
            let (anchor, title) = (operation.anchor(), operation.title_html());
            format!("<li><a href=\"#{anchor}\">{title}</a></li>\n")
        }));
        html.push_str("</ul>\n");
    }
    html.push_str("<p><a href=\"#shapes\">Shapes</a></p>\n<ul>");
    html.extend(
        members(shapes.0)
            .map(|(name, _)| format!("<li><a href=\"#shape-{name}\">{name}</a></li>\n")),
    );
    html.push_str("</ul>\n");
    html
}

fn group_html(shapes: Shapes<'_>, group: &Group<'_>) -> String {
    let Group { name, description, operations } = group;
    let operations: String = operations.iter().map(|operation| operation.html(shapes)).collect();
    format!(
        "<section><h2 id=\"tag-{name}\"><a href=\"#tag-{name}\">{name}</a></h2>\n{}{operations}\
         </section>\n",
        block(description)
    )
}
