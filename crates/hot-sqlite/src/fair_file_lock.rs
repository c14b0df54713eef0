//! Fairness between processes that write one file.
//!
//! `busy_timeout` alone starves: whoever releases the write lock takes it again before the other
//! wakes (measured: 8 operations a second beside a process that holds it 50 ms at a time). Two
//! lock files make a queue: whoever wants to write waits for the first, and the kernel opens
//! it again when a process dies.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::schema;

pub(super) struct FairFileLock {
    turn: File,
    write: File,
}

/// Held while a write transaction runs.
pub(super) struct Pass<'a>(&'a File);

impl FairFileLock {
    pub(super) fn open(folder: &Path) -> io::Result<FairFileLock> {
        let open = |name: &str| {
            let path = folder.join(name);
            schema::create_private(&path)?;
            OpenOptions::new().write(true).open(path)
        };
        Ok(FairFileLock { turn: open("hot.turn")?, write: open("hot.write")? })
    }

    /// Waits for its turn, without end: callers give up on their own.
    pub(super) fn enter(&self) -> io::Result<Pass<'_>> {
        self.turn.lock()?;
        let entered = self.write.lock();
        self.turn.unlock()?;
        entered.map(|()| Pass(&self.write))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Fails only for a closed descriptor; then the lock is gone already.
        let _ = self.0.unlock();
    }
}
