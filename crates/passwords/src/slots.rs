//! Slots for one kind of password work: how many hashes run, how many wait, and how many of them are of one peer.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::PasswordError;
use super::places::CallerPlaces;
use super::throttle::SIGNING_MAX;

/// Turns for those working, places for them and for those waiting. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct HashSlots {
    /// Those working and those waiting.
    places: Arc<Semaphore>,
    /// Those working.
    turns: Arc<Semaphore>,
    /// Whose they are. Beside the slots, so that a peer has one share of them, whichever stores and front ends of
    /// the process it goes through.
    pub(super) of_peer: CallerPlaces,
}

impl HashSlots {
    pub(super) fn new(turns: usize, waiting: usize) -> HashSlots {
        HashSlots {
            places: Arc::new(Semaphore::new(turns + waiting)),
            turns: Arc::new(Semaphore::new(turns)),
            of_peer: CallerPlaces::new(SIGNING_MAX),
        }
    }

    /// Runs `work` on a thread where it may take its time.
    ///
    /// The permits go with the work, not with the request: a client that hangs up gives neither
    /// the core nor the memory back before the hash is done.
    ///
    /// # Errors
    /// [`PasswordError::TooMany`] at once where every place is taken; those of `work`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| PasswordError::TooMany)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| PasswordError::BrokenOff)?;
        let task = spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        task.await.unwrap_or(Err(PasswordError::BrokenOff))
    }

    #[cfg(test)]
    pub(super) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }
}
