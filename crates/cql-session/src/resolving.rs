//! Conditional updates whose outcome is unknown.
//!
//! Each conditional update names the state that it replaces, by a version or a revision that never
//! returns. So it is safe to send the same one again: at most one of the two is applied. Any node may
//! finish the first one later. So if the second one is refused, the first one may still be applied.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Cas, Result, StatementProfile};
use hot::HotError;

/// How long one call retries before it answers that the outcome is unknown; it waits for the try
/// that is under way.
pub const CALL_LIMIT: Duration = Duration::from_secs(8);

/// Pause before a conditional update that was refused is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// How writes ended whose outcome was unknown at first.
#[derive(Default)]
pub struct Resolutions {
    pub applied: AtomicU64,
    /// They were not applied and never will be.
    pub refused: AtomicU64,
    /// It was not found out in time, and the caller was answered so.
    pub unknown: AtomicU64,
}

impl Resolutions {
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// One call that reads the state and writes what is missing, until nothing is missing. So the
/// outcome of an earlier write does not matter.
pub struct WriteAttempts {
    what: &'static str,
    deadline: Instant,
    try_number: u32,
    /// Why the outcome of an earlier write is unknown.
    unknown: Option<UnknownCause>,
}

type UnknownCause = Box<dyn std::error::Error + Send + Sync>;

impl WriteAttempts {
    /// The attempts of a call that begins now and may take `limit`: see [`CALL_LIMIT`].
    pub fn new(what: &'static str, limit: Duration) -> WriteAttempts {
        let deadline = Instant::now() + limit;
        WriteAttempts { what, deadline, try_number: 0, unknown: None }
    }

    /// Whether the outcome of an earlier write of this call is unknown: it may be applied later.
    pub fn has_unknown_write(&self) -> bool {
        self.unknown.is_some()
    }

    pub fn profile(&self) -> StatementProfile {
        if self.has_unknown_write() { StatementProfile::Again } else { StatementProfile::Change }
    }

    /// The result of a read, or the error that ends the call.
    ///
    /// # Errors
    /// That of the read, or `Unknown` if an earlier write of this call may still be applied.
    pub fn looked<T>(&mut self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            // A failed read says nothing about the write before it.
            HotError::Unavailable(why) => self.given_up(why),
            // This error, too, says that nothing was written.
            HotError::Cold(why) if self.has_unknown_write() => self.given_up(why),
            other => other,
        })
    }

    /// After a conflict in the middle of a protocol: another process may have finished what this
    /// call began, or may still do so.
    pub fn has_begun(&mut self) {
        let why = "another process may have finished what was begun";
        self.unknown.get_or_insert_with(|| why.into());
    }

    /// After a write: `true` when it was applied; otherwise the caller reads the state again.
    ///
    /// # Errors
    /// What ends the call: `Unavailable` if nothing was written, `Unknown` if something may have been.
    pub async fn wrote(&mut self, cas: Result<Cas>) -> Result<bool> {
        match self.looked(cas)? {
            Cas::Applied => return Ok(true),
            Cas::Refused => {}
            Cas::Unknown(why) => self.unknown = Some(why.into()),
            Cas::NotSent(why) => return Err(self.given_up(why.into())),
        }
        self.again().await.map(|()| false)
    }

    /// Waits before the next read, or ends a call that has taken too long.
    pub async fn again(&mut self) -> Result<()> {
        if Instant::now() >= self.deadline {
            let late = format!("{} was not resolved in time", self.what);
            return Err(self.given_up(late.into()));
        }
        // Longer each time, but not past the end of the call.
        let pause = PAUSE.saturating_mul(1 << self.try_number.min(6));
        tokio::time::sleep_until((Instant::now() + pause).min(self.deadline)).await;
        self.try_number += 1;
        Ok(())
    }

    /// `Unknown` if this call may have written something.
    fn given_up(&mut self, now: UnknownCause) -> HotError {
        match self.unknown.take() {
            Some(why) => HotError::Unknown(why),
            None => HotError::Unavailable(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_unknown_when_the_call_is_given_up() {
        let errors: [fn(UnknownCause) -> HotError; 2] = [HotError::Unavailable, HotError::Cold];
        for error in errors {
            let deadline = Instant::now();
            let mut attempts =
                WriteAttempts { what: "a test", deadline, try_number: 0, unknown: None };
            let before = attempts.looked::<()>(Err(error("away".into())));
            assert!(!matches!(before, Err(HotError::Unknown(_))), "{before:?}");
            attempts.has_begun();
            let after = attempts.looked::<()>(Err(error("away".into())));
            assert!(matches!(after, Err(HotError::Unknown(_))), "{after:?}");
        }
    }
}
