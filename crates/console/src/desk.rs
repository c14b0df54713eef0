//! A desk: who looks at a page, and how they want to see it.

use std::sync::Arc;

use askama::Template;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coupon::calendar::{Date, Zone};
use coupon::ids::UserId;
use coupon::time::Millis;
use engine::{Caller, Engine, StaffList, StaffRole};

use crate::Console;
use crate::cookie::{self, CookieKind, SESSION};
use crate::direction::contained;
use crate::fields::{FormFields, encoded};
use crate::machine::MachineStatus;
use crate::roles::ConsoleAction;
use crate::signing::StaffSession;
use crate::text::{Lang, PageTexts};
use crate::theme::PageTheme;
use crate::trouble::{ConsoleError, ConsoleResult};

#[derive(Clone, Debug)]
pub(crate) struct CurrentMember {
    pub(crate) name: UserId,
    pub(crate) role: StaffRole,
    pub(crate) session: StaffSession,
}

#[derive(Clone)]
pub(crate) struct PageContext {
    pub(crate) console: Arc<Console>,
    pub(crate) t: PageTexts,
    pub(crate) theme: PageTheme,
    /// The zone of days and times that belong to no campaign.
    pub(crate) zone: Zone,
    /// The address of this server, as the browser has it.
    pub(crate) host: String,
    /// The path and the query of the page.
    pub(crate) path: String,
    pub(crate) query: FormFields,
    /// The page of the console from which this one was asked for.
    pub(crate) from: Option<String>,
    pub(crate) now: Millis,
    pub(crate) member: Option<CurrentMember>,
    pub(crate) csrf: String,
}

impl PageContext {
    /// The desk of a request. Reads the list of staff once if there is a session.
    pub(crate) async fn of(console: &Arc<Console>, parts: &Parts) -> ConsoleResult<PageContext> {
        let headers = &parts.headers;
        let cookie = |name: &str| cookie::value(headers, name);
        let text = |name: header::HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let lang = cookie("couponry_lang").and_then(|tag| Lang::of_tag(&tag));
        let lang = lang.unwrap_or_else(|| Lang::preferred(text(header::ACCEPT_LANGUAGE)));
        let theme = cookie("couponry_theme").and_then(|name| PageTheme::named(&name));
        let zone_of = |name: &str| cookie(name).and_then(|it| it.replace(':', "/").parse().ok());
        // That of the browser, where nobody has set one.
        let is_set = console.setup.zone != Zone::utc();
        let of_browser = || zone_of("couponry_browser_zone").filter(|_: &Zone| !is_set);
        let zone = zone_of("couponry_zone").or_else(of_browser);
        let scheme = scheme(text(header::HeaderName::from_static("x-forwarded-proto")));
        let session = SESSION.read(scheme == "https", headers);
        let session = session.and_then(|signed| console.signer.read::<StaffSession>(&signed));
        let now = console.setup.engine.now();
        let member = match session {
            Some(session) => member(console, session, now).await?,
            None => None,
        };
        let csrf = member.as_ref().map(|member| console.signer.form_token(&member.session, now));
        let host = text(header::HOST);
        let query = parts.uri.query().unwrap_or_default();
        Ok(PageContext {
            console: Arc::clone(console),
            t: PageTexts::new(lang),
            theme: theme.unwrap_or(PageTheme::System),
            zone: zone.unwrap_or_else(|| console.setup.zone.clone()),
            host: format!("{scheme}://{host}"),
            path: parts.uri.to_string(),
            from: page_before(text(header::REFERER), host),
            query: FormFields::parse(query),
            now,
            member,
            csrf: csrf.unwrap_or_default(),
        })
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.console.setup.engine
    }

    /// What the machine says, read on a thread where that may take its time.
    pub(crate) async fn machine(&self) -> ConsoleResult<MachineStatus> {
        let console = Arc::clone(&self.console);
        let read = tokio::task::spawn_blocking(move || (console.setup.machine)());
        read.await.map_err(|_| ConsoleError::Broken)
    }

    /// Whether they may do this: for what a page offers. The guard has decided about the page itself.
    pub(crate) fn may(&self, action: ConsoleAction) -> bool {
        self.member.as_ref().is_some_and(|member| action.is_for(member.role))
    }

    /// They as the engine knows them, for this action.
    pub(crate) fn caller(&self, action: ConsoleAction) -> ConsoleResult<Caller> {
        let member = self.member.as_ref().ok_or(ConsoleError::Forbidden)?;
        let role = action.engine_role(member.role).ok_or(ConsoleError::Forbidden)?;
        Ok(Caller::staff(role, member.name.clone()))
    }

    pub(crate) fn reader(&self) -> ConsoleResult<Caller> {
        self.caller(ConsoleAction::Look)
    }

    pub(crate) fn cookie(&self, cookie: &CookieKind, headers: &HeaderMap) -> Option<String> {
        cookie.read(self.is_https(), headers)
    }

    /// Gives the browser a cookie for some seconds; 0 takes it back.
    pub(crate) fn give(
        &self,
        cookie: &CookieKind,
        value: &str,
        seconds: i64,
        response: &mut Response,
    ) {
        cookie::set(response, &cookie.line(self.is_https(), value, seconds));
    }

    fn is_https(&self) -> bool {
        self.host.starts_with("https://")
    }

    pub(crate) fn today(&self) -> Date {
        Date::of(self.now, &self.zone)
    }

    pub(crate) fn at(&self, at: &Millis) -> String {
        self.t.moment(*at, &self.zone)
    }

    /// A name as a part of a path: it may have any sign.
    pub(crate) fn within_path(&self, name: impl ToString) -> String {
        encoded(&name.to_string())
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let mut fields = self.query.0.clone();
        fields.retain(|(field, _)| field != name && field != "cursor" && field != "done");
        if !value.is_empty() {
            fields.push((name.to_owned(), value.to_owned()));
        }
        let path = self.path_alone();
        match fields.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", FormFields(fields).encoded()),
        }
    }

    pub(crate) fn path_alone(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The path of the page within a query, to come back to.
    pub(crate) fn here(&self) -> String {
        encoded(&self.path)
    }

    pub(crate) fn page(&self, template: &impl Template) -> ConsoleResult {
        self.page_with(StatusCode::OK, template)
    }

    pub(crate) fn page_with(&self, status: StatusCode, template: &impl Template) -> ConsoleResult {
        let html = template.render().map_err(|error| {
            tracing::error!(%error, "a page of the console");
            ConsoleError::Broken
        })?;
        let mut response = (status, contained(html)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        Ok(response)
    }
}

/// The path of the page that a browser comes from, if it is one of this console.
fn page_before(referer: &str, host: &str) -> Option<String> {
    let path = referer.split_once("://")?.1.strip_prefix(host)?;
    let is_ours = path == "/console" || path.starts_with("/console/");
    is_ours.then(|| path.to_owned())
}

/// The account of a session that is still good.
async fn member(
    console: &Console,
    session: StaffSession,
    now: Millis,
) -> ConsoleResult<Option<CurrentMember>> {
    // Without a read for cookies that are only old.
    match session.is_within(now) {
        true => Ok(member_of(&console.setup.engine.staff().await?, session, now)),
        false => Ok(None),
    }
}

/// The account of a session in a list of people, if the session is still good.
pub(crate) fn member_of(
    list: &StaffList,
    session: StaffSession,
    now: Millis,
) -> Option<CurrentMember> {
    let account = list.member(&session.name).filter(|_| session.is_within(now))?;
    if account.has_ended(session.id, session.generation) {
        return None;
    }
    Some(CurrentMember { name: account.name.parse().ok()?, role: account.role, session })
}

/// The scheme that a browser uses, as proxies say it: each adds its own, the nearest to the browser comes first.
fn scheme(forwarded: &str) -> &'static str {
    let first = forwarded.split(',').next().unwrap_or_default().trim();
    if first.eq_ignore_ascii_case("https") { "https" } else { "http" }
}

/// To another page, after something was done.
pub(crate) fn to(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_before() {
        let cases = [
            ("a page", "http://a:1/console/coupons?q=x", Some("/console/coupons?q=x")),
            ("the first page", "https://a:1/console", Some("/console")),
            ("another host", "http://a:10/console", None),
            ("another path", "http://a:1/consoles", None),
            ("no path", "http://a:1", None),
            ("nothing", "", None),
        ];
        for (name, referer, want) in cases {
            assert_eq!(page_before(referer, "a:1").as_deref(), want, "{name}");
        }
    }

    #[test]
    fn schemes_of_proxies() {
        let cases = [
            ("no proxy", "", "http"),
            ("https", "https", "https"),
            ("in another spelling", "HTTPS", "https"),
            ("two proxies", "https, http", "https"),
            ("two others", "http,https", "http"),
            ("something else", "httpsx", "http"),
        ];
        for (name, forwarded, want) in cases {
            assert_eq!(scheme(forwarded), want, "{name}");
        }
    }
}
