//! The pages for people: the only place where HTML is written.
//!
//! Every page is whole when it leaves here: no script, no inline style, nothing loaded but
//! [`STYLE`] at `/docs/style.css`, no link to another host. So it may be served with
//! [`POLICY`], and looks the same on a machine without the internet.

mod json;
mod markdown;
mod openapi;
mod problems;
mod schema;
mod search;

pub use openapi::api_pages;
pub use problems::{problem_index, problem_page};
pub use search::SearchIndex;

use markdown::{attribute, escape};

/// The style sheet of every page, to be served as `text/css` at `/docs/style.css`.
pub const STYLE: &str = include_str!("docs/style.css");

/// The `Content-Security-Policy` that every page works under.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                          form-action 'self'; frame-ancestors 'none'";

/// The page at `/`; `has_console` says whether this server also has the pages at `/console`.
pub fn home_page(version: &str, has_console: bool) -> String {
    let console = match has_console {
        true => {
            "<dl class=\"places\">\n<dt><a href=\"/console\">/console</a></dt>\n\
             <dd>the console: campaigns, coupons and customers in a browser, in English and Korean</dd>\n</dl>"
        }
        false => "<p>This server has no console: it runs with <code>--console off</code>.</p>",
    };
    let version = escape(version);
    frame(
        "couponry",
        "",
        &format!(include_str!("docs/home.html"), version = version, console = console),
    )
}

/// A whole page around `main`; `aside` is its own navigation, or empty.
fn frame(title: &str, aside: &str, main: &str) -> String {
    searched("", title, aside, main)
}

/// The same with a text in the search box.
fn searched(query: &str, title: &str, aside: &str, main: &str) -> String {
    let (layout, aside) = if aside.is_empty() {
        ("plain", String::new())
    } else {
        ("wide", format!("<nav class=\"side\" aria-label=\"Calls\">{aside}</nav>\n"))
    };
    let name = if title == "couponry" { String::new() } else { format!("{} · ", escape(title)) };
    format!(
        include_str!("docs/frame.html"),
        name = name,
        layout = layout,
        query = attribute(query),
        aside = aside,
        main = main
    )
}

fn table(class: &str, heads: &[&str], rows: &str) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    format!(
        "<div class=\"scroll\"><table class=\"{class}\"><thead><tr>{heads}</tr></thead><tbody>\n\
         {rows}</tbody></table></div>\n"
    )
}

#[cfg(test)]
mod tests;
