//! The mark of the event feed: up to which slot readers have begun to read.

use std::error::Error;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

use futures::future::{select_ok, try_join_all};
use hot::HotError;
use tokio::sync::Mutex;

use crate::{CqlSession, Result};

/// Rows of `feed_progress`, which mostly stand on different nodes. A reader writes them all, a writer
/// reads one: so changes go on while the nodes of another one are down.
const COPIES: i32 = 3;

const MARK: &str = "SELECT slot FROM feed_progress WHERE part = ?";

pub struct FeedMarks {
    /// Reads of the mark that were begun.
    begun: AtomicU64,
    /// The last read that ended, and what it read, or why it could not.
    last: Mutex<(u64, std::result::Result<i64, String>)>,
    /// The copy that answered last.
    copy: AtomicI32,
    seen: AtomicI64,
    /// The highest mark that this process has written, and that was acknowledged.
    written: AtomicI64,
}

impl FeedMarks {
    /// `process` decides which copy is read first.
    pub fn new(process: u128) -> FeedMarks {
        FeedMarks {
            begun: AtomicU64::new(0),
            last: Mutex::new((0, Ok(i64::MIN))),
            copy: AtomicI32::new((process % COPIES.unsigned_abs() as u128) as i32),
            seen: AtomicI64::new(i64::MIN),
            written: AtomicI64::new(i64::MIN),
        }
    }

    /// The highest mark that this process has seen: a writer begins behind it. It may be out of date.
    pub fn seen(&self) -> i64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl CqlSession {
    /// The mark, from a read that began after this was called. One read answers all who ask before it
    /// begins, also if it fails: else each of them would wait for the failures of all before it.
    pub async fn mark_now(&self, marks: &FeedMarks) -> Result<i64> {
        let asked = marks.begun.load(Ordering::SeqCst);
        let mut last = marks.last.lock().await;
        if last.0 <= asked {
            // Before the read: a caller that asks while it is under way must not take its answer.
            let number = marks.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let mark = self.read_mark(marks).await.map_err(|error| match error.source() {
                Some(why) => why.to_string(),
                None => error.to_string(),
            });
            *last = (number, mark);
        }
        let mark = last.1.clone().map_err(|why| HotError::Unavailable(why.into()))?;
        marks.seen.fetch_max(mark, Ordering::Relaxed);
        Ok(mark)
    }

    async fn read_mark(&self, marks: &FeedMarks) -> Result<i64> {
        let read = async |copy: i32| {
            let mark: Option<i64> = self.value(MARK, (copy,)).await?;
            Ok::<_, HotError>((mark.unwrap_or(i64::MIN), copy))
        };
        let before = marks.copy.load(Ordering::Relaxed);
        let mut found = read(before).await;
        if found.is_err() {
            let others = (0..COPIES).filter(|copy| *copy != before);
            let others = others.map(|copy| Box::pin(read(copy)));
            found = select_ok(others).await.map(|(first, _)| first);
        }
        let (mark, copy) = found?;
        marks.copy.store(copy, Ordering::Relaxed);
        Ok(mark)
    }

    /// Marks that everything up to `slot` is read from now on. Returns after a quorum of each copy has
    /// the mark.
    ///
    /// Only a mark of its own saves a process the write: one that was only read may be on one node.
    pub async fn set_mark(&self, marks: &FeedMarks, slot: i64) -> Result<()> {
        if marks.written.load(Ordering::SeqCst) >= slot {
            return Ok(());
        }
        // With the slot as the write time the highest mark stays, whoever writes last.
        let cql = "INSERT INTO feed_progress (part, slot) VALUES (?, ?) USING TIMESTAMP ?";
        try_join_all((0..COPIES).map(|copy| self.write(cql, (copy, slot, slot)))).await?;
        // Only after a quorum has it: other readers of this process skip the write from now on.
        marks.written.fetch_max(slot, Ordering::SeqCst);
        marks.seen.fetch_max(slot, Ordering::Relaxed);
        Ok(())
    }
}
