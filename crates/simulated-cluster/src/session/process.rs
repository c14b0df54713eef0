//! One process of couponry: whether it runs, and what its clock says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::EPOCH_MS;

/// A process. Its clones share it. Nothing that it waits for ends while it is frozen, or ever after
/// it is killed.
#[derive(Clone)]
pub struct SimulatedProcess(Arc<SharedProcess>);

struct SharedProcess {
    name: String,
    state: Mutex<ProcessState>,
}

struct ProcessState {
    is_killed: bool,
    frozen_until: Option<Instant>,
    ahead_ms: i64,
    began: Instant,
}

impl SimulatedProcess {
    /// A process whose clock is ahead, or behind if that is negative. Its clock begins now, or with
    /// the cluster of its first session.
    pub fn new(name: &str, clock_ahead_ms: i64) -> SimulatedProcess {
        let (ahead_ms, began) = (clock_ahead_ms, Instant::now());
        let state = ProcessState { is_killed: false, frozen_until: None, ahead_ms, began };
        SimulatedProcess(Arc::new(SharedProcess {
            name: name.to_owned(),
            state: Mutex::new(state),
        }))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Stops it for ever.
    pub fn kill(&self) {
        self.with(|state| state.is_killed = true);
    }

    /// Whether it was stopped for ever.
    pub fn is_killed(&self) -> bool {
        self.with(|state| state.is_killed)
    }

    /// Stops it for a while.
    pub fn freeze(&self, time: Duration) {
        let until = Instant::now() + time;
        self.with(|state| state.frozen_until = state.frozen_until.max(Some(until)));
    }

    /// Sets how far its clock is ahead.
    pub fn set_clock(&self, ahead_ms: i64) {
        self.with(|state| state.ahead_ms = ahead_ms);
    }

    /// What its clock says, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.with(|state| {
            let elapsed = i64::try_from(state.began.elapsed().as_millis()).unwrap_or(i64::MAX);
            EPOCH_MS + state.ahead_ms + elapsed
        })
    }

    /// Waits while the process is frozen, and for ever once it is killed.
    pub async fn gate(&self) {
        loop {
            match self.with(|state| (state.is_killed, state.frozen_until)) {
                (true, _) => return std::future::pending().await,
                (false, Some(until)) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Its clock counts from `began`.
    pub(super) fn begin(&self, began: Instant) {
        self.with(|state| state.began = began);
    }

    fn with<T>(&self, work: impl FnOnce(&mut ProcessState) -> T) -> T {
        work(&mut self.0.state.lock().expect("nothing panics with the state in its hand"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_frozen_process_waits_and_a_killed_one_waits_for_ever() {
        let process = SimulatedProcess::new("serve 1", 250);
        let began = Instant::now();
        assert_eq!(process.now_ms(), EPOCH_MS + 250);
        process.freeze(Duration::from_secs(3_600));
        process.gate().await;
        assert_eq!(began.elapsed().as_secs(), 3_600);
        assert!((0..10).contains(&(process.now_ms() - EPOCH_MS - 250 - 3_600_000)));
        process.kill();
        let waited = tokio::time::timeout(Duration::from_secs(86_400), process.gate()).await;
        assert!(waited.is_err() && process.is_killed());
    }
}
