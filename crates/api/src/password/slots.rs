//! Slots for one kind of password work: how many hashes run, how many wait, and the memory that
//! they use one after the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::PasswordError;

/// Blocks of 1 KiB for which address space is reserved: 33 MiB, of which a hash touches 19.
///
/// glibc maps an allocation of more than 32 MiB by itself and unmaps it when it is freed. A
/// smaller one it keeps after the first time, once for each thread that ever hashed a password.
const RESERVED_BLOCKS: usize = 33 * 1_024;

/// The memory of one hash. Holds traces of the last one, which argon2 overwrites before it reads.
#[derive(Debug, Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// At least `blocks` blocks.
    pub(super) fn of(&mut self, blocks: usize) -> &mut [Block] {
        if self.0.len() < blocks {
            self.0 = Vec::with_capacity(blocks.max(RESERVED_BLOCKS));
            self.0.resize(blocks, Block::new());
        }
        &mut self.0
    }

    #[cfg(test)]
    pub(super) fn is_new(&self) -> bool {
        self.0.is_empty()
    }
}

/// Turns for those working, places for them and for those waiting. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Those working and those waiting.
    places: Arc<Semaphore>,
    places_max: usize,
    /// Those working.
    turns: Arc<Semaphore>,
    /// Memory that nobody uses at the moment; at most one for each turn.
    idle: Mutex<Vec<Memory>>,
}

impl Slots {
    pub(super) fn new(turns: usize, waiting: usize) -> Slots {
        let places_max = turns + waiting;
        Slots(Arc::new(Shared {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            turns: Arc::new(Semaphore::new(turns)),
            idle: Mutex::default(),
        }))
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
        work: impl FnOnce(&mut Memory) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let slot = self.slot()?;
        let turn = Arc::clone(&self.0.turns).acquire_owned().await;
        let turn = turn.map_err(|_| PasswordError::BrokenOff)?;
        let task = spawn_blocking(move || {
            let slots = &slot.slots;
            let mut memory = slots.idle().pop().unwrap_or_default();
            let done = work(&mut memory);
            slots.idle().push(memory);
            drop(turn);
            drop(slot);
            done
        });
        task.await.unwrap_or(Err(PasswordError::BrokenOff))
    }

    fn slot(&self) -> Result<HashingSlot, PasswordError> {
        let permit = Arc::clone(&self.0.places).try_acquire_owned();
        let permit = permit.map_err(|_| PasswordError::TooMany)?;
        Ok(HashingSlot { permit: Some(permit), slots: Arc::clone(&self.0) })
    }

    /// How many pieces of memory are kept for the next hash.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.0.idle().len()
    }

    #[cfg(test)]
    pub(super) fn turns(&self) -> &Arc<Semaphore> {
        &self.0.turns
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever leaves last frees the memory, also one whose client hung up while it waited.
#[derive(Debug)]
struct HashingSlot {
    permit: Option<OwnedSemaphorePermit>,
    slots: Arc<Shared>,
}

impl Drop for HashingSlot {
    fn drop(&mut self) {
        drop(self.permit.take());
        if self.slots.places.available_permits() == self.slots.places_max {
            // Freed outside the lock: to unmap 19 MiB takes a while.
            let unused = std::mem::take(&mut *self.slots.idle());
            drop(unused);
        }
    }
}
