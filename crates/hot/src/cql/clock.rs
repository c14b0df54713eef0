//! How far this machine's clock lies from the cluster's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use scylla::value::CqlTimestamp;

use super::Store;
use super::session::{Manner, Result};
use crate::HotError;

/// How far the clocks of two processes may lie apart, in milliseconds: further apart, no process
/// writes. One clock a year ahead would seal live shelves for ever.
pub const CLOCK_BOUND_MS: i64 = 5_000;

/// Rounds of the upkeep, a second each, between two comparisons.
pub(super) const COMPARED_EVERY_ROUNDS: u32 = 10;

/// The last difference that was measured, in milliseconds; positive when ours is ahead.
#[derive(Default)]
pub(super) struct Difference(AtomicI64);

impl Difference {
    /// Whether the clocks agree well enough.
    ///
    /// # Errors
    /// A sentence for operators.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let ahead = self.0.load(Ordering::Relaxed);
        if ahead.abs() <= CLOCK_BOUND_MS {
            return Ok(());
        }
        let seconds = ahead.abs() / 1_000;
        let which = if ahead > 0 { "ahead of" } else { "behind" };
        Err(format!(
            "the clock of this machine is {seconds} s {which} the cluster's, {} s are allowed: set \
             it right (NTP); nothing is written until then",
            CLOCK_BOUND_MS / 1_000
        ))
    }
}

impl Store {
    pub(super) async fn compare_clocks(&self) -> Result<()> {
        let here = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
        };
        let before = here();
        let cql = "SELECT toTimestamp(now()) FROM system.local";
        let there: Option<(CqlTimestamp,)> = self.cluster.row(Manner::Read, cql, ()).await?;
        let after = here();
        if let Some((there,)) = there {
            // Somewhere between the two it was read: the nearer end counts.
            let ahead = match there.0 {
                there if there < before => before - there,
                there if there > after => after - there,
                _ => 0,
            };
            self.clock.0.store(ahead, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Refuses to write while the clocks differ.
    pub(super) fn clock_is_right(&self) -> Result<()> {
        let right = self.clock.check();
        right.map_err(|why| HotError::Unavailable(why.into()))
    }
}
