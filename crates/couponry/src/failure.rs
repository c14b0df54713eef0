//! How a command ends: its exit code and its last sentence.

use std::fmt::Display;
use std::process::ExitCode;

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
pub(crate) struct Sorry {
    sentence: String,
    code: u8,
}

impl Sorry {
    /// It failed: exit code 1.
    pub(crate) fn new(sentence: impl Into<String>) -> Sorry {
        Sorry { sentence: sentence.into(), code: 1 }
    }

    /// It was called wrongly: exit code 2.
    pub(crate) fn wrong_call(sentence: impl Into<String>) -> Sorry {
        Sorry { sentence: sentence.into(), code: 2 }
    }

    /// `what` failed because of `error`.
    pub(crate) fn because(what: impl Display) -> impl FnOnce(std::io::Error) -> Sorry {
        move |error| Sorry::new(format!("{what}: {error}"))
    }

    /// Says it and ends.
    pub(crate) fn exit(self) -> ExitCode {
        eprintln!("couponry: {}", self.sentence);
        ExitCode::from(self.code)
    }
}

impl From<engine::Failure> for Sorry {
    fn from(failure: engine::Failure) -> Sorry {
        let sentence = match failure {
            engine::Failure::Refused { refusal, .. } => {
                format!("{}: {refusal}", refusal.word())
            }
            engine::Failure::Invalid(faults) => {
                let faults: Vec<String> =
                    faults.iter().map(|it| format!("{} {}", it.field, it.detail)).collect();
                return Sorry::wrong_call(faults.join("; "));
            }
            engine::Failure::Forbidden(why) | engine::Failure::BrokenOff(why) => why,
            engine::Failure::BadFile(why) => why.to_string(),
            engine::Failure::LoginTaken => "the login is taken".to_owned(),
            engine::Failure::Store(error) => error.to_string(),
        };
        Sorry::new(sentence)
    }
}
