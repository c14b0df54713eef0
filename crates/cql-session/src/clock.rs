//! The difference between this machine's clock and the cluster's.

use std::sync::atomic::{AtomicI64, Ordering};

use scylla::value::CqlTimestamp;

use crate::{CqlSession, Result};

/// How far the clocks of two processes may differ, in milliseconds. Other processes wait so much
/// longer for a hold to end, and a coupon is final so much later.
pub const CLOCK_BOUND_MS: i64 = 5_000;

/// How far the clock of one process may differ from the cluster's, in milliseconds; with a larger
/// difference the process writes nothing. A clock that is a year ahead would seal open partitions
/// for ever. Half the bound, since one process may be ahead of the cluster and another one after
/// it.
pub const CLOCK_DIFFERENCE_MAX_MS: i64 = CLOCK_BOUND_MS / 2;

const _: () = assert!(2 * CLOCK_DIFFERENCE_MAX_MS <= CLOCK_BOUND_MS);

/// Rounds of the upkeep, a second each, between two comparisons.
pub const COMPARED_EVERY_ROUNDS: u32 = 10;

/// The last difference that was measured, in milliseconds; positive when ours is ahead.
#[derive(Default)]
pub struct ClockDifference(AtomicI64);

impl ClockDifference {
    pub async fn measure(&self, session: &CqlSession) -> Result<()> {
        let before = session.now_ms();
        let cql = "SELECT toTimestamp(now()) FROM system.local";
        let there: Option<CqlTimestamp> = session.value(cql, ()).await?;
        if let Some(there) = there {
            self.0.store(ahead_of(there, before, session.now_ms()), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether the clocks agree well enough.
    ///
    /// # Errors
    /// A sentence for operators.
    pub fn check(&self) -> std::result::Result<(), String> {
        let ahead = self.0.load(Ordering::Relaxed);
        if ahead.abs() <= CLOCK_DIFFERENCE_MAX_MS {
            return Ok(());
        }
        let which = if ahead > 0 { "ahead of" } else { "behind" };
        Err(format!(
            "the clock of this machine is {} s {which} the cluster's, {} s are allowed: set it \
             right \
             (NTP); nothing is written until then",
            seconds(ahead.abs()),
            seconds(CLOCK_DIFFERENCE_MAX_MS)
        ))
    }
}

/// With one decimal place.
fn seconds(ms: i64) -> String {
    format!("{}.{}", ms / 1_000, ms % 1_000 / 100)
}

/// How far our clock is ahead of another one, in milliseconds. The other one was read at some instant
/// between `before` and `after`: the nearer end counts.
pub(crate) fn ahead_of(there: CqlTimestamp, before: i64, after: i64) -> i64 {
    match there.0 {
        there if there < before => before - there,
        there if there > after => after - there,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(ahead: i64) -> bool {
        let difference = ClockDifference::default();
        difference.0.store(ahead, Ordering::Relaxed);
        difference.check().is_ok()
    }

    #[test]
    fn no_two_processes_that_write_lie_further_apart_than_a_hold_waits() {
        let rows = [
            ("in step", 0, true),
            ("ahead by all it may", CLOCK_DIFFERENCE_MAX_MS, true),
            ("ahead by more", CLOCK_DIFFERENCE_MAX_MS + 1, false),
            ("behind by all it may", -CLOCK_DIFFERENCE_MAX_MS, true),
            ("behind by more", -CLOCK_DIFFERENCE_MAX_MS - 1, false),
        ];
        for (name, ahead, want) in rows {
            assert_eq!(allowed(ahead), want, "{name}");
        }
        let most = (0..=2 * CLOCK_BOUND_MS).rev().find(|ahead| allowed(*ahead));
        let least = (-2 * CLOCK_BOUND_MS..=0).find(|ahead| allowed(*ahead));
        let apart = most.zip(least).map(|(most, least)| most - least);
        assert!(apart.is_some_and(|apart| apart <= CLOCK_BOUND_MS), "{apart:?} ms apart");
    }
}
