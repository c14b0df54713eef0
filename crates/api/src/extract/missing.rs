//! What a 404 says: which thing there is not.

use coupon::refusal::Refusal;

use crate::problem::Problem;
use crate::problem_code::ApiErrorCode;

/// The answer to any code; the same whatever is wrong with it.
pub(crate) fn no_such_coupon() -> Problem {
    Refusal::NotFound.into()
}

pub(crate) fn no_such_path() -> Problem {
    Problem::new(
        ApiErrorCode::NotFound,
        "there is no such path; see /docs for those that there are",
    )
}

pub(crate) fn no_such(what: &str) -> Problem {
    Problem::new(ApiErrorCode::NotFound, format!("there is no such {what}"))
}

/// The same failure as a problem; where it is NOT_FOUND, it says what was not found.
pub(crate) fn named<E: Into<Problem>>(what: &'static str) -> impl Fn(E) -> Problem {
    move |failure| match failure.into() {
        problem if problem.code() == ApiErrorCode::NotFound => no_such(what),
        problem => problem,
    }
}

pub(crate) const CAMPAIGN: &str = "campaign";

pub(crate) const ORDER: &str = "order that has redeemed a coupon";

pub(crate) const BATCH: &str = "campaign, or no such batch in it";
