//! The cache of the router: runs and plans, which never change once they exist.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coupon::minted::KeyId;
use coupon::time::Day;
use parking_lot::RwLock;

use crate::OwnedRun;

/// Most runs, and most plans, in the cache; at the limit it is cleared and read again. 100,000 runs
/// take some 20 MB.
pub const REMEMBERED_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct RouterCache {
    /// By day and first serial: no two runs of one day share a serial.
    runs: RwLock<BTreeMap<(Day, u64), Arc<OwnedRun>>>,
    bits: RwLock<HashMap<Day, u8>>,
}

impl RouterCache {
    pub(crate) fn run_of(&self, key: KeyId, day: Day, serial: u64) -> Option<Arc<OwnedRun>> {
        let runs = self.runs.read();
        let (_, found) = runs.range((day, 0)..=(day, serial)).next_back()?;
        (found.run.key == key && found.run.holds(serial)).then(|| Arc::clone(found))
    }

    pub(crate) fn keep_run(&self, found: OwnedRun) -> Arc<OwnedRun> {
        let found = Arc::new(found);
        let mut runs = self.runs.write();
        if runs.len() >= REMEMBERED_MAX {
            runs.clear();
        }
        runs.insert((found.run.day, found.run.first), Arc::clone(&found));
        found
    }

    pub(crate) fn bits(&self, day: Day) -> Option<u8> {
        self.bits.read().get(&day).copied()
    }

    pub(crate) fn keep_bits(&self, day: Day, bits: u8) -> u8 {
        let mut plans = self.bits.write();
        if plans.len() >= REMEMBERED_MAX {
            plans.clear();
        }
        plans.insert(day, bits);
        bits
    }
}
