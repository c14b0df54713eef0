//! One conditional write at a time in each partition, as far as this process is concerned.
//!
//! Conditional writes to one partition that do not queue time each other out (measured: of 1,280
//! writes by 32 tasks to one partition 100 to 240 ended unknown).

use std::hash::{BuildHasher, Hash, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// Queues; two partitions that share one by chance wait for each other, no more.
const QUEUES: usize = 4_096;

pub(super) struct Turns {
    queues: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Turns {
    pub(super) fn new() -> Turns {
        let queues = (0..QUEUES).map(|_| Mutex::new(())).collect();
        Turns { queues, hasher: RandomState::new() }
    }

    /// Waits until nobody else of this process writes to the partition.
    pub(super) async fn turn(&self, partition: impl Hash) -> MutexGuard<'_, ()> {
        let at = self.hasher.hash_one(partition) as usize % QUEUES;
        self.queues[at].lock().await
    }
}
