//! The checkpointer: a thread that copies the log into the database file, so that no commit must do
//! it.
//!
//! A checkpoint inside a commit makes that commit wait 16 ms at the 99th percentile with small logs
//! and 140 ms with large ones. A log that is never reset grows without end under steady load. (Both
//! were measured.) So passive checkpoints run in the [`CheckpointPace`] while there are commits. If
//! the log is long and the last checkpoint left little, the thread holds the writers off for one
//! last small checkpoint: the next commit then restarts the log.
//!
//! Every checkpoint is passive: it never overwrites what a reader still needs. Litestream relies on
//! this: it holds a read transaction and reads the log itself (`tests/service/litestream.rs`). A mode that
//! waits for readers would hold the writers off meanwhile. While Litestream is away, see `missed_log`.

mod missed_log;
mod pace;

use std::cell::Cell;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hot::settings::LONG_CODES;
use rusqlite::{Connection, Result as SqlResult};

use crate::fair_file_lock::FairFileLock;
use crate::log_index::{LOG_PAGES, LogIndex};
use crate::readers::IdleReaders;
use crate::schema::{OpenError, open_reader};
use crate::txn::{CachedRows, Txn};
use pace::CheckpointPace;

/// Time between two checkpoints while there are no commits.
const IDLE_EVERY: Duration = Duration::from_millis(50);

/// Most pages that the checkpoint before the restart may leave; they take a millisecond.
const LEFT_PAGES: i64 = 1_000;

const SETTINGS_EVERY: Duration = Duration::from_millis(500);

/// How long after a setting was written every process knows it: twice the time between two reads.
pub(crate) const SETTINGS_KNOWN: Duration = Duration::from_secs(1);

const _: () = assert!(SETTINGS_KNOWN.as_millis() >= 2 * SETTINGS_EVERY.as_millis());

pub(crate) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    pub(crate) long_codes: Arc<AtomicBool>,
}

struct CheckpointLoop {
    conn: Connection,
    file_lock: FairFileLock,
    /// Never closed: closing any descriptor of the file drops every lock that SQLite has on it.
    file: ManuallyDrop<File>,
    index: LogIndex,
    /// Where Litestream keeps what it has not uploaded.
    litestream: PathBuf,
    /// The log, since Litestream was away.
    is_cut: Cell<bool>,
    long_codes: Arc<AtomicBool>,
    /// Of the writer, so far.
    busy_micros: Arc<AtomicU64>,
    readers: IdleReaders,
}

impl Checkpointer {
    pub(crate) fn start(
        folder: &Path,
        path: &Path,
        busy_micros: Arc<AtomicU64>,
        readers: IdleReaders,
    ) -> Result<Checkpointer, OpenError> {
        let file_error = |source| OpenError::File { folder: folder.display().to_string(), source };
        let conn = open_reader(path)?;
        conn.pragma_update(None, "query_only", false)?;
        let rounds = CheckpointLoop {
            conn,
            file_lock: FairFileLock::open(folder).map_err(file_error)?,
            file: ManuallyDrop::new(File::open(path).map_err(file_error)?),
            index: LogIndex::of(path),
            litestream: folder.join(".hot.db-litestream"),
            is_cut: Cell::new(false),
            long_codes: Arc::default(),
            busy_micros,
            readers,
        };
        rounds.look_at_settings()?;
        let long_codes = Arc::clone(&rounds.long_codes);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("hot-checkpoint".into())
            .spawn(move || rounds.go(&stopped))
            .map_err(file_error)?;
        Ok(Checkpointer { stop: Some(stop), thread: Some(thread), long_codes })
    }
}

/// Pages that a checkpoint has copied, by what there was before it and after it.
fn copied((pages_before, done_before): (i64, i64), (pages, done): (i64, i64)) -> u32 {
    // A shorter log was restarted meanwhile.
    let is_same_log = pages >= pages_before && done >= done_before;
    u32::try_from(if is_same_log { done - done_before } else { done }).unwrap_or(u32::MAX)
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the checkpointer has been reported by its own hook.
            let _ = thread.join();
        }
    }
}

impl CheckpointLoop {
    fn go(self, stopped: &Receiver<()>) {
        let (mut wait, mut log) = (IDLE_EVERY, (0, 0));
        let (mut pace, mut last) = (CheckpointPace::default(), (Instant::now(), 0));
        let mut looked = Instant::now();
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
            // Before the checkpoint, which may have to wait, or fail if the disk is full.
            if looked.elapsed() >= SETTINGS_EVERY {
                looked = Instant::now();
                if let Err(error) = self.look_at_settings() {
                    tracing::warn!(error = %error, "the settings could not be read");
                }
            }
            wait = IDLE_EVERY;
            match self.pass() {
                Ok(found) if found != log => {
                    let (now, busy) = (Instant::now(), self.busy_micros.load(Ordering::Relaxed));
                    let took = now.duration_since(last.0).as_secs_f64().max(1e-6);
                    let share = (busy - last.1) as f64 / 1e6 / took;
                    wait = pace.next(copied(log, found), share);
                    (last, log) = ((now, busy), found);
                }
                Ok(_) => {}
                // The log stays as it is, and the next round retries.
                Err(error) => tracing::warn!(error = %error, "a checkpoint failed"),
            }
        }
    }

    /// Copies what it can, and restarts the log if it is time. Returns what `checkpoint` does.
    fn pass(&self) -> SqlResult<(i64, i64)> {
        // Before the checkpoint, after which others may restart the log.
        let is_missed = self.is_log_missed();
        let (pages, done) = self.checkpoint()?;
        if (pages < LOG_PAGES && !is_missed) || pages - done > LEFT_PAGES {
            return Ok((pages, done));
        }
        // The kernel writes its pages to the disk here, while others may still write.
        if let Err(error) = self.file.sync_all() {
            tracing::warn!(error = %error, "the database file could not be synced");
            return Ok((pages, done));
        }
        match self.file_lock.enter() {
            Ok(_held) if is_missed => self.cut_log().and(self.checkpoint()),
            Ok(_held) => self.checkpoint(),
            Err(error) => {
                tracing::warn!(error = %error, "the fair file lock is out of order");
                Ok((pages, done))
            }
        }
    }

    /// One passive checkpoint: the pages in the log, and how many of them have been copied.
    fn checkpoint(&self) -> SqlResult<(i64, i64)> {
        self.readers.end();
        let mut pass = self.conn.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
        pass.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
    }

    fn look_at_settings(&self) -> SqlResult<()> {
        if !self.long_codes.load(Ordering::Relaxed)
            && Txn::new(&self.conn, &CachedRows::default()).setting(LONG_CODES)?.is_some()
        {
            self.long_codes.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
