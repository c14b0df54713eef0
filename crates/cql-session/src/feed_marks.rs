//! The mark of the event feed: up to which slot readers have begun to read.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::{CqlSession, Result};

/// The one row of `feed_progress`.
const PART: i32 = 0;

pub struct FeedMarks {
    /// Reads of the mark that were begun.
    begun: AtomicU64,
    /// The last read that ended, and what it read.
    last: Mutex<(u64, i64)>,
    seen: AtomicI64,
    /// The highest mark that this process has written, and that was acknowledged.
    written: AtomicI64,
}

impl Default for FeedMarks {
    fn default() -> FeedMarks {
        FeedMarks {
            begun: AtomicU64::new(0),
            last: Mutex::new((0, i64::MIN)),
            seen: AtomicI64::new(i64::MIN),
            written: AtomicI64::new(i64::MIN),
        }
    }
}

impl FeedMarks {
    /// The highest mark that this process has seen: a writer begins behind it. It may be out of date.
    pub fn seen(&self) -> i64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl CqlSession {
    /// The mark, from a read that began after this was called. One read answers all who ask before it
    /// begins.
    pub async fn mark_now(&self, marks: &FeedMarks) -> Result<i64> {
        let asked = marks.begun.load(Ordering::SeqCst);
        let mut last = marks.last.lock().await;
        if last.0 > asked {
            return Ok(last.1);
        }
        // Before the read: a caller that asks while it is under way must not take its answer.
        let number = marks.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let cql = "SELECT slot FROM feed_progress WHERE part = ?";
        let mark: Option<i64> = self.value(cql, (PART,)).await?;
        let mark = mark.unwrap_or(i64::MIN);
        marks.seen.fetch_max(mark, Ordering::Relaxed);
        *last = (number, mark);
        Ok(mark)
    }

    /// Marks that everything up to `slot` is read from now on. Returns after a quorum has the mark.
    ///
    /// Only a mark of its own saves a process the write: one that was only read may be on one node.
    pub async fn set_mark(&self, marks: &FeedMarks, slot: i64) -> Result<()> {
        if marks.written.load(Ordering::SeqCst) >= slot {
            return Ok(());
        }
        // With the slot as the write time the highest mark stays, whoever writes last.
        let cql = "INSERT INTO feed_progress (part, slot) VALUES (?, ?) USING TIMESTAMP ?";
        self.write(cql, (PART, slot, slot)).await?;
        // Only after a quorum has it: other readers of this process skip the write from now on.
        marks.written.fetch_max(slot, Ordering::SeqCst);
        marks.seen.fetch_max(slot, Ordering::Relaxed);
        Ok(())
    }
}
