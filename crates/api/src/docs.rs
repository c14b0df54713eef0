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
pub use problems::{problem_codes, problem_index, problem_page};

use markdown::escape;

/// The style sheet of every page, to be served as `text/css` at `/docs/style.css`.
pub const STYLE: &str = include_str!("docs/style.css");

/// The `Content-Security-Policy` that every page works under.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";

/// What is served where, for the page at `/`.
const PLACES: &[(&str, &str)] = &[
    ("/docs", "every call: who may make it, what it takes, what it answers"),
    ("/openapi.json", "the same for programs (OpenAPI 3.1)"),
    ("/docs/problems", "every refusal: what it means and what to do now"),
    ("/healthz", "whether the process is alive"),
    ("/readyz", "whether it can do its work, and whether it is writable"),
    ("/metrics", "figures for Prometheus"),
];

/// The page at `/`: what this server is, and where to go from here.
pub fn home_page(version: &str) -> String {
    let places: String = PLACES
        .iter()
        .map(|(path, what)| format!("<dt><a href=\"{path}\">{path}</a></dt><dd>{what}</dd>\n"))
        .collect();
    let main = format!(
        "<h1>couponry <small>{}</small></h1>\
         <p>couponry keeps coupons by the million, issues exactly as many as there are, and lets \
         each one be redeemed at most once. Shops call it over HTTP; this server is running and \
         describes itself here:</p>\n<dl class=\"places\">{places}</dl>",
        escape(version)
    );
    frame("couponry", "", &main)
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
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}couponry</title>\n<link rel=\"stylesheet\" href=\"/docs/style.css\">\n\
         </head>\n<body class=\"{layout}\">\n<a class=\"skip\" href=\"#main\">To the content</a>\n\
         <header><nav aria-label=\"Pages\"><a href=\"/\">couponry</a> <a href=\"/docs\">API</a> \
         <a href=\"/docs/problems\">Problems</a> <a href=\"/openapi.json\">openapi.json</a></nav>\
         </header>\n{aside}<main id=\"main\">\n{main}\n</main>\n</body>\n</html>\n"
    )
}

/// A table with a head, which a narrow screen may scroll.
fn table(class: &str, heads: &[&str], rows: &str) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    format!(
        "<div class=\"scroll\"><table class=\"{class}\"><thead><tr>{heads}</tr></thead><tbody>\n\
         {rows}</tbody></table></div>\n"
    )
}

#[cfg(test)]
mod tests;
