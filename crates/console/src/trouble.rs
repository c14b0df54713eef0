//! Trouble: why a page is not there, and what people read then.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coupon::refusal::{Refusal, sentence_of};
use engine::{BadFile, Failure, FieldFault, HotError};
use webhooks::WebhookError;

use crate::desk::PageContext;
use crate::fields::FormFields;
use crate::text::{IsolatedText, Lang, PageTexts};

/// What a handler answers, and what it asks on its way: a page, unless something is named.
pub(crate) type ConsoleResult<T = Response> = Result<T, ConsoleError>;

#[derive(Debug)]
pub(crate) enum ConsoleError {
    /// Nobody is signed in; the form that was sent, if one was.
    SignedOut(Option<FormFields>),
    Forbidden,
    /// Another site has sent the form.
    Foreign,
    TooLong,
    TooSlow,
    NotFound,
    Fields(Vec<FieldFault>),
    Failure(Failure),
    Webhook(WebhookError),
    /// This store does not keep what the page shows.
    NotKept,
    Busy,
    /// A mistake of ours; the log has it.
    Broken,
}

impl ConsoleError {
    pub(crate) fn field(name: &str, detail: impl Into<String>) -> ConsoleError {
        ConsoleError::Fields(vec![FieldFault::new(name, detail)])
    }

    /// The status, what happened, and what to do.
    fn said(&self, t: PageTexts) -> (StatusCode, String, String) {
        let plain = |status, what: &str, next: &str| (status, what.to_owned(), next.to_owned());
        match self {
            ConsoleError::SignedOut(_) => plain(StatusCode::UNAUTHORIZED, t.signed_out(), ""),
            ConsoleError::Forbidden => {
                plain(StatusCode::FORBIDDEN, t.role_may_not(), t.ask_an_admin())
            }
            ConsoleError::Foreign => {
                plain(StatusCode::FORBIDDEN, t.form_is_foreign(), t.open_again())
            }
            ConsoleError::TooLong => {
                plain(StatusCode::PAYLOAD_TOO_LARGE, t.form_too_long(), t.go_back())
            }
            ConsoleError::TooSlow => {
                plain(StatusCode::REQUEST_TIMEOUT, t.form_too_slow(), t.go_back())
            }
            ConsoleError::NotFound => {
                plain(StatusCode::NOT_FOUND, t.no_such_page(), t.search_instead())
            }
            ConsoleError::Fields(faults) => {
                (StatusCode::UNPROCESSABLE_ENTITY, faults_said(t, faults), t.go_back().to_owned())
            }
            ConsoleError::Failure(failure) => failure_said(t, failure),
            ConsoleError::Webhook(error) => webhook_said(t, error),
            ConsoleError::NotKept => {
                plain(StatusCode::NOT_IMPLEMENTED, t.not_kept(), t.not_kept_hint())
            }
            ConsoleError::Busy => plain(StatusCode::TOO_MANY_REQUESTS, t.too_many(), t.try_later()),
            ConsoleError::Broken => {
                plain(StatusCode::INTERNAL_SERVER_ERROR, t.broken(), t.see_log())
            }
        }
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
        let (status, what, next) = self.said(PageTexts::new(Lang::En));
        let mut response = (status, format!("{what}\n{next}\n")).into_response();
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl IntoResponse for ConsoleError {
    /// The guard writes the page: it knows the language.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<Failure> for ConsoleError {
    fn from(failure: Failure) -> ConsoleError {
        match failure {
            Failure::Invalid(faults) => ConsoleError::Fields(faults),
            other => ConsoleError::Failure(other),
        }
    }
}

impl From<WebhookError> for ConsoleError {
    fn from(error: WebhookError) -> ConsoleError {
        ConsoleError::Webhook(error)
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    d: &'a PageContext,
    status: u16,
    what: String,
    next: String,
}

/// The faults of fields: in English as the engine has them, with the names that forms use.
pub(crate) fn faults_said(t: PageTexts, faults: &[FieldFault]) -> String {
    let said = faults.iter().map(|fault| {
        t.field_is_wrong(IsolatedText(t.field(&fault.field)), IsolatedText(&fault.detail))
    });
    said.collect::<Vec<_>>().join(" ")
}

fn webhook_said(t: PageTexts, error: &WebhookError) -> (StatusCode, String, String) {
    let (status, what, next) = match error {
        WebhookError::NotFound | WebhookError::NoDelivery => {
            (StatusCode::NOT_FOUND, t.webhook_said(IsolatedText(error)), t.go_back())
        }
        WebhookError::Store(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, t.store_unavailable().to_owned(), t.try_later())
        }
        WebhookError::Unknown(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, t.outcome_unknown().to_owned(), t.send_again())
        }
        _ => (StatusCode::CONFLICT, t.webhook_said(IsolatedText(error)), t.go_back()),
    };
    (status, what, next.to_owned())
}

fn failure_said(t: PageTexts, failure: &Failure) -> (StatusCode, String, String) {
    let (status, what, next) = match failure {
        Failure::Refused { refusal: Refusal::NotFound, .. } => {
            (StatusCode::NOT_FOUND, t.refusal(Refusal::NotFound).to_owned(), t.search_instead())
        }
        Failure::Refused { refusal, .. } => {
            (StatusCode::CONFLICT, t.refusal(*refusal).to_owned(), t.nothing_changed())
        }
        Failure::Invalid(faults) => {
            (StatusCode::UNPROCESSABLE_ENTITY, faults_said(t, faults), t.go_back())
        }
        Failure::Forbidden(_) => {
            (StatusCode::FORBIDDEN, t.role_may_not().to_owned(), t.ask_an_admin())
        }
        Failure::BadFile(BadFile::Kind(why) | BadFile::Header(why)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, t.bad_file(IsolatedText(why)), t.nothing_changed())
        }
        Failure::BrokenOff(_) => {
            (StatusCode::BAD_REQUEST, t.upload_broke_off().to_owned(), t.send_file_again())
        }
        Failure::LoginTaken => {
            (StatusCode::CONFLICT, t.refusal(Refusal::NameTaken).to_owned(), t.go_back())
        }
        Failure::OtherTag => {
            (StatusCode::CONFLICT, t.changed_meanwhile().to_owned(), t.open_form_again())
        }
        Failure::NoCodeKey => {
            (StatusCode::CONFLICT, t.no_code_key().to_owned(), t.ask_an_operator())
        }
        Failure::ImportStopped(stopped) => {
            let counts = stopped.counts;
            let what = t.import_stopped(t.number(counts.imported), t.number(counts.rejected));
            (StatusCode::SERVICE_UNAVAILABLE, what, t.send_file_again())
        }
        Failure::Store(error) => {
            let (what, next) = match error {
                HotError::Unavailable(_) | HotError::Overloaded { .. } => {
                    (t.store_unavailable(), t.try_later())
                }
                HotError::Full(_) => (t.store_full(), t.ask_an_operator()),
                HotError::Unknown(_) => (t.outcome_unknown(), t.send_again()),
                HotError::Cold(_) => (t.cold_unavailable(), t.try_later()),
                HotError::Damaged(_) => (t.store_damaged(), t.ask_an_operator()),
            };
            (StatusCode::SERVICE_UNAVAILABLE, what.to_owned(), next)
        }
    };
    (status, what, next.to_owned())
}

impl PageTexts {
    pub(crate) fn refusal(self, refusal: Refusal) -> &'static str {
        refusal.sentence(self.lang())
    }

    /// A problem code of the API as a sentence; the code itself if it is none of a coupon.
    pub(crate) fn problem(self, code: &str) -> &str {
        let text = self.problem_of_caller(code).or_else(|| sentence_of(code, self.lang()));
        text.unwrap_or(code)
    }
}
