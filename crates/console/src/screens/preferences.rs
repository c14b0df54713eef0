//! Language, theme and time zone: cookies of a browser, for people with and without an account.

use coupon::calendar::Zone;

use crate::cookie;
use crate::desk::{PageContext, to};
use crate::fields::FormFields;
use crate::text::Lang;
use crate::theme::PageTheme;
use crate::trouble::ConsoleResult;

/// How long a browser keeps them, in seconds: a year.
const KEPT_S: u32 = 365 * 86_400;

/// Where somebody goes on who names no page.
pub(crate) const HOME: &str = "/console";

/// `POST /console/preferences`: keeps those that the form has.
pub(crate) async fn save(_: PageContext, fields: FormFields) -> ConsoleResult {
    let mut response = to(next_page(&fields));
    let mut keep = |name: &str, value: &str| {
        let line = format!(
            "couponry_{name}={value}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={KEPT_S}"
        );
        cookie::set(&mut response, &line);
    };
    if let Some(lang) = fields.get("lang").and_then(Lang::of_tag) {
        keep("lang", lang.tag());
    }
    if let Some(theme) = fields.get("theme").and_then(PageTheme::named) {
        keep("theme", theme.as_str());
    }
    if let Some(zone) = fields.may::<Zone>("zone")? {
        // A slash is not for a cookie's value.
        keep("zone", &zone.name().replace('/', ":"));
    }
    Ok(response)
}

/// The page that a form or a query names to go on with: one of this console.
pub(crate) fn next_page(fields: &FormFields) -> &str {
    fields.get("next").filter(|next| is_here(next)).unwrap_or(HOME)
}

/// Whether an address is a page of this console, and not one elsewhere.
fn is_here(next: &str) -> bool {
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let is_below = path == "/console" || path.starts_with("/console/");
    is_below && !next.contains(['\\', '\r', '\n']) && next.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_go_on() {
        let cases = [
            ("the overview", "/console", true),
            ("a page", "/console/campaigns?state=live", true),
            ("the API", "/v1/campaigns", false),
            ("another server", "https://b.example/console", false),
            ("another server, without a scheme", "//b.example/console", false),
            ("a name that begins like it", "/consoles", false),
            ("a second header", "/console\r\nx: y", false),
        ];
        for (name, next, want) in cases {
            assert_eq!(is_here(next), want, "{name}");
        }
    }
}
