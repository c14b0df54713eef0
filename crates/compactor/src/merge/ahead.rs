//! Sources of a merge in hot, read one chunk ahead.

use std::sync::Arc;

use coupon::code::Code;
use coupon::time::{Day, Millis};
use hot::{HotError, Partitions};
use tokio::sync::mpsc;

use super::source::MergeSource;
use crate::{CHUNK, CompactError};

/// Rows of hot, read by a task of its own: reading and encoding overlap.
pub(crate) struct ReadAhead<T> {
    chunks: mpsc::Receiver<Result<Vec<T>, HotError>>,
}

impl<T> ReadAhead<T> {
    /// The next chunk; the last one is empty. A channel that closes without it means that the task
    /// has died, which is not the end of the partition: the rows that it did not read would be
    /// deleted uncopied.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<T>>, CompactError> {
        let died = || HotError::Unavailable("the task that reads a partition has died".into());
        let chunk = self.chunks.recv().await.ok_or_else(died)??;
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
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
            // The receiver is gone: the merge has ended early.
            if sender.send(chunk).await.is_err() || last {
                return;
            }
        }
    });
    MergeSource::Residue(ReadAhead { chunks })
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
            if has_rows && (sender.send(chunk).await.is_err() || failed) {
                return;
            }
        }
        // The receiver is gone: the merge has ended early.
        let _ = sender.send(Ok(Vec::new())).await;
    });
    MergeSource::Picked(ReadAhead { chunks })
}
