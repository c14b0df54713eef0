//! Problems: every answer that is not 2xx, in one table.
//!
//! A handler ends in `Err(Problem)`. The outermost layer (see [`crate::app`]) writes it out, since
//! only there the request's id is known.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coupon::calendar::format_instant;
use coupon::refusal::{Refusal, Retry};
use coupon::time::Millis;
use engine::{BadFile, Failure, Fault, HotError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::views::CouponBody;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $word:literal $status:literal $retry:ident $title:literal)*) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name),*
        }

        impl Code {
            /// All of them, in the order of the documents.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $word),* }
            }

            /// The status it goes with.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status),* }
            }

            /// What may be done next.
            pub fn retry(self) -> Retry {
                match self { $(Code::$name => Retry::$retry),* }
            }

            /// The same short sentence every time.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }
        }
    };
}

codes! {
    /// The request makes no sense.
    Invalid "INVALID" 400 Never "The request is not valid"
    /// No valid token.
    Unauthenticated "UNAUTHENTICATED" 401 Never "A valid token is needed"
    /// The role is too small.
    Forbidden "FORBIDDEN" 403 Never "The token's role may not do this"
    /// Nothing here, or nothing that the caller may know of.
    NotFound "NOT_FOUND" 404 Never "There is no such thing"
    /// The path has no such method.
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 Never "The path does not take this method"
    /// The body did not come in time, or a query took longer than it may.
    Timeout "TIMEOUT" 408 Same "The request took too long"
    /// See [`Refusal::AlreadyRedeemed`].
    AlreadyRedeemed "ALREADY_REDEEMED" 409 Never "The coupon has been redeemed"
    /// See [`Refusal::AlreadyIssued`].
    AlreadyIssued "ALREADY_ISSUED" 409 Never "The coupon has been issued to somebody else"
    /// See [`Refusal::NotIssued`].
    NotIssued "NOT_ISSUED" 409 Never "The coupon has not been issued"
    /// See [`Refusal::Expired`].
    Expired "EXPIRED" 409 Never "The coupon has expired"
    /// See [`Refusal::Voided`].
    Voided "VOIDED" 409 Never "The coupon is void"
    /// See [`Refusal::SoldOut`].
    SoldOut "SOLD_OUT" 409 Never "The campaign is sold out"
    /// See [`Refusal::LimitPerUser`].
    LimitPerUser "LIMIT_PER_USER" 409 Never "The user has as many coupons as the campaign allows"
    /// See [`Refusal::CancelClosed`].
    CancelClosed "CANCEL_CLOSED" 409 Never "The redemption can no longer be cancelled"
    /// See [`Refusal::RedemptionCancelled`].
    RedemptionCancelled "REDEMPTION_CANCELLED" 409 Never "This order's redemption was cancelled"
    /// See [`Refusal::NotRedeemed`].
    NotRedeemed "NOT_REDEEMED" 409 Never "The coupon is not redeemed by this order"
    /// See [`Refusal::NotLater`].
    NotLater "NOT_LATER" 409 Never "The new expiry is not later"
    /// See [`Refusal::ExpiryDayClosed`].
    ExpiryDayClosed "EXPIRY_DAY_CLOSED" 409 Never "It is too late to change this coupon"
    /// See [`Refusal::VersionConflict`].
    VersionConflict "VERSION_CONFLICT" 409 Never "The coupon has changed since"
    /// See [`Refusal::HistoryFull`].
    HistoryFull "HISTORY_FULL" 409 Never "The history is full"
    /// See [`Refusal::NotIssuable`].
    NotIssuable "NOT_ISSUABLE" 409 Never "These coupons are not issued by this call"
    /// See [`Refusal::NameTaken`].
    NameTaken "NAME_TAKEN" 409 Never "The name stands for something else"
    /// The login stands for somebody.
    LoginTaken "LOGIN_TAKEN" 409 Never "The login is taken"
    /// See [`Refusal::Held`].
    Held "HELD" 409 Later "The coupon is held for another order"
    /// See [`Refusal::NotStarted`].
    NotStarted "NOT_STARTED" 409 Later "The coupon is not valid yet"
    /// See [`Refusal::IssueClosed`].
    IssueClosed "ISSUE_CLOSED" 409 Later "The campaign issues no coupons now"
    /// See [`Refusal::Paused`].
    Paused "PAUSED" 409 Later "The campaign or the batch is paused"
    /// The body is too long.
    TooLarge "TOO_LARGE" 413 Never "The body is too large"
    /// The body is of another kind.
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" 415 Never "The body is of the wrong kind"
    /// A file whose header cannot be used.
    Unprocessable "UNPROCESSABLE" 422 Never "The file's header cannot be used"
    /// Too many wrong codes, or sign-ins.
    TooMany "TOO_MANY" 429 Later "Too many attempts"
    /// A fault of ours.
    Internal "INTERNAL" 500 Same "Something went wrong here"
    /// Too many writes wait.
    Overloaded "OVERLOADED" 503 Later "Too many requests are waiting"
    /// The disk does not take writes.
    StoreFull "STORE_FULL" 503 Later "The store cannot be written"
    /// The store does not answer.
    StoreUnavailable "STORE_UNAVAILABLE" 503 Later "The store is unavailable"
    /// What stands in the store cannot be true.
    StoreDamaged "STORE_DAMAGED" 503 Later "The store is damaged where this coupon stands"
    /// What is asked for was archived, and the archive does not answer.
    ColdUnavailable "COLD_UNAVAILABLE" 503 Later "The archive is unavailable"
    /// It may have happened.
    OutcomeUnknown "OUTCOME_UNKNOWN" 503 Same "It is not known whether it happened"
}

impl From<Refusal> for Code {
    fn from(refusal: Refusal) -> Code {
        match refusal {
            Refusal::NotFound => Code::NotFound,
            Refusal::NotIssued => Code::NotIssued,
            Refusal::AlreadyIssued => Code::AlreadyIssued,
            Refusal::AlreadyRedeemed => Code::AlreadyRedeemed,
            Refusal::RedemptionCancelled => Code::RedemptionCancelled,
            Refusal::NotRedeemed => Code::NotRedeemed,
            Refusal::CancelClosed => Code::CancelClosed,
            Refusal::Voided => Code::Voided,
            Refusal::Held { .. } => Code::Held,
            Refusal::NotStarted { .. } => Code::NotStarted,
            Refusal::Expired => Code::Expired,
            Refusal::Paused => Code::Paused,
            Refusal::IssueClosed { .. } => Code::IssueClosed,
            Refusal::NotLater => Code::NotLater,
            Refusal::ExpiryDayClosed => Code::ExpiryDayClosed,
            Refusal::VersionConflict => Code::VersionConflict,
            Refusal::HistoryFull => Code::HistoryFull,
            Refusal::SoldOut => Code::SoldOut,
            Refusal::LimitPerUser => Code::LimitPerUser,
            Refusal::NotIssuable => Code::NotIssuable,
            Refusal::NameTaken => Code::NameTaken,
        }
    }
}

/// An answer that is not 2xx.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    hint: Option<&'static str>,
    retry_at: Option<Millis>,
    retry_after: Option<Duration>,
    coupon: Option<Box<CouponBody>>,
    errors: Vec<Fault>,
}

impl Problem {
    /// A problem with one sentence about this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        let retry_after = match code {
            Code::Overloaded => Some(Duration::from_secs(1)),
            Code::StoreUnavailable | Code::OutcomeUnknown => Some(Duration::from_secs(2)),
            // Somebody has to look after it.
            Code::ColdUnavailable | Code::StoreDamaged => Some(Duration::from_secs(30)),
            Code::StoreFull => Some(Duration::from_secs(30)),
            _ => None,
        };
        Problem {
            code,
            detail: detail.into(),
            hint: hint(code),
            retry_at: None,
            retry_after,
            coupon: None,
            errors: Vec::new(),
        }
    }

    /// Fields that cannot be used.
    pub fn invalid(errors: Vec<Fault>) -> Problem {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}", one.field, one.detail),
            many => format!("{} fields cannot be used", many.len()),
        };
        Problem { errors, ..Problem::new(Code::Invalid, detail) }
    }

    /// Too many attempts; the next may be made after `wait_ms`.
    pub fn too_many(detail: &str, wait_ms: i64) -> Problem {
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        Problem { retry_after: Some(wait), ..Problem::new(Code::TooMany, detail) }
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The same with another sentence about this case.
    pub(crate) fn about(self, detail: &str) -> Problem {
        Problem { detail: detail.to_owned(), ..self }
    }

    /// The fields that cannot be used.
    pub fn faults(&self) -> &[Fault] {
        &self.errors
    }

    /// The document, once the request has its id.
    pub(crate) fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            r#type: format!("/docs/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status(),
            code: self.code.as_str(),
            detail: self.detail.clone(),
            hint: self.hint,
            retry: self.code.retry().as_str(),
            retry_at: self.retry_at.map(format_instant),
            coupon: self.coupon.clone(),
            errors: (!self.errors.is_empty())
                .then(|| self.errors.iter().map(ErrorBody::from).collect()),
            request_id: request_id.to_owned(),
        }
    }

    /// What stands in the headers beside the document.
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(wait) = self.retry_after {
            let seconds = u64::max(1, wait.as_millis().div_ceil(1000) as u64);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

/// What to do about it, where one sentence helps everybody.
fn hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Unauthenticated => {
            "send `Authorization: Bearer TOKEN`; `couponry token --role admin` prints one"
        }
        Code::Held => "the hold lapses at retry_at; a shop or an admin can release it before",
        Code::RedemptionCancelled => "name the next attempt to pay anew, for instance 991-2",
        Code::ExpiryDayClosed => "issue a replacement with issue_ref replaces:CODE",
        Code::NotIssuable => "bearer codes are printed and given out; see GET …/codes",
        Code::LimitPerUser => {
            "an admin can raise per_user_limit, or revoke one of the user's coupons"
        }
        Code::OutcomeUnknown => {
            "send exactly the same request again; the answer says what happened"
        }
        Code::StoreFull => "free some space; writes are taken again without a restart",
        Code::TooMany => "wait as long as Retry-After says",
        Code::Unprocessable => "name the columns in the first line, or leave the header out",
        _ => return None,
    })
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match failure {
            Failure::Refused { refusal, coupon } => Problem {
                retry_at: refusal.retry_at(),
                coupon: coupon.map(|view| Box::new(CouponBody::from(&*view))),
                ..Problem::new(refusal.into(), refusal.to_string())
            },
            Failure::Invalid(faults) => Problem::invalid(faults),
            Failure::Forbidden(detail) => Problem::new(Code::Forbidden, detail),
            Failure::BadFile(BadFile::Kind(why)) => Problem::new(Code::UnsupportedMediaType, why),
            Failure::BadFile(BadFile::Header(why)) => Problem::new(Code::Unprocessable, why),
            Failure::BrokenOff(why) => Problem::new(Code::Timeout, why),
            Failure::LoginTaken => {
                Problem::new(Code::LoginTaken, "somebody has an account under this login_id")
            }
            Failure::NoCodeKey => {
                tracing::error!("there is no code key to mint with");
                Problem::new(Code::Internal, "see the log of the server")
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

impl From<HotError> for Problem {
    /// Outages are logged here, once: the handler has nothing to add.
    fn from(error: HotError) -> Problem {
        let code = match &error {
            HotError::Unavailable(_) => Code::StoreUnavailable,
            HotError::Overloaded { .. } => Code::Overloaded,
            HotError::Full(_) => Code::StoreFull,
            HotError::Unknown(_) => Code::OutcomeUnknown,
            HotError::Cold(_) => Code::ColdUnavailable,
            HotError::Damaged(_) => Code::StoreDamaged,
        };
        match code {
            Code::Overloaded => tracing::warn!(error = %error, "a write was turned away"),
            _ => tracing::error!(error = %error, "the hot store did not answer"),
        }
        // Folders and files are the operator's business: the log has them.
        let detail = match error {
            HotError::Overloaded { waiting } => format!("{waiting} writes are waiting already"),
            HotError::Unavailable(_) => "the store did not take it in time".to_owned(),
            HotError::Full(_) => "the store's disk is full, nearly full or read-only".to_owned(),
            HotError::Unknown(_) => "its commit has not ended".to_owned(),
            HotError::Cold(_) => "what it is about was archived".to_owned(),
            HotError::Damaged(_) => "what stands there cannot be true".to_owned(),
        };
        Problem::new(code, detail)
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

/// Every answer that is not 2xx (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A page of this server about the code.
    #[schema(example = "/docs/problems/HELD")]
    r#type: String,
    /// The same short sentence for every problem of this code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong, for programs.
    #[schema(example = "HELD")]
    code: &'static str,
    /// What went wrong this time, for people.
    detail: String,
    /// What to do about it.
    #[schema(required)]
    hint: Option<&'static str>,
    /// `never`, `later` or `same`.
    #[schema(example = "later")]
    retry: &'static str,
    /// When the same request may succeed, where that is known.
    #[schema(required, format = DateTime)]
    retry_at: Option<String>,
    /// The coupon, where the caller may see it.
    #[schema(required)]
    coupon: Option<Box<CouponBody>>,
    /// Fields that cannot be used, with INVALID.
    #[schema(required)]
    errors: Option<Vec<ErrorBody>>,
    /// Names this request in the log; also in the header `x-request-id`.
    request_id: String,
}

/// A field that cannot be used.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FieldError)]
pub struct ErrorBody {
    /// The field.
    field: String,
    /// What was found and what is wanted.
    detail: String,
}

impl From<&Fault> for ErrorBody {
    fn from(fault: &Fault) -> ErrorBody {
        ErrorBody { field: fault.field.clone(), detail: fault.detail.clone() }
    }
}
