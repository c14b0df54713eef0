//! What the machine of a process says of itself: sizes, keys without their secrets, and runs of compaction.
//!
//! Whoever builds the console reads it; no figure needs a walk over coupons.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use coupon::time::Millis;

use crate::desk::Desk;
use crate::trouble::Trouble;

/// Runs of compaction that a process remembers.
const RUNS_MAX: usize = 20;

/// Reads what the machine says. May wait for its disk.
pub type ReadMachine = dyn Fn() -> Machine + Send + Sync;

/// What the machine says; what it cannot say is not there.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The file of the hot store.
    pub store_bytes: Option<u64>,
    /// The log of the hot store, whose end is not in the file yet.
    pub log_bytes: Option<u64>,
    /// What is free on the disk of the data folder.
    pub free_bytes: Option<u64>,
    /// Memory of this process.
    pub memory_bytes: Option<u64>,
    /// The keys, oldest first.
    pub keys: Vec<KeyInfo>,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// What it is for.
    pub use_of: KeyUse,
    /// Its id.
    pub id: String,
    /// When it was made.
    pub made_at: Millis,
    /// When it was retired.
    pub retired_at: Option<Millis>,
    /// Whether it is the newest of its kind that is not retired.
    pub is_newest: bool,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Mints codes.
    Code,
    /// Signs tokens and sessions.
    Token,
}

/// A compaction that this process has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionRun {
    /// When it began.
    pub began_at: Millis,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Expiry days of which something was done.
    pub days: u64,
    /// Coupons that were copied to the archive.
    pub rows: u64,
    /// Bytes of the files that were written.
    pub bytes: u64,
    /// Why it, or a part of it, failed.
    pub failed: Option<String>,
}

/// The last runs of a process, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<VecDeque<CompactionRun>>);

impl Runs {
    pub(crate) fn add(&self, run: CompactionRun) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.truncate(RUNS_MAX - 1);
        runs.push_front(run);
    }

    pub(crate) fn all(&self) -> Vec<CompactionRun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Desk {
    /// What the machine says, read on a thread where that may take its time.
    pub(crate) async fn machine(&self) -> Result<Machine, Trouble> {
        let console = Arc::clone(&self.console);
        let read = tokio::task::spawn_blocking(move || (console.machine)());
        read.await.map_err(|_| Trouble::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_runs() {
        let runs = Runs::default();
        for nth in 0..=RUNS_MAX as u64 {
            let (began_at, failed) = (Millis(0), None);
            runs.add(CompactionRun { began_at, took_ms: nth, days: 0, rows: 0, bytes: 0, failed });
        }
        let kept: Vec<u64> = runs.all().iter().map(|run| run.took_ms).collect();
        assert_eq!(kept, (1..=RUNS_MAX as u64).rev().collect::<Vec<_>>());
    }
}
