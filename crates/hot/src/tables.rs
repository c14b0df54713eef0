//! Records: everything that a store keeps *about* coupons, as rows in partitions, ordered by their keys.
//!
//! A record is not a coupon: no rule decides by it, and what it says may be a moment late. A kind of record is
//! a constant [`RecordKind`] and the functions that make its rows; no engine knows what is in them.
//!
//! *Replaced* rows change by [`Tables::replace`] alone, all others by [`Tables::put`]: on a cluster the two have
//! different clocks, and a row that had both could lose the later write.

use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

/// Sorts behind every key: none begins with it.
pub const AFTER_ALL_KEYS: u8 = 0xFF;

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordKind {
    /// Its name in the store; never used again for something else.
    pub name: &'static str,
    /// What a power cut may take of it on one machine. On a cluster nothing is taken that was answered.
    pub sync: RecordSync,
}

/// When rows survive a power cut on one machine. A process that is killed loses none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordSync {
    /// When the call returns.
    AtOnce,
    /// Some seconds later, in the order in which they were written.
    Later,
}

/// A partition: rows that are read together and dropped together. On a cluster it is on one set of nodes, and
/// should stay below 100 MB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPart {
    pub kind: RecordKind,
    /// Its name among those of the kind.
    pub name: Vec<u8>,
}

impl RecordKind {
    pub fn part(self, name: impl Into<Vec<u8>>) -> RecordPart {
        RecordPart { kind: self, name: name.into() }
    }
}

/// A row that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordRow {
    /// Its place in the partition.
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// A row that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPut {
    /// Its place in the partition.
    pub key: Vec<u8>,
    /// What it says; `None` deletes it.
    pub value: Option<Vec<u8>>,
    /// After this time it is gone by itself. At least a second; fractions of one do not count.
    pub keep: Option<Duration>,
}

impl RecordPut {
    /// A row that stays.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> RecordPut {
        RecordPut { key: key.into(), value: Some(value.into()), keep: None }
    }

    /// The same for a time.
    #[must_use]
    pub fn kept_for(self, keep: Duration) -> RecordPut {
        RecordPut { keep: Some(keep), ..self }
    }

    /// Deletes a row. On a cluster it leaves a tombstone for a day: to delete many rows that are
    /// then read over, drop partitions instead.
    pub fn delete(key: impl Into<Vec<u8>>) -> RecordPut {
        RecordPut { key: key.into(), value: None, keep: None }
    }
}

/// Which rows of a partition to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRange {
    pub from: Vec<u8>,
    /// The first key that is not wanted any more; `None`: all.
    pub until: Option<Vec<u8>>,
    pub descending: bool,
    pub limit: usize,
}

impl RecordRange {
    pub fn first(limit: usize) -> RecordRange {
        RecordRange { from: Vec::new(), until: None, descending: false, limit }
    }

    /// The last rows of a partition, last one first.
    pub fn last(limit: usize) -> RecordRange {
        RecordRange { descending: true, ..RecordRange::first(limit) }
    }

    /// Of them, those behind a key.
    #[must_use]
    pub fn after(self, key: &[u8]) -> RecordRange {
        RecordRange { from: next_key(key), ..self }
    }

    /// Of them, those before a key.
    #[must_use]
    pub fn before(self, key: impl Into<Vec<u8>>) -> RecordRange {
        RecordRange { until: Some(key.into()), ..self }
    }
}

pub fn next_key(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Reads and writes records. Writes are durable when they return, as [`RecordSync`] says.
///
/// # Errors
/// Any [`HotError`] but `Cold`, from every method.
#[async_trait]
pub trait Tables: Send + Sync {
    async fn get(&self, part: &RecordPart, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Rows of a partition in the order of their keys, at most `range.limit`. Its cost grows with them, and with
    /// the rows that were deleted from the range within a day.
    async fn scan(&self, part: &RecordPart, range: RecordRange) -> Result<Vec<RecordRow>>;

    /// Writes rows of one partition, all or none, whatever was there. May be repeated: of two calls for one row the
    /// later one stays.
    async fn put(&self, part: &RecordPart, rows: Vec<RecordPut>) -> Result<()>;

    /// Replaces a row that still says `seen` (`None`: is not there), and returns whether it did. It may return `false`
    /// though it did, if the answer was lost and somebody has replaced the row since. If somebody else deletes it at
    /// the same time, both may be told that it was them.
    async fn replace(
        &self,
        part: &RecordPart,
        seen: Option<&[u8]>,
        next: RecordPut,
    ) -> Result<bool>;

    /// Deletes the rows of a partition before a key, or all of them: one write, however many there are.
    async fn drop_below(&self, part: &RecordPart, key: Option<&[u8]>) -> Result<()>;

    /// Deletes some rows whose time is over. Returns whether there may be more. To be called only by who trusts the
    /// clock. A cluster does it by itself.
    async fn forget_expired(&self) -> Result<bool>;
}
