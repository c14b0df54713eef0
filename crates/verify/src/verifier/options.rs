//! The options of a run.

use std::collections::BTreeSet;
use std::time::Duration;

use coupon::time::Day;

/// The pauses before each further look at what looks wrong, if a protocol is one transaction: another
/// process may commit one between two reads.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// The same if a protocol is a series of steps. No step takes longer than five seconds.
pub(super) const PAUSES_OF_STEPS: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(6)];

#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// The pauses before each further look; `None` for those that suit the store.
    pub pauses: Option<Vec<Duration>>,
    pub repair: RepairMode,
    /// Whether counts that are too high are corrected, too. Such a count may be the only trace of a lost row.
    pub lower_counts: bool,
    /// Only these partitions, and nothing that belongs to none: the file of the store, the directory, claims,
    /// index rows, counts and serials. So several runs, on several machines, can share a store. `None` for
    /// everything.
    pub partitions: Option<BTreeSet<Day>>,
    /// Partitions that are read at the same time, each on a thread of its own; 0 is one, too. With more than one
    /// the runtime must have several threads.
    pub jobs: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RepairMode {
    #[default]
    Nothing,
    /// Index rows and counts, which follow from the coupons.
    Derived,
}
