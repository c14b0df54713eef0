//! Conditional writes whose outcome nobody told us.
//!
//! Any node may finish such a write later. Each of ours names the state it is for, by a version or a
//! revision that never comes back, so that sending the same one again is safe: at most one of the
//! two is applied. What is never done is to take the refusal of the second for that of the first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Store;
use super::outcome::Cas;
use super::session::{Result, StatementProfile};
use hot::HotError;

/// How long one call goes on trying before it says that the outcome is unknown; the try that is
/// under way then is waited for.
pub const CALL_LIMIT: Duration = Duration::from_secs(8);

/// Pause before a conditional write that lost is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// How writes ended of which nobody told us whether they had been applied.
#[derive(Default)]
pub(super) struct Resolutions {
    /// They had been.
    pub(super) applied: AtomicU64,
    /// They had not been, and never will be.
    pub(super) refused: AtomicU64,
    /// Neither could be found out in time, and the caller was told so.
    pub(super) unknown: AtomicU64,
}

impl Resolutions {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The end of a call.
#[derive(Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// Waits a moment, longer each time, unless the call is over.
    async fn pause(self, turn: u32) {
        let pause = PAUSE.saturating_mul(1 << turn.min(6));
        tokio::time::sleep_until((Instant::now() + pause).min(self.0)).await;
    }
}

/// One call that looks at what stands there and writes what is still missing, until there is nothing
/// left to write: so it does not matter what came of the write before.
pub(super) struct Attempts {
    what: &'static str,
    deadline: Deadline,
    turn: u32,
    /// Why it is not known what came of an earlier write.
    unknown: Option<Why>,
}

type Why = Box<dyn std::error::Error + Send + Sync>;

impl Store {
    /// The attempts of a call that begins now.
    pub(super) fn attempts(&self, what: &'static str) -> Attempts {
        let deadline = Deadline(Instant::now() + self.options.call_limit);
        Attempts { what, deadline, turn: 0, unknown: None }
    }
}

impl Attempts {
    /// Whether an earlier write of this call may have been applied, or may be yet.
    pub(super) fn has_unknown_write(&self) -> bool {
        self.unknown.is_some()
    }

    /// How the next conditional write goes out.
    pub(super) fn profile(&self) -> StatementProfile {
        match self.has_unknown_write() {
            true => StatementProfile::Again,
            false => StatementProfile::Change,
        }
    }

    /// The result of a look, or the error that ends the call.
    pub(super) fn looked<T>(&mut self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            HotError::Unavailable(why) => self.given_up(why),
            other => other,
        })
    }

    /// After a write: `true` when it was applied; else it is time for another look.
    pub(super) async fn wrote(&mut self, cas: Result<Cas>) -> Result<bool> {
        match self.looked(cas)? {
            Cas::Applied => return Ok(true),
            Cas::Refused => {}
            Cas::Unknown(why) => self.unknown = Some(why.into()),
            Cas::NotSent(why) => return Err(self.given_up(why.into())),
        }
        self.again().await.map(|()| false)
    }

    /// Waits before the next look, unless the call has taken too long already.
    pub(super) async fn again(&mut self) -> Result<()> {
        if self.deadline.is_over() {
            let late = format!("{} was not resolved in time", self.what);
            return Err(self.given_up(late.into()));
        }
        self.deadline.pause(self.turn).await;
        self.turn += 1;
        Ok(())
    }

    /// What a call says that ends without a result: whether it may have written something.
    fn given_up(&mut self, now: Why) -> HotError {
        match self.unknown.take() {
            Some(why) => HotError::Unknown(why),
            None => HotError::Unavailable(now),
        }
    }
}
