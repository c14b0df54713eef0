//! Trouble: why a page is not there, and what people read then.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coupon::refusal::{Refusal, sentence_of};
use engine::{BadFile, Failure, Fault, HotError};
use webhooks::WebhookError;

use crate::desk::Desk;
use crate::fields::Fields;
use crate::text::{Lang, Said, Texts};

#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody is signed in; the form that was sent, if one was.
    SignedOut(Option<Fields>),
    Forbidden,
    /// Another site has sent the form.
    Foreign,
    TooLong,
    TooSlow,
    NotFound,
    Fields(Vec<Fault>),
    Failure(Failure),
    Webhook(WebhookError),
    /// This store does not keep what the page shows.
    NotKept,
    Busy,
    /// A mistake of ours; the log has it.
    Broken,
}

impl Trouble {
    pub(crate) fn field(name: &str, detail: impl Into<String>) -> Trouble {
        Trouble::Fields(vec![Fault::new(name, detail)])
    }

    /// The status, what happened, and what to do.
    fn said(&self, t: Texts) -> (StatusCode, String, String) {
        let plain = |status, what: &str, next: &str| (status, what.to_owned(), next.to_owned());
        match self {
            Trouble::SignedOut(_) => plain(StatusCode::UNAUTHORIZED, t.signed_out(), ""),
            Trouble::Forbidden => plain(StatusCode::FORBIDDEN, t.role_may_not(), t.ask_an_admin()),
            Trouble::Foreign => plain(StatusCode::FORBIDDEN, t.form_is_foreign(), t.open_again()),
            Trouble::TooLong => {
                plain(StatusCode::PAYLOAD_TOO_LARGE, t.form_too_long(), t.go_back())
            }
            Trouble::TooSlow => plain(StatusCode::REQUEST_TIMEOUT, t.form_too_slow(), t.go_back()),
            Trouble::NotFound => plain(StatusCode::NOT_FOUND, t.no_such_page(), t.search_instead()),
            Trouble::Fields(faults) => {
                (StatusCode::UNPROCESSABLE_ENTITY, faults_said(t, faults), t.go_back().to_owned())
            }
            Trouble::Failure(failure) => failure_said(t, failure),
            Trouble::Webhook(error) => webhook_said(t, error),
            Trouble::NotKept => plain(StatusCode::NOT_IMPLEMENTED, t.not_kept(), t.not_kept_hint()),
            Trouble::Busy => plain(StatusCode::TOO_MANY_REQUESTS, t.too_many(), t.try_later()),
            Trouble::Broken => plain(StatusCode::INTERNAL_SERVER_ERROR, t.broken(), t.see_log()),
        }
    }

    pub(crate) fn page(&self, desk: &Desk) -> Response {
        let (status, what, next) = self.said(desk.t);
        if status.is_server_error() {
            // Without the query, which may have a one-time link or a name.
            let path = desk.path_alone();
            tracing::error!(trouble = ?self, path, "the console cannot show a page");
        }
        let page = TroublePage { d: desk, t: desk.t, status: status.as_u16(), what, next };
        match desk.page(&page) {
            Ok(mut response) => {
                *response.status_mut() = status;
                response
            }
            Err(_) => status.into_response(),
        }
    }

    /// A page where not even the list of people could be read.
    pub(crate) fn without_desk(&self) -> Response {
        tracing::error!(trouble = ?self, "the console cannot read who is signed in");
        let (status, what, next) = self.said(Texts::new(Lang::En));
        let mut response = (status, format!("{what}\n{next}\n")).into_response();
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl IntoResponse for Trouble {
    /// The guard writes the page: it knows the language.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        match failure {
            Failure::Invalid(faults) => Trouble::Fields(faults),
            other => Trouble::Failure(other),
        }
    }
}

impl From<WebhookError> for Trouble {
    fn from(error: WebhookError) -> Trouble {
        Trouble::Webhook(error)
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    d: &'a Desk,
    t: Texts,
    status: u16,
    what: String,
    next: String,
}

/// The faults of fields: in English as the engine has them, with the names that forms use.
pub(crate) fn faults_said(t: Texts, faults: &[Fault]) -> String {
    let said = faults
        .iter()
        .map(|fault| t.field_is_wrong(Said(t.field(&fault.field)), Said(&fault.detail)));
    said.collect::<Vec<_>>().join(" ")
}

fn webhook_said(t: Texts, error: &WebhookError) -> (StatusCode, String, String) {
    let (status, what, next) = match error {
        WebhookError::NotFound | WebhookError::NoDelivery => {
            (StatusCode::NOT_FOUND, t.webhook_said(Said(error)), t.go_back())
        }
        WebhookError::Store(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, t.store_unavailable().to_owned(), t.try_later())
        }
        WebhookError::Unknown(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, t.outcome_unknown().to_owned(), t.send_again())
        }
        _ => (StatusCode::CONFLICT, t.webhook_said(Said(error)), t.go_back()),
    };
    (status, what, next.to_owned())
}

fn failure_said(t: Texts, failure: &Failure) -> (StatusCode, String, String) {
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
            (StatusCode::UNPROCESSABLE_ENTITY, t.bad_file(Said(why)), t.nothing_changed())
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

impl Texts {
    pub(crate) fn refusal(self, refusal: Refusal) -> &'static str {
        refusal.sentence(self.lang())
    }

    /// A problem code of the API as a sentence; the code itself if it is none of a coupon.
    pub(crate) fn problem(self, code: &str) -> String {
        let text = match code {
            "INVALID" => self.problem_invalid(),
            "UNAUTHENTICATED" => self.problem_unauthenticated(),
            "FORBIDDEN" => self.problem_forbidden(),
            other => sentence_of(other, self.lang()).unwrap_or(other),
        };
        text.to_owned()
    }
}
