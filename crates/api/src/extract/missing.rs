//! What a 404 says: which thing there is not.

use coupon::refusal::Refusal;
use engine::Failure;

use crate::problem::{Code, Problem};

/// The answer to any code; the same whatever is wrong with it.
pub(super) fn no_such_coupon() -> Problem {
    Refusal::NotFound.into()
}

pub(crate) fn no_such_path() -> Problem {
    Problem::new(Code::NotFound, "there is no such path; see /docs for those that there are")
}

pub(crate) fn no_such(what: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no such {what}"))
}

/// The same failure; where it is NOT_FOUND, it says what was not found.
pub(crate) fn named(what: &'static str) -> impl Fn(Failure) -> Problem {
    move |failure| match failure {
        Failure::Refused { refusal: Refusal::NotFound, .. } => no_such(what),
        failure => failure.into(),
    }
}

/// The same for what is a problem already.
pub(crate) fn renamed(what: &'static str) -> impl Fn(Problem) -> Problem {
    move |problem| match problem.code() {
        Code::NotFound => no_such(what),
        _ => problem,
    }
}

pub(crate) const CAMPAIGN: &str = "campaign";

pub(crate) const BATCH: &str = "campaign, or no such batch in it";
