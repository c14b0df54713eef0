//! How long the checkpointer waits between two checkpoints while there are commits.
//!
//! Commits wait for the sync of the pages that a checkpoint has written: so it should have few. But a page
//! that changes often is copied once in each, which costs a writer that has no time to spare a tenth of what it
//! does.

use std::time::Duration;

/// Pages of one checkpoint, if the writer is not [`BUSY`]. At 7,000 redeems a second the 99th percentile was
/// 3.8 ms with this, 5.5 with a constant pause of [`PAUSE_MAX`]; at 12,000 it was 48 ms with one of 200.
const PAGES: u32 = 100;

pub(super) const PAUSE_MIN: Duration = Duration::from_millis(5);
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(20);

/// From this share of its time on the writer has none to spare. It was busy for 0.55 of it at half of its highest
/// rate, and for 0.82 at that.
const BUSY: f64 = 0.7;

/// How much the last checkpoint counts in the share of the writer's time, since single ones differ much.
const WEIGHT: f64 = 0.25;

pub(super) struct CheckpointPace {
    pause: Duration,
    /// The share of its time in which the writer wrote.
    busy: f64,
}

impl Default for CheckpointPace {
    fn default() -> CheckpointPace {
        CheckpointPace { pause: PAUSE_MAX, busy: 0.0 }
    }
}

impl CheckpointPace {
    /// The next pause, after a checkpoint that copied `pages`. The writer was busy for a share of the time since
    /// the one before it.
    pub(super) fn next(&mut self, pages: u32, busy: f64) -> Duration {
        self.busy += (busy - self.busy) * WEIGHT;
        self.pause = match self.busy > BUSY {
            true => PAUSE_MAX,
            false => (self.pause * PAGES / pages.max(1)).clamp(PAUSE_MIN, PAUSE_MAX),
        };
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pages_shorten_the_pause_unless_the_writer_is_busy() {
        for (name, pages_a_ms, busy, pause_ms) in [
            ("few pages", 2, 0.2, 20),
            ("a hundred in ten milliseconds", 10, 0.5, 10),
            ("more than the shortest pause may have", 40, 0.5, 5),
            ("the writer has no time to spare", 40, 0.9, 20),
        ] {
            let mut pace = CheckpointPace::default();
            let mut pause = PAUSE_MAX;
            for _ in 0..20 {
                let pages = u32::try_from(pause.as_millis()).unwrap() * pages_a_ms;
                pause = pace.next(pages, busy);
            }
            assert_eq!(pause, Duration::from_millis(pause_ms), "{name}");
        }
        let mut pace = CheckpointPace::default();
        assert_eq!(pace.next(200, 1.0), PAUSE_MAX / 2, "one busy moment says little");
    }
}
