//! The JSON of a problem.

use coupon::calendar::format_instant;
use coupon::language::Lang;
use coupon::refusal::Refusal;
use engine::FieldFault;
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use crate::closed;
use crate::problem_code::{ApiErrorCode, missing_amount};
use crate::views::CouponBody;

/// Every answer that is not 2xx (RFC 9457), except the 503 of `/readyz`. Decide by `code` and
/// `retry`; the texts are for people and may change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The path of this server's page about the code.
    r#type: String,
    /// The same short sentence for every problem of this code: in Korean if `Accept-Language` prefers it, else in
    /// English, as `detail` and `hint` are.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong, for programs.
    #[schema(value_type = closed::ProblemCode)]
    code: &'static str,
    /// What went wrong this time, for people. In Korean too, `errors` and values of the request stay English.
    detail: String,
    /// What to do, if one sentence fits every problem of this code; otherwise null.
    hint: Option<&'static str>,
    /// Whether to send the request again.
    #[schema(value_type = closed::Retry)]
    retry: &'static str,
    /// When the same request may succeed; null if the server does not know it.
    retry_at: Option<String>,
    /// The least order of the coupon, if the code is `ORDER_TOO_SMALL`; otherwise null.
    min_order: Option<u64>,
    /// How much more the order must cost, if the code is `ORDER_TOO_SMALL`; otherwise null.
    missing: Option<u64>,
    /// The discount that the coupon gives, or the most that it can be, if the code is `DISCOUNT_MISMATCH`; otherwise
    /// null.
    discount: Option<u64>,
    /// The coupon; null if there is none, or if the caller may not see it.
    coupon: Option<Box<CouponBody>>,
    /// The cursor to go on from, if the code is `CURSOR_GONE`; otherwise null.
    next_cursor: Option<String>,
    /// The wrong fields, if the code is `INVALID`; otherwise null.
    errors: Option<Vec<ErrorBody>>,
    /// The coupons that were refused, if the code is `ORDER_REFUSED`; otherwise null.
    #[schema(max_items = 20)]
    coupons: Option<Vec<RefusedCouponBody>>,
    /// Names this request in the log of the server. The header `x-request-id` has it as well.
    request_id: String,
}

impl Problem {
    pub(crate) fn body(&self, lang: Lang, request_id: &str) -> ProblemBody {
        let (min_order, missing, discount) = match self.refusal {
            Some(Refusal::OrderTooSmall { min_order, missing }) => {
                (Some(min_order), Some(missing), None)
            }
            Some(Refusal::DiscountMismatch { discount }) => (None, None, Some(discount)),
            _ => (None, None, None),
        };
        ProblemBody {
            r#type: format!("/docs/problems/{}", self.code.as_str()),
            title: self.code.title_in(lang),
            status: self.code.status(),
            code: self.code.as_str(),
            detail: self.detail_in(lang),
            hint: self.code.hint_in(lang),
            retry: self.code.retry().as_str(),
            retry_at: self.refusal.and_then(Refusal::retry_at).map(format_instant),
            min_order,
            missing,
            discount,
            coupon: self.coupon().cloned().map(Box::new),
            next_cursor: self.next_cursor.as_deref().map(str::to_owned),
            errors: (!self.errors.is_empty())
                .then(|| self.errors.iter().map(ErrorBody::from).collect()),
            coupons: (!self.refused_coupons().is_empty()).then(|| {
                self.refused_coupons().iter().map(|it| RefusedCouponBody::of(it, lang)).collect()
            }),
            request_id: request_id.to_owned(),
        }
    }
}

/// A coupon of an order that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RefusedCoupon)]
pub struct RefusedCouponBody {
    /// The code, as the request has it.
    #[schema(min_length = 0, max_length = 128, pattern = ".*")]
    code: String,
    /// The problem code that the call about this coupon alone would return.
    #[schema(value_type = closed::Refusal)]
    problem: &'static str,
    /// Why it was refused, in the language of the problem's title.
    title: &'static str,
    /// How much more the order must cost, if `problem` is `ORDER_TOO_SMALL`; otherwise null.
    missing: Option<u64>,
}

impl RefusedCouponBody {
    fn of((code, refusal): &(String, Refusal), lang: Lang) -> RefusedCouponBody {
        let problem = ApiErrorCode::from(*refusal);
        RefusedCouponBody {
            code: code.clone(),
            problem: problem.as_str(),
            title: problem.title_in(lang),
            missing: missing_amount(*refusal),
        }
    }
}

/// A field that is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FieldError)]
pub struct ErrorBody {
    /// The name of the field, with its path.
    field: String,
    /// The value in the request, and what the field accepts.
    detail: String,
}

impl From<&FieldFault> for ErrorBody {
    fn from(fault: &FieldFault) -> ErrorBody {
        ErrorBody { field: fault.field.clone(), detail: fault.detail.clone() }
    }
}
