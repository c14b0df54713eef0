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

pub use openapi::api_page;
pub use problems::{problem_index, problem_page};

use markdown::escape;

/// The style sheet of every page, to be served as `text/css` at `/docs/style.css`.
pub const STYLE: &str = include_str!("docs/style.css");

/// The `Content-Security-Policy` that every page works under.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";

/// The page at `/`.
pub fn home_page(version: &str) -> String {
    frame("couponry", "", &format!(include_str!("docs/home.html"), version = escape(version)))
}

/// A whole page around `main`; `aside` is its own navigation, or empty.
fn frame(title: &str, aside: &str, main: &str) -> String {
    let (layout, aside) = if aside.is_empty() {
        ("plain", String::new())
    } else {
        ("wide", format!("<nav class=\"side\" aria-label=\"On this page\">{aside}</nav>\n"))
    };
    let name = if title == "couponry" { String::new() } else { format!("{} · ", escape(title)) };
    format!(
        include_str!("docs/frame.html"),
        name = name,
        layout = layout,
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
