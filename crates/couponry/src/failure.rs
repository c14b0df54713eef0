//! How a command ends: its exit code and its last sentence.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use coupon::calendar::format_instant;
use coupon::refusal::Refusal;
use engine::{Failure, HotError};

/// A command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All of it: exit code 0.
    Done,
    /// Some rows were rejected: exit code 3.
    Partly,
}

/// A command that did not: a sentence for standard error, and an exit code.
#[derive(Debug)]
pub struct CliError {
    /// Empty when there is nothing to say.
    sentence: String,
    code: u8,
}

impl CliError {
    /// It failed: exit code 1.
    pub fn new(sentence: impl Into<String>) -> CliError {
        CliError { sentence: sentence.into(), code: 1 }
    }

    /// It was called wrongly: exit code 2.
    pub fn wrong_call(sentence: impl Into<String>) -> CliError {
        CliError { sentence: sentence.into(), code: 2 }
    }

    /// Whoever read the output has seen enough: exit code 0.
    pub fn nobody_reads() -> CliError {
        CliError { sentence: String::new(), code: 0 }
    }

    /// `what` failed because of `error`.
    pub fn because(what: impl Display) -> impl FnOnce(std::io::Error) -> CliError {
        move |error| CliError::new(format!("{what}: {error}"))
    }

    /// A failure in which "not found" is about `thing`, not about a coupon.
    pub(crate) fn about(thing: impl Display) -> impl FnOnce(Failure) -> CliError {
        move |failure| match failure {
            Failure::Refused { refusal: Refusal::NotFound, .. } => {
                CliError::new(format!("NOT_FOUND: there is no {thing}"))
            }
            other => other.into(),
        }
    }

    /// The same with `more` behind its sentence.
    pub(crate) fn and(mut self, more: &str) -> CliError {
        if !self.is_quiet() {
            self.sentence.push_str("; ");
            self.sentence.push_str(more);
        }
        self
    }

    /// Whether there is nothing to say, as after a reader that has seen enough.
    pub fn is_quiet(&self) -> bool {
        self.sentence.is_empty()
    }

    /// Says it and ends.
    pub(crate) fn exit(self) -> ExitCode {
        self.exit_as("couponry")
    }

    /// Says it in the name of `program` and ends.
    pub fn exit_as(self, program: &str) -> ExitCode {
        if !self.is_quiet() {
            // Without anybody to read it the exit code still says it.
            let _ = writeln!(std::io::stderr(), "{program}: {}", self.sentence);
        }
        ExitCode::from(self.code)
    }
}

impl Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// What was wrong with the fields, in one line.
pub(crate) fn faults(faults: &[engine::Fault]) -> String {
    let faults: Vec<String> =
        faults.iter().map(|it| format!("{} {}", it.field, it.detail)).collect();
    faults.join("; ")
}

/// A refusal as a sentence, with the moment at which it may be otherwise.
pub(crate) fn refused(refusal: Refusal) -> String {
    match refusal.retry_at() {
        Some(at) => format!("{refusal}, until {}", format_instant(at)),
        None => refusal.to_string(),
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> CliError {
        let sentence = match failure {
            Failure::Refused { refusal, .. } => {
                format!("{}: {}", refusal.as_str(), refused(refusal))
            }
            Failure::Invalid(found) => return CliError::wrong_call(faults(&found)),
            Failure::Forbidden(why) | Failure::BrokenOff(why) => why,
            Failure::BadFile(why) => why.to_string(),
            Failure::LoginTaken => "the login is taken".to_owned(),
            Failure::NoCodeKey => "there is no code key to mint with".to_owned(),
            Failure::Store(error) => return error.into(),
            Failure::ImportStopped(stopped) => {
                return CliError::new(stopped.error.to_string()).and(&stopped.sentence());
            }
        };
        CliError::new(sentence)
    }
}

impl From<HotError> for CliError {
    fn from(error: HotError) -> CliError {
        let next = match error {
            HotError::Unavailable(_) | HotError::Overloaded { .. } => "try again later",
            HotError::Full(_) => "nothing more was written",
            HotError::Unknown(_) => "run the command again, and it says what happened",
            HotError::Cold(_) => "nothing was changed; `couponry doctor` looks at the cold tier",
            HotError::Damaged(_) => "`couponry doctor` looks at all of it",
        };
        CliError::new(error.to_string()).and(next)
    }
}

impl From<api::problem::Problem> for CliError {
    fn from(problem: api::problem::Problem) -> CliError {
        CliError::wrong_call(faults(problem.faults()))
    }
}

#[cfg(test)]
mod tests {
    use coupon::time::Millis;

    use super::*;

    #[test]
    fn sentences() {
        let refused = |refusal| Failure::Refused { refusal, coupon: None };
        let about = |failure| CliError::about("campaign spring")(failure);
        let held = Refusal::Held { until: Millis(0) };
        let cases = [
            (
                "a refusal",
                CliError::from(refused(Refusal::Expired)),
                ("EXPIRED: the coupon has expired", 1),
            ),
            (
                "a refusal that passes",
                CliError::from(refused(held)),
                ("HELD: the coupon is held for another order, until 1970-01-01T00:00:00.000Z", 1),
            ),
            (
                "not a coupon",
                about(refused(Refusal::NotFound)),
                ("NOT_FOUND: there is no campaign spring", 1),
            ),
            (
                "something else about it",
                about(refused(Refusal::SoldOut)),
                ("SOLD_OUT: the campaign is sold out", 1),
            ),
            ("a field", CliError::from(Failure::invalid("count", "is 0")), ("count is 0", 2)),
        ];
        for (name, CliError { sentence, code }, want) in cases {
            assert_eq!((sentence.as_str(), code), want, "{name}");
        }
    }
}
