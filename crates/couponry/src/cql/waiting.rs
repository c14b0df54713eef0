//! Waiting for a cluster that does not answer: `serve` for ever, other commands ten seconds.

use std::time::Duration;

use cql_session::KeyspaceAddress;
use hot::HotError;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::failure::{CliError, Result};
use crate::output;

/// How long a command waits for a cluster that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two attempts to connect.
const AGAIN_AFTER: Duration = Duration::from_secs(3);

/// Longest attempt: a frozen node accepts connections and never answers.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);

pub(crate) enum NotOpen {
    /// The cluster does not answer now; it may later.
    Away(String),
    /// Waiting does not help.
    Never(CliError),
}

impl From<CliError> for NotOpen {
    fn from(error: CliError) -> NotOpen {
        NotOpen::Never(error)
    }
}

impl From<HotError> for NotOpen {
    fn from(error: HotError) -> NotOpen {
        match error {
            HotError::Unavailable(_) | HotError::Overloaded { .. } | HotError::Unknown(_) => {
                NotOpen::Away(error.to_string())
            }
            HotError::Full(_) | HotError::Cold(_) | HotError::Damaged(_) => {
                NotOpen::Never(error.into())
            }
        }
    }
}

/// The error of a command that does not wait.
impl From<NotOpen> for CliError {
    fn from(error: NotOpen) -> CliError {
        match error {
            NotOpen::Away(why) => CliError::new(why).and("try again later"),
            NotOpen::Never(error) => error,
        }
    }
}

/// Who waits for a cluster: for how long, and how they tell the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// `serve`: for ever, with one line in the log for each attempt.
    Service,
    /// Every other command: for [`PATIENCE`], with one note.
    Command,
}

/// Repeats `attempt` while the cluster does not answer.
///
/// # Errors
/// An error against which waiting does not help; for a command, a cluster that still does not answer.
pub(crate) async fn patiently<T>(
    target: &KeyspaceAddress,
    waiting: Waiting,
    mut attempt: impl AsyncFnMut() -> Result<T, NotOpen>,
) -> Result<T> {
    let deadline = match waiting {
        Waiting::Service => None,
        Waiting::Command => Some(Instant::now() + PATIENCE),
    };
    let mut last = None;
    loop {
        let limit = deadline.unwrap_or_else(|| Instant::now() + ATTEMPT_MAX);
        let why = match timeout_at(limit, attempt()).await {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(NotOpen::Never(error))) => return Err(error),
            Ok(Err(NotOpen::Away(why))) => why,
            // The deadline cut this attempt off before it failed: repeat why the last one did.
            Err(_) => last
                .clone()
                .unwrap_or_else(|| format!("no answer within {} s", ATTEMPT_MAX.as_secs())),
        };
        let sentence = format!("waiting for the cluster: {target}: {why}");
        match deadline {
            None => tracing::warn!(cluster = %target, "{sentence}"),
            Some(deadline) if Instant::now() >= deadline => {
                let waited = PATIENCE.as_secs();
                return Err(CliError::new(format!(
                    "waited {waited} s for the cluster {target}: {why}"
                )));
            }
            Some(_) if last.is_none() => output::note(&sentence),
            Some(_) => {}
        }
        last = Some(why);
        let again = Instant::now() + AGAIN_AFTER;
        sleep_until(deadline.map_or(again, |deadline| again.min(deadline))).await;
    }
}
