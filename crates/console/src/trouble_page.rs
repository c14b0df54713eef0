//! What people read when a page is not there.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coupon::refusal::{Refusal, sentence_of};
use engine::{BadFile, Failure, FieldFault, HotError};
use webhooks::WebhookError;

use crate::desk::PageContext;
use crate::text::{IsolatedText, Lang, PageTexts};
use crate::trouble::ConsoleError;

impl ConsoleError {
    /// As a page says it that keeps what was chosen.
    pub(crate) fn in_place(&self, t: PageTexts) -> (StatusCode, String) {
        let (status, what, next) = self.said(t);
        let is_of_fields = matches!(self, ConsoleError::Fields(_));
        (status, if is_of_fields { what } else { format!("{what} {next}") })
    }

    fn said(&self, t: PageTexts) -> ErrorText {
        let (status, what, next) = match self {
            ConsoleError::Fields(faults) => return fields_said(t, faults),
            ConsoleError::Failure(failure) => return failure_said(t, failure),
            ConsoleError::Webhook(error) => return webhook_said(t, error),
            ConsoleError::SignedOut(_) => (StatusCode::UNAUTHORIZED, t.signed_out(), ""),
            ConsoleError::Forbidden => (StatusCode::FORBIDDEN, t.role_may_not(), t.ask_an_admin()),
            ConsoleError::Foreign => (StatusCode::FORBIDDEN, t.form_is_foreign(), t.open_again()),
            ConsoleError::TooLong => {
                (StatusCode::PAYLOAD_TOO_LARGE, t.form_too_long(), t.go_back())
            }
            ConsoleError::TooSlow => (StatusCode::REQUEST_TIMEOUT, t.form_too_slow(), t.go_back()),
            ConsoleError::NotFound => (StatusCode::NOT_FOUND, t.no_such_page(), t.search_instead()),
            ConsoleError::NotKept => (StatusCode::NOT_IMPLEMENTED, t.not_kept(), t.not_kept_hint()),
            ConsoleError::Busy => (StatusCode::TOO_MANY_REQUESTS, t.too_many(), t.try_later()),
            ConsoleError::AllGiven => (StatusCode::CONFLICT, t.gifts_all_given(), t.gifts_hint()),
            ConsoleError::Broken => (StatusCode::INTERNAL_SERVER_ERROR, t.broken(), t.see_log()),
        };
        (status, what.to_owned(), next)
    }

    pub(crate) fn page(&self, desk: &PageContext) -> Response {
        let (status, what, next) = self.said(desk.t);
        if status.is_server_error() {
            // Without the query, which may have a one-time link or a name.
            let path = desk.path_alone();
            tracing::error!(trouble = ?self, path, "the console cannot show a page");
        }
        let page = TroublePage { d: desk, status: status.as_u16(), what, next };
        desk.page_with(status, &page).unwrap_or_else(|_| status.into_response())
    }

    /// A page where not even the list of people could be read.
    pub(crate) fn without_desk(&self) -> Response {
        tracing::error!(trouble = ?self, "the console cannot read who is signed in");
        // Nobody knows whose page it is: in each language.
        let said = [Lang::Ko, Lang::En].map(|lang| self.said(PageTexts::new(lang)));
        let status = said[0].0;
        let text: String =
            said.iter().map(|(_, what, next)| format!("{what}\n{next}\n\n")).collect();
        let mut response = (status, text).into_response();
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    d: &'a PageContext,
    status: u16,
    what: String,
    next: &'static str,
}

/// The faults of fields, with the names that forms use.
pub(crate) fn faults_said(t: PageTexts, faults: &[FieldFault]) -> String {
    let said = faults.iter().map(|fault| {
        t.field_is_wrong(IsolatedText(t.field(&fault.field)), IsolatedText(t.detail(&fault.detail)))
    });
    said.collect::<Vec<_>>().join(" ")
}

/// The status, what happened, and what to do.
type ErrorText = (StatusCode, String, &'static str);

fn fields_said(t: PageTexts, faults: &[FieldFault]) -> ErrorText {
    (StatusCode::UNPROCESSABLE_ENTITY, faults_said(t, faults), t.go_back())
}

fn webhook_said(t: PageTexts, error: &WebhookError) -> ErrorText {
    let said = t.webhook_said(IsolatedText(t.detail(&error.to_string())));
    match error {
        WebhookError::NotFound | WebhookError::NoDelivery => {
            (StatusCode::NOT_FOUND, said, t.go_back())
        }
        WebhookError::Store(_) => store_said(t.store_unavailable(), t.try_later()),
        WebhookError::Unknown(_) => store_said(t.outcome_unknown(), t.send_again()),
        _ => (StatusCode::CONFLICT, said, t.go_back()),
    }
}

fn failure_said(t: PageTexts, failure: &Failure) -> ErrorText {
    let conflict = |what: &str, next| (StatusCode::CONFLICT, what.to_owned(), next);
    match failure {
        Failure::Refused { refusal: Refusal::NotFound, .. } => {
            (StatusCode::NOT_FOUND, t.refusal(Refusal::NotFound).to_owned(), t.search_instead())
        }
        Failure::Refused { refusal, .. } => conflict(t.refusal(*refusal), t.nothing_changed()),
        Failure::Invalid(faults) => fields_said(t, faults),
        Failure::Forbidden(_) => ConsoleError::Forbidden.said(t),
        Failure::BadFile(BadFile::Kind(why) | BadFile::Header(why)) => {
            let said = t.bad_file(IsolatedText(t.detail(why)));
            (StatusCode::UNPROCESSABLE_ENTITY, said, t.nothing_changed())
        }
        Failure::BrokenOff(_) => {
            (StatusCode::BAD_REQUEST, t.upload_broke_off().to_owned(), t.send_file_again())
        }
        Failure::OrderRefused(refused) => {
            conflict(&Failure::sentence_of_order(refused), t.go_back())
        }
        Failure::LoginTaken => conflict(t.refusal(Refusal::NameTaken), t.go_back()),
        Failure::OtherTag => conflict(t.changed_meanwhile(), t.open_form_again()),
        Failure::NoCodeKey => conflict(t.no_code_key(), t.ask_an_operator()),
        Failure::ImportStopped(stopped) => {
            let counts = stopped.counts;
            let what = t.import_stopped(t.number(counts.imported), t.number(counts.rejected));
            store_said(&what, t.send_file_again())
        }
        Failure::Store(error) => match error {
            HotError::Unavailable(_) | HotError::Overloaded { .. } => {
                store_said(t.store_unavailable(), t.try_later())
            }
            HotError::Full(_) => store_said(t.store_full(), t.ask_an_operator()),
            HotError::Unknown(_) => store_said(t.outcome_unknown(), t.send_again()),
            HotError::Cold(_) => store_said(t.cold_unavailable(), t.try_later()),
            HotError::Damaged(_) => store_said(t.store_damaged(), t.ask_an_operator()),
        },
    }
}

fn store_said(what: &str, next: &'static str) -> ErrorText {
    (StatusCode::SERVICE_UNAVAILABLE, what.to_owned(), next)
}

impl PageTexts {
    pub(crate) fn refusal(self, refusal: Refusal) -> &'static str {
        let own = self.problem_of_caller(refusal.as_str());
        own.unwrap_or_else(|| refusal.sentence(self.lang()))
    }

    /// A problem code of the API as a sentence; the code itself if it is none of a coupon.
    pub(crate) fn problem(self, code: &str) -> &str {
        let text = self.problem_of_caller(code).or_else(|| sentence_of(code, self.lang()));
        text.unwrap_or(code)
    }
}
