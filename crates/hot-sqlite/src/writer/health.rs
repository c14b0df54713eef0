//! Whether the writer writes: by its last commit, and by how long jobs wait.

use std::time::{Duration, Instant};

/// Time between two probes, commits that only show whether commits fail: any client may ask for one.
pub(super) const PROBED_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct WriterHealth {
    /// When the writer began the group that it writes now.
    pub(super) busy_since: Option<Instant>,
    /// When and why the last commit failed; `None` after one that succeeded.
    pub(super) failed: Option<(Instant, String)>,
    probed: Option<Instant>,
}

/// Why the writer does not write at the moment.
pub(crate) enum WriterTrouble {
    /// The last commit failed, for this reason. The next one may succeed.
    Failing(String),
    /// No commit has ended for long, or the thread has stopped.
    Stuck(String),
}

impl WriterHealth {
    /// Whether it is time for a probe. Of many callers at a time one gets a yes.
    pub(super) fn may_probe(&mut self) -> bool {
        let is_time = self.probed.is_none_or(|at| at.elapsed() >= PROBED_EVERY);
        if is_time {
            self.probed = Some(Instant::now());
        }
        is_time
    }

    /// `waiting`: how long the oldest job has waited.
    pub(super) fn well(&self, waiting: Duration, timeout: Duration) -> Result<(), WriterTrouble> {
        let busy = self.busy_since.map_or(Duration::ZERO, |since| since.elapsed());
        if waiting.max(busy) > timeout {
            let millis = waiting.max(busy).as_millis();
            return Err(WriterTrouble::Stuck(format!("no commit has ended for {millis} ms")));
        }
        match &self.failed {
            None => Ok(()),
            Some((when, why)) => {
                let millis = when.elapsed().as_millis();
                Err(WriterTrouble::Failing(format!("a commit failed {millis} ms ago: {why}")))
            }
        }
    }
}
