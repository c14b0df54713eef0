//! Why there is no good answer, and what the user can do about it.

use std::fmt::Display;

use api::problem::NO_CODE_KEY;
use serde::Deserialize;

use super::Repeat;
use crate::failure::CliError;

#[derive(Debug)]
pub(crate) enum Refused {
    Problem(Box<Problem>),
    /// No answer, or none of couponry; what was asked may have been done.
    Lost(String),
    /// No answer, and nothing was done.
    Undone(String),
}

/// What a problem document says (RFC 9457, and docs/problems).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) retry: String,
    retry_at: Option<String>,
    next_cursor: Option<String>,
    /// Why the store of this machine failed.
    #[serde(skip)]
    pub(crate) cause: Option<Box<str>>,
    errors: Option<Vec<FieldError>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldError {
    field: String,
    detail: String,
}

impl Problem {
    /// Whether a repeat can succeed without anybody's doing.
    pub(super) fn says_again(&self, repeat: Repeat) -> bool {
        match self.retry.as_str() {
            // Others wait for a person, not for the machine.
            "later" => matches!(self.status, 429 | 503),
            "same" => repeat == Repeat::Harmless,
            _ => false,
        }
    }

    pub(crate) fn sentence(&self) -> String {
        let faults = self.errors.iter().flatten();
        let faults: Vec<String> = faults.map(|it| format!("{} {}", it.field, it.detail)).collect();
        match &self.retry_at {
            _ if !faults.is_empty() => faults.join("; "),
            Some(at) => format!("{}, until {at}", self.detail),
            None => self.detail.clone(),
        }
    }
}

impl Refused {
    /// The same as an error; "not found" is about `thing`, not about a coupon.
    pub(crate) fn about(thing: impl Display) -> impl FnOnce(Refused) -> CliError {
        move |refused| match refused {
            Refused::Problem(problem) if problem.code == "NOT_FOUND" => {
                CliError::new(format!("NOT_FOUND: there is no {thing}"))
            }
            other => other.into(),
        }
    }
}

impl From<Refused> for CliError {
    fn from(refused: Refused) -> CliError {
        let problem = match refused {
            Refused::Problem(problem) => problem,
            Refused::Lost(why) => return CliError::new(why).and("it may have been done"),
            Refused::Undone(why) => return CliError::new(why),
        };
        let failed = CliError::new(match &problem.cause {
            Some(cause) => cause.to_string(),
            None => format!("{}: {}", problem.code, problem.sentence()),
        });
        match (problem.code.as_str(), problem.retry.as_str()) {
            ("INVALID", _) => CliError::usage(problem.sentence()),
            ("COLD_UNAVAILABLE", _) => {
                failed.and("nothing was changed; `couponry doctor` checks the cold tier")
            }
            ("INTERNAL", _) if problem.cause.as_deref() == Some(NO_CODE_KEY) => {
                failed.and("make one with `couponry key add --kind code`")
            }
            ("STORE_DAMAGED", _) => failed.and("`couponry doctor` checks the whole store"),
            ("STORE_FULL", _) => failed.and("nothing more was written"),
            (_, "same") => failed.and("run the command again: it reports what happened"),
            (_, "later") if problem.retry_at.is_none() => failed.and("try again later"),
            _ => match problem.next_cursor {
                Some(cursor) => failed.and(&format!("go on with --after {cursor}")),
                None => failed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_to_do_about_a_failure() {
        let again = "run the command again: it reports what happened";
        let cases = [
            ("INTERNAL", None, format!("INTERNAL: why; {again}")),
            ("INTERNAL", Some("a lock"), format!("a lock; {again}")),
            (
                "INTERNAL",
                Some(NO_CODE_KEY),
                format!("{NO_CODE_KEY}; make one with `couponry key add --kind code`"),
            ),
            ("STORE_FULL", Some("no space"), "no space; nothing more was written".to_owned()),
            ("OUTCOME_UNKNOWN", None, format!("OUTCOME_UNKNOWN: why; {again}")),
        ];
        for (code, cause, want) in cases {
            let said = json!({"status": 500, "code": code, "detail": "why", "retry": "same"});
            let mut problem: Box<Problem> = serde_json::from_value(said).unwrap();
            problem.cause = cause.map(Box::from);
            assert_eq!(CliError::from(Refused::Problem(problem)).to_string(), want);
        }
    }
}
