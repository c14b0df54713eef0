//! A lock for each key within one process.
//!
//! A process sends one conditional update at a time to each CQL partition. Without this lock such
//! updates delay each other until they time out: when 32 tasks sent 1,280 of them to one CQL
//! partition, 100 to 240 ended with an unknown outcome.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use crate::Result;
use hot::HotError;

/// Queues. Two keys that share one by chance wait for each other, which is harmless.
const QUEUES: usize = 4_096;

pub struct KeyedLock {
    queues: Vec<Mutex<()>>,
    hasher: RandomState,
    limit: Duration,
}

impl KeyedLock {
    /// Queues in which a task waits `limit` at most.
    pub fn new(limit: Duration) -> KeyedLock {
        let queues = (0..QUEUES).map(|_| Mutex::new(())).collect();
        KeyedLock { queues, hasher: RandomState::new(), limit }
    }

    /// `None` if another task holds the lock.
    pub fn try_lock(&self, what: impl Hash) -> Option<MutexGuard<'_, ()>> {
        self.queue_of(what).try_lock().ok()
    }

    /// Waits until no other task of this process holds the lock of `what`.
    ///
    /// # Errors
    /// `Unavailable` after the limit.
    pub async fn lock(&self, what: impl Hash) -> Result<MutexGuard<'_, ()>> {
        let lock = tokio::time::timeout(self.limit, self.queue_of(what).lock()).await;
        let others = "other requests of this process change the same";
        let late =
            |_| HotError::Unavailable(format!("no lock within {:?}: {others}", self.limit).into());
        lock.map_err(late)
    }

    fn queue_of(&self, what: impl Hash) -> &Mutex<()> {
        &self.queues[self.hasher.hash_one(what) as usize % QUEUES]
    }
}
