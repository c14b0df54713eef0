//! The JSON of a problem.

use coupon::calendar::format_instant;
use engine::Fault;
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use crate::closed;
use crate::views::CouponBody;

/// Every answer that is not 2xx (RFC 9457). Decide by `code` and `retry`; the texts are for people
/// and may change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The page of this server about the code.
    r#type: String,
    /// The same short sentence for every problem of this code.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong, for programs.
    #[schema(value_type = closed::ProblemCode)]
    code: &'static str,
    /// What went wrong this time, for people.
    detail: String,
    /// What to do about it, where one sentence helps everybody.
    hint: Option<&'static str>,
    /// What to do with the request.
    #[schema(value_type = closed::Retry)]
    retry: &'static str,
    /// When the same request may succeed, where that is known.
    retry_at: Option<String>,
    /// The coupon, where the caller may see it.
    coupon: Option<Box<CouponBody>>,
    /// The fields that cannot be used, with `INVALID`; null with every other code.
    errors: Option<Vec<ErrorBody>>,
    /// Names this request in the log of the server. The header `x-request-id` has it as well.
    request_id: String,
}

impl Problem {
    /// The document, once the request has its id.
    pub(crate) fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            r#type: format!("/docs/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status(),
            code: self.code.as_str(),
            detail: self.detail.clone(),
            hint: self.code.hint(),
            retry: self.code.retry().as_str(),
            retry_at: self.retry_at.map(format_instant),
            coupon: self.coupon.clone(),
            errors: (!self.errors.is_empty())
                .then(|| self.errors.iter().map(ErrorBody::from).collect()),
            request_id: request_id.to_owned(),
        }
    }
}

/// A field that cannot be used.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FieldError)]
pub struct ErrorBody {
    /// Its name, with the path to it.
    field: String,
    /// What the request has there, and what the field takes.
    detail: String,
}

impl From<&Fault> for ErrorBody {
    fn from(fault: &Fault) -> ErrorBody {
        ErrorBody { field: fault.field.clone(), detail: fault.detail.clone() }
    }
}
