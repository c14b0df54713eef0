//! Compactions that people ask for: run by whoever has built the console, one at a time.

use std::time::Duration;

use coupon::time::Millis;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::plan::{CompactionPlan, ReadPlan};
use crate::trouble::{ConsoleError, ConsoleResult};

/// Longest time that a dry run may take: it reads both tiers.
const PLAN_TIMEOUT: Duration = Duration::from_secs(30);

/// The compaction that somebody asked for. The list of runs is in the store.
#[derive(Debug, Default)]
pub struct CompactionTrigger {
    asked: Mutex<Option<CompactionRequest>>,
    notify: Notify,
}

#[derive(Clone, Debug)]
struct CompactionRequest {
    at: Millis,
    by: String,
}

impl CompactionTrigger {
    fn state(&self) -> MutexGuard<'_, Option<CompactionRequest>> {
        self.asked.lock()
    }

    /// Asks for one. Returns `false` if one was asked for that is not over: then this call changes nothing.
    pub fn ask(&self, now: Millis, by: String) -> bool {
        let mut asked = self.state();
        let is_first = asked.is_none();
        if is_first {
            *asked = Some(CompactionRequest { at: now, by });
            self.notify.notify_one();
        }
        is_first
    }

    /// Since when one is asked for.
    pub(crate) fn since(&self) -> Option<Millis> {
        self.state().as_ref().map(|asked| asked.at)
    }

    /// Waits until somebody asks for one; returns who.
    pub async fn asked(&self) -> String {
        loop {
            self.notify.notified().await;
            if let Some(asked) = &*self.state() {
                return asked.by.clone();
            }
        }
    }

    /// The one that was asked for is over.
    pub fn done(&self) {
        *self.state() = None;
    }
}

/// Dry runs: one at a time, since each looks for coupons in both tiers.
pub(crate) struct PlanReader {
    read: Box<ReadPlan>,
    one: Semaphore,
}

impl PlanReader {
    pub(crate) fn new(read: Box<ReadPlan>) -> PlanReader {
        PlanReader { read, one: Semaphore::new(1) }
    }

    /// [`ConsoleError::Busy`] while another one is made, or if it takes too long.
    pub(crate) async fn plan(&self) -> ConsoleResult<Result<CompactionPlan, String>> {
        let _one = self.one.try_acquire().map_err(|_| ConsoleError::Busy)?;
        timeout(PLAN_TIMEOUT, (self.read)()).await.map_err(|_| ConsoleError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time() {
        let compactions = CompactionTrigger::default();
        for by in ["eva", "mina"] {
            assert!(compactions.ask(Millis(7), by.to_owned()));
            assert!(!compactions.ask(Millis(8), "bob".to_owned()), "it is asked for already");
            assert_eq!(compactions.since(), Some(Millis(7)));
            assert_eq!(compactions.asked().await, by);
            assert!(!compactions.ask(Millis(9), "bob".to_owned()), "it runs");
            compactions.done();
            assert_eq!(compactions.since(), None);
        }
    }
}
