//! Problems: every answer that is not 2xx. What each code means is in one table, [`crate::problem_code`].
//!
//! A handler ends in `Err(Problem)`. The outermost layer (see [`crate::around`]) writes it out,
//! since only there the request's id is known.

mod body;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coupon::language::Lang;
use coupon::refusal::{Refusal, sentence_of};
use engine::{BadFile, Failure, FieldFault, HotError};

pub use self::body::{ErrorBody, ProblemBody, RefusedCouponBody};

use crate::problem_code::ApiErrorCode;
use crate::views::CouponBody;

/// What the answer says of a fault of this server.
pub(crate) const SEE_LOG: &str = "see the log of the server";

/// The cause of [`ApiErrorCode::Internal`] where nothing can be minted.
pub const NO_CODE_KEY: &str = "there is no code key to mint with";

/// Why this server is at fault, among the extensions of an answer. HTTP does not carry it; a program that asks the
/// service in its own process is the operator's.
#[derive(Clone, Debug)]
pub struct FailureCause(pub Box<str>);

pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// How much of the English detail there is in Korean.
#[derive(Clone, Copy, Debug)]
enum InKorean {
    /// All: it is the sentence of the refusal, or the title of the code.
    Sentence,
    /// The title, behind which the detail stands as it is.
    SentenceAndDetail,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "it is kept in a box")]
enum ProblemSubject {
    Coupon(CouponBody),
    /// The coupons of an order that were refused, by their codes as the caller wrote them.
    Order(Vec<(String, Refusal)>),
}

#[derive(Clone, Debug)]
pub struct Problem {
    code: ApiErrorCode,
    detail: Box<str>,
    in_korean: InKorean,
    refusal: Option<Refusal>,
    retry_after: Option<Duration>,
    subject: Option<Box<ProblemSubject>>,
    next_cursor: Option<Box<str>>,
    errors: Box<[FieldFault]>,
    cause: Option<Box<str>>,
}

impl Problem {
    /// A problem with one sentence about this case.
    pub fn new(code: ApiErrorCode, detail: impl Into<String>) -> Problem {
        Problem {
            code,
            detail: detail.into().into(),
            in_korean: InKorean::SentenceAndDetail,
            refusal: None,
            retry_after: code.retry_after().map(Duration::from_secs),
            subject: None,
            next_cursor: None,
            errors: Box::default(),
            cause: None,
        }
    }

    /// A problem of this server. The log line of the request has the cause; the answer has not,
    /// because folders and addresses are the operator's business.
    pub(crate) fn caused(
        code: ApiErrorCode,
        detail: &str,
        cause: &(impl Error + ?Sized),
    ) -> Problem {
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(source) = next {
            // Some errors repeat in their own words what their source says.
            let said = source.to_string();
            if !chain.ends_with(&said) {
                chain = format!("{chain}: {said}");
            }
            next = source.source();
        }
        Problem { cause: Some(chain.into()), ..Problem::new(code, detail) }
    }

    pub fn invalid(errors: Vec<FieldFault>) -> Problem {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}", one.field, one.detail),
            many => format!("{} fields cannot be used", many.len()),
        };
        Problem { errors: errors.into(), ..Problem::new(ApiErrorCode::Invalid, detail) }
    }

    /// One field that cannot be used.
    pub fn of_field(field: &str, detail: impl Into<String>) -> Problem {
        Problem::invalid(vec![FieldFault::new(field, detail)])
    }

    /// Too many attempts; the next may be made after `wait_ms`.
    pub fn too_many(detail: &str, wait_ms: i64) -> Problem {
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        Problem { retry_after: Some(wait), ..Problem::new(ApiErrorCode::TooMany, detail) }
    }

    pub(crate) fn cursor_gone(detail: &str, go_on: String) -> Problem {
        Problem {
            next_cursor: Some(go_on.into()),
            ..Problem::new(ApiErrorCode::CursorGone, detail)
        }
    }

    pub(crate) fn not_kept(why: &str) -> Problem {
        Problem::new(ApiErrorCode::NotKept, why)
    }

    fn in_a_sentence(self) -> Problem {
        Problem { in_korean: InKorean::Sentence, ..self }
    }

    pub fn code(&self) -> ApiErrorCode {
        self.code
    }

    /// The campaign of the coupon that it is about, if the caller may see it.
    pub(crate) fn campaign_id(&self) -> Option<&str> {
        self.coupon().map(|it| it.campaign_id.as_str())
    }

    /// The same with another sentence about this case.
    pub(crate) fn about(self, detail: &str) -> Problem {
        Problem { detail: detail.into(), in_korean: InKorean::SentenceAndDetail, ..self }
    }

    /// What went wrong this time. Values of requests, and what only developers read, stay English.
    fn detail_in(&self, lang: Lang) -> String {
        let title = self.code.title_in(lang);
        match (lang, self.in_korean) {
            (Lang::En, _) => self.detail.to_string(),
            (Lang::Ko, InKorean::Sentence) => {
                sentence_of(self.code.as_str(), lang).unwrap_or(title).to_owned()
            }
            (Lang::Ko, _) if self.errors.len() > 1 => {
                format!("{}개 항목을 사용할 수 없습니다.", self.errors.len())
            }
            (Lang::Ko, _) if &*self.detail == SEE_LOG => {
                "서버 로그에서 원인을 확인하세요.".to_owned()
            }
            (Lang::Ko, InKorean::SentenceAndDetail) => format!("{title} ({})", self.detail),
        }
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Why each coupon of an order was refused that was.
    pub(crate) fn refused_coupons(&self) -> &[(String, Refusal)] {
        match self.subject.as_deref() {
            Some(ProblemSubject::Order(refused)) => refused,
            Some(ProblemSubject::Coupon(_)) | None => &[],
        }
    }

    fn coupon(&self) -> Option<&CouponBody> {
        match self.subject.as_deref() {
            Some(ProblemSubject::Coupon(coupon)) => Some(coupon),
            Some(ProblemSubject::Order(_)) | None => None,
        }
    }

    pub fn faults(&self) -> &[FieldFault] {
        &self.errors
    }

    pub(crate) fn headers(&self, lang: Lang, headers: &mut HeaderMap) {
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(lang.tag()));
        // A cache must not give one caller the words of another.
        headers.append(header::VARY, HeaderValue::from_static("accept-language"));
        if let Some(wait) = self.retry_after {
            let seconds = u64::max(1, wait.as_millis().div_ceil(1000) as u64);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == ApiErrorCode::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match failure {
            Failure::Refused { refusal, coupon } => Problem {
                refusal: Some(refusal),
                subject: coupon
                    .map(|view| Box::new(ProblemSubject::Coupon(CouponBody::from(&*view)))),
                ..Problem::new(refusal.into(), refusal.to_string()).in_a_sentence()
            },
            Failure::OrderRefused(refused) => {
                let detail = Failure::sentence_of_order(&refused);
                let subject = Some(Box::new(ProblemSubject::Order(refused)));
                Problem { subject, ..Problem::new(ApiErrorCode::OrderRefused, detail) }
            }
            Failure::Invalid(faults) => Problem::invalid(faults),
            Failure::Forbidden(detail) => Problem::new(ApiErrorCode::Forbidden, detail),
            Failure::BadFile(BadFile::Kind(why)) => {
                Problem::new(ApiErrorCode::UnsupportedMediaType, why)
            }
            Failure::BadFile(BadFile::Header(why)) => {
                Problem::new(ApiErrorCode::Unprocessable, why)
            }
            Failure::BrokenOff(why) => Problem::new(ApiErrorCode::Timeout, why),
            Failure::LoginTaken => {
                let why = "this login_id already has an account";
                Problem::new(ApiErrorCode::LoginTaken, why).in_a_sentence()
            }
            Failure::OtherTag => {
                let why = "the campaign has another ETag than If-Match wants";
                Problem::new(ApiErrorCode::PreconditionFailed, why).in_a_sentence()
            }
            Failure::NoCodeKey => {
                let cause = std::io::Error::other(NO_CODE_KEY);
                Problem::caused(ApiErrorCode::Internal, SEE_LOG, &cause)
            }
            Failure::Store(error) => error.into(),
            Failure::ImportStopped(stopped) => {
                let done = stopped.sentence();
                let problem = Problem::from(stopped.error);
                let detail = format!("{}; {done}", problem.detail);
                problem.about(&detail)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Failure::Refused { refusal, coupon: None }.into()
    }
}

impl From<HotError> for Problem {
    fn from(error: HotError) -> Problem {
        let (code, detail) = match &error {
            HotError::Overloaded { waiting } => {
                let detail = format!("{waiting} writes already wait");
                return Problem::new(ApiErrorCode::Overloaded, detail);
            }
            HotError::Unavailable(_) => {
                (ApiErrorCode::StoreUnavailable, "the store did not answer in time")
            }
            HotError::Full(_) => {
                (ApiErrorCode::StoreFull, "the store's disk is full, nearly full or read-only")
            }
            HotError::Unknown(_) => {
                (ApiErrorCode::OutcomeUnknown, "the store did not say whether it happened")
            }
            HotError::Cold(_) => (ApiErrorCode::ColdUnavailable, "the archive did not answer"),
            HotError::Damaged(_) => {
                (ApiErrorCode::StoreDamaged, "the data in the store is damaged")
            }
        };
        Problem::caused(code, detail, &error).in_a_sentence()
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to the layer that knows the request's id.
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
