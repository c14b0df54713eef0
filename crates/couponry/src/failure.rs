//! How a command ends: its exit code and its last sentence.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use command_line::{LAYOUT, printable};
use coupon::calendar::format_instant;
use coupon::refusal::Refusal;
use engine::{Failure, HotError};
pub(crate) use webhooks::cause;

pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Completely: exit code 0.
    Done,
    /// In part, such as an import that rejected some lines: exit code 3.
    Partly,
}

/// Why a command failed: a sentence for standard error, and an exit code.
#[derive(Debug)]
pub struct CliError {
    /// Empty if nothing is to be printed.
    sentence: String,
    code: u8,
}

impl CliError {
    /// A failure: exit code 1.
    pub fn new(sentence: impl Into<String>) -> CliError {
        CliError { sentence: sentence.into(), code: 1 }
    }

    pub(crate) fn of(error: impl Display) -> CliError {
        CliError::new(error.to_string())
    }

    /// A usage error, such as a setting that cannot be used: exit code 2.
    pub fn usage(sentence: impl Into<String>) -> CliError {
        CliError { sentence: sentence.into(), code: 2 }
    }

    /// The reader of the output closed it: exit code 0.
    pub fn nobody_reads() -> CliError {
        CliError { sentence: String::new(), code: 0 }
    }

    /// Prepends `what` to an I/O error.
    pub fn because(what: impl Display) -> impl FnOnce(std::io::Error) -> CliError {
        move |error| CliError::new(format!("{what}: {error}"))
    }

    /// "cannot `verb` `path`", before an I/O error.
    pub(crate) fn cannot(
        verb: &str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> CliError + use<> {
        CliError::because(format!("cannot {verb} {}", path.display()))
    }

    /// Why a socket cannot listen on `address`, which the setting or flag `flag` names.
    pub fn listening(address: impl Display, flag: &str) -> impl FnOnce(std::io::Error) -> CliError {
        let cannot = format!("cannot listen on {address}");
        let port = address.to_string().rsplit(':').next().unwrap_or_default().to_owned();
        let next =
            format!("choose another with {flag}; `ss -ltnp 'sport = :{port}'` names the process");
        move |error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                CliError::new(format!("{cannot}: another process uses this address")).and(&next)
            }
            _ => CliError::because(cannot)(error),
        }
    }

    /// Turns a failure into an error; "not found" is about `thing`, not about a coupon.
    pub(crate) fn about(thing: impl Display) -> impl FnOnce(Failure) -> CliError {
        move |failure| match failure {
            Failure::Refused { refusal: Refusal::NotFound, .. } => {
                CliError::new(format!("NOT_FOUND: there is no {thing}"))
            }
            other => other.into(),
        }
    }

    pub(crate) fn and(mut self, more: &str) -> CliError {
        if !self.is_quiet() {
            self.sentence.push_str("; ");
            self.sentence.push_str(more);
        }
        self
    }

    /// Whether nothing is to be printed, as when the reader closed the output.
    pub fn is_quiet(&self) -> bool {
        self.sentence.is_empty()
    }

    /// Prints the sentence in the name of `program` and returns the exit code.
    pub fn exit_as(self, program: &str) -> ExitCode {
        if !self.is_quiet() {
            // If standard error is closed, the exit code still says it.
            let _ = writeln!(std::io::stderr(), "{program}: {}", printable(&self.sentence, LAYOUT));
        }
        ExitCode::from(self.code)
    }
}

impl Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

fn faults(faults: &[engine::FieldFault]) -> String {
    let faults: Vec<String> =
        faults.iter().map(|it| format!("{} {}", it.field, it.detail)).collect();
    faults.join("; ")
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> CliError {
        let sentence = match failure {
            Failure::Refused { refusal, .. } => {
                let until = refusal.retry_at().map(|at| format!(", until {}", format_instant(at)));
                format!("{}: {refusal}{}", refusal.as_str(), until.unwrap_or_default())
            }
            Failure::OrderRefused(refused) => Failure::sentence_of_order(&refused),
            Failure::Invalid(found) => return CliError::usage(faults(&found)),
            Failure::Forbidden(why) | Failure::BrokenOff(why) => why,
            Failure::BadFile(why) => why.to_string(),
            Failure::LoginTaken => "the login is taken: choose another".to_owned(),
            Failure::OtherTag => "somebody has changed it meanwhile: read it again".to_owned(),
            Failure::NoCodeKey => {
                "no code key can mint: make one with `couponry key add --kind code`".to_owned()
            }
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
            HotError::Unknown(_) => "run the command again: it reports what happened",
            HotError::Cold(_) => "nothing was changed; `couponry doctor` checks the cold tier",
            HotError::Damaged(_) => "`couponry doctor` checks the whole store",
        };
        CliError::new(error.to_string()).and(next)
    }
}

impl From<api::problem::Problem> for CliError {
    fn from(problem: api::problem::Problem) -> CliError {
        CliError::usage(faults(problem.faults()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

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
            (
                "a port in use",
                CliError::listening("[::1]:80", "--listen")(ErrorKind::AddrInUse.into()),
                (
                    "cannot listen on [::1]:80: another process uses this address; choose another \
                     with --listen; `ss -ltnp 'sport = :80'` names the process",
                    1,
                ),
            ),
            (
                "an address of another machine",
                CliError::listening("192.0.2.1:80", "--listen")(ErrorKind::AddrNotAvailable.into()),
                ("cannot listen on 192.0.2.1:80: address not available", 1),
            ),
        ];
        for (name, CliError { sentence, code }, want) in cases {
            assert_eq!((sentence.as_str(), code), want, "{name}");
        }
    }
}
