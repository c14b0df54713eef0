//! The sources of a merge: runs of a partition in cold, and its rows in hot.

use std::collections::VecDeque;
use std::sync::Arc;

use cold::{CodeRows, ColdFile, ColdStore, CouponRows};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::{HotError, Partitions, Residue};
use tokio::sync::mpsc;

use crate::tiers::FileRun;
use crate::{CHUNK, Result};

pub(crate) enum MergeSource {
    Run(RunReader),
    /// Rows of hot, read one chunk ahead by a task of its own: reading and encoding overlap.
    Hot(mpsc::Receiver<HotChunk>),
}

/// Some rows of hot. The last chunk is empty.
type HotChunk = Result<Vec<MergeRow>, HotError>;

pub(crate) struct RunReader {
    cold: Arc<ColdStore>,
    left: VecDeque<ColdFile>,
    open: Option<Box<OpenFile>>,
    batch_rows: usize,
    is_rewritten: bool,
}

enum OpenFile {
    Rows(CouponRows),
    Keys(CodeRows),
}

pub(crate) enum MergeRow {
    /// A coupon that may have to be written.
    Coupon(Box<Coupon>),
    /// An archived marker: cold must have the code in this version.
    Promised { code: Code, version: u64 },
    /// A run that stays has the code in this version.
    There { code: Code, version: u64 },
}

/// A run whose rows are rewritten.
pub(crate) fn rows(cold: &Arc<ColdStore>, run: &FileRun, batch_rows: usize) -> MergeSource {
    MergeSource::Run(RunReader::new(cold, run, batch_rows, true))
}

/// A run that stays: only its codes and versions are read.
pub(crate) fn keys(cold: &Arc<ColdStore>, run: &FileRun, batch_rows: usize) -> MergeSource {
    MergeSource::Run(RunReader::new(cold, run, batch_rows, false))
}

/// Reads everything that is left of a sealed partition.
pub(crate) fn residue(hot: Arc<dyn Partitions>, day: Day, chunk_rows: usize) -> MergeSource {
    let (sender, chunks) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut after = None;
        loop {
            let chunk = hot.residue(day, after.take(), chunk_rows).await;
            after = chunk.as_ref().ok().and_then(|rows| rows.last()).map(|row| row.code().clone());
            let last = after.is_none();
            let chunk = chunk.map(|rows| rows.into_iter().map(MergeRow::of_residue).collect());
            // The receiver is gone: the merge has ended early.
            if sender.send(chunk).await.is_err() || last {
                return;
            }
        }
    });
    MergeSource::Hot(chunks)
}

/// Reads those coupons of `codes` that are still closed at `now`. `codes` ascend.
pub(crate) fn picked(
    hot: Arc<dyn Partitions>,
    day: Day,
    codes: Vec<Code>,
    now: Millis,
) -> MergeSource {
    let (sender, chunks) = mpsc::channel(1);
    tokio::spawn(async move {
        for some in codes.chunks(CHUNK) {
            let chunk = hot.closed_coupons(day, some.to_vec(), now).await;
            let failed = chunk.is_err();
            // An empty chunk would mean the end.
            let has_rows = chunk.as_ref().map_or(true, |rows| !rows.is_empty());
            let chunk = chunk.map(|rows| rows.into_iter().map(MergeRow::of).collect());
            if has_rows && (sender.send(chunk).await.is_err() || failed) {
                return;
            }
        }
        // The receiver is gone: the merge has ended early.
        let _ = sender.send(Ok(Vec::new())).await;
    });
    MergeSource::Hot(chunks)
}

impl MergeSource {
    pub(super) fn is_hot(&self) -> bool {
        matches!(self, MergeSource::Hot(_))
    }

    pub(super) fn writes(&self) -> bool {
        match self {
            MergeSource::Run(run) => run.is_rewritten,
            MergeSource::Hot(_) => true,
        }
    }

    /// The next rows; `None` at the end, after which it must not be called again.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<MergeRow>>> {
        match self {
            MergeSource::Run(run) => run.next().await,
            MergeSource::Hot(chunks) => {
                // A channel that closes without an empty chunk means that the task has died, which
                // is not the end of the partition: the rows that it did not read would be deleted
                // uncopied.
                let died =
                    || HotError::Unavailable("the task that reads a partition has died".into());
                let chunk = chunks.recv().await.ok_or_else(died)??;
                Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
            }
        }
    }
}

impl RunReader {
    fn new(
        cold: &Arc<ColdStore>,
        run: &FileRun,
        batch_rows: usize,
        is_rewritten: bool,
    ) -> RunReader {
        let left = run.files.iter().cloned().collect();
        RunReader { cold: Arc::clone(cold), left, open: None, batch_rows, is_rewritten }
    }

    async fn next(&mut self) -> Result<Option<Vec<MergeRow>>> {
        loop {
            let rows = match self.open.as_deref_mut() {
                None => None,
                Some(OpenFile::Rows(rows)) => {
                    rows.next().await?.map(|rows| rows.into_iter().map(MergeRow::of).collect())
                }
                Some(OpenFile::Keys(keys)) => {
                    let of = |(code, version)| MergeRow::There { code, version };
                    keys.next().await?.map(|keys| keys.into_iter().map(of).collect())
                }
            };
            if rows.is_some() {
                return Ok(rows);
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            let (cold, rows) = (&self.cold, self.batch_rows);
            self.open = Some(Box::new(match self.is_rewritten {
                true => OpenFile::Rows(cold.rows(&file).await?.in_batches_of(rows)),
                false => OpenFile::Keys(cold.keys(&file).await?.in_batches_of(rows)),
            }));
        }
    }
}

impl MergeRow {
    fn of(coupon: Coupon) -> MergeRow {
        MergeRow::Coupon(Box::new(coupon))
    }

    fn of_residue(residue: Residue) -> MergeRow {
        match residue {
            Residue::Coupon(coupon) => MergeRow::Coupon(coupon),
            Residue::ArchivedMarker { code, version } => MergeRow::Promised { code, version },
        }
    }

    pub(super) fn code(&self) -> &Code {
        match self {
            MergeRow::Coupon(coupon) => coupon.code(),
            MergeRow::Promised { code, .. } | MergeRow::There { code, .. } => code,
        }
    }
}
