//! The coupons that were changed with a browser, as the browser keeps them.
//!
//! A store has no list of what one person did to coupons. So a cookie has their codes; what was done to them, and by
//! whom, comes from the store.

use axum::http::HeaderMap;
use axum::response::Response;

use crate::cookie::CookieKind;
use crate::desk::PageContext;
use crate::fields::FormFields;

const CHANGED: CookieKind =
    CookieKind { name: "couponry_changed", path: "/console", same_site: "Strict" };

/// How long a browser keeps the codes, in seconds: a day.
const KEPT_S: i64 = 86_400;

/// Coupons of which a browser keeps the codes: some 1 KB of cookie.
const COUPONS_MAX: usize = 40;

/// The codes, the newest first.
pub(crate) fn changed(desk: &PageContext, headers: &HeaderMap) -> Vec<String> {
    let kept = FormFields::parse(&desk.cookie(&CHANGED, headers).unwrap_or_default());
    kept.all("c").take(COUPONS_MAX).map(str::to_owned).collect()
}

/// Lets the browser keep one more.
pub(crate) fn keep(desk: &PageContext, headers: &HeaderMap, code: &str, response: &mut Response) {
    let others = changed(desk, headers).into_iter().filter(|it| it != code);
    let codes = std::iter::once(code.to_owned()).chain(others).take(COUPONS_MAX);
    let fields = FormFields(codes.map(|code| ("c".to_owned(), code)).collect());
    desk.give(&CHANGED, &fields.encoded(), KEPT_S, response);
}

/// A code is worth what its coupon is: whoever signs out leaves none behind.
pub(crate) fn forget(desk: &PageContext, response: &mut Response) {
    desk.give(&CHANGED, "", 0, response);
}
