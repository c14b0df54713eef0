//! When a line of progress is due, and what it says of the speed.

use std::time::{Duration, Instant};

/// Time between two lines of progress.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What was done when the last line was logged.
#[derive(Debug)]
pub(crate) struct ReportRate {
    at: Instant,
    done: u64,
}

impl Default for ReportRate {
    fn default() -> ReportRate {
        ReportRate { at: Instant::now(), done: 0 }
    }
}

impl ReportRate {
    /// How much a second was done since the last line, if [`REPORT_EVERY`] has passed: then a line is due.
    pub(crate) fn of(&mut self, done: u64) -> Option<f64> {
        let passed = self.at.elapsed();
        if passed < REPORT_EVERY {
            return None;
        }
        let more = done - self.done;
        *self = ReportRate { at: Instant::now(), done };
        Some(more as f64 / passed.as_secs_f64())
    }
}
