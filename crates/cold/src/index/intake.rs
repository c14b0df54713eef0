//! Taking new coupons into the holder index: from files of `coupons` to files of level 0.

use std::sync::Arc;

use coupon::time::Day;

use super::write::{PIECE, encoder};
use super::{HolderMerge, IndexStop, UnreadPartitions};
use crate::cursor::RowDecoder;
use crate::decode;
use crate::error::{ColdError, Result};
use crate::indexed::HolderIndexRow;
use crate::live::{LiveFile, NewFile};
use crate::log::TableVersion;
use crate::names::FileOrigin;
use crate::store::ColdStore;

/// Coupons sorted in memory. Each takes about a kilobyte with its events.
pub(super) const CHUNK_ROWS: usize = 32_768;

struct PendingIntake {
    /// The version of the index before that file.
    known: Arc<TableVersion>,
    rows: Vec<HolderIndexRow>,
    /// Partitions that are complete with that file, and their archive commits.
    covers: Vec<(Day, u64)>,
}

impl ColdStore {
    /// Takes in the new coupons of partitions that the index lags behind, one after the other,
    /// until there are enough for a file. Returns `false` if the index lags behind none.
    pub(super) async fn take_in(
        &self,
        on: &Arc<TableVersion>,
        rows_max: u64,
        done: &mut HolderMerge,
        unread: &mut UnreadPartitions,
    ) -> Result<bool, IndexStop> {
        let truth = self.inner.coupons.newest().await?;
        self.fits(on, &truth)?;
        let mut behind = truth.archive_commits.clone();
        behind.retain(|day, archive_commit| {
            on.archive_commit(*day) < *archive_commit && !unread.days.contains(day)
        });
        if behind.is_empty() {
            return Ok(false);
        }
        let mut intake =
            PendingIntake { known: Arc::clone(on), rows: Vec::new(), covers: Vec::new() };
        for (day, archive_commit) in behind {
            let after = on.archive_commit(day);
            let newer = |file: &&Arc<LiveFile>| file.newest_archive_commit() > after;
            let mut is_whole = true;
            for file in truth.files(day).iter().filter(newer) {
                match self.take_file(file, after, &mut intake, done).await {
                    Ok(()) => {}
                    // A damaged partition does not stop the others. Its rows that were read are
                    // taken in again when it is whole.
                    Err(IndexStop::Cold(error @ ColdError::Damaged { .. })) => {
                        unread.days.insert(day);
                        unread.first.get_or_insert(error);
                        is_whole = false;
                        break;
                    }
                    Err(stop) => return Err(stop),
                }
            }
            if is_whole {
                intake.covers.push((day, archive_commit));
            }
            let waiting = intake.rows.len();
            if waiting >= CHUNK_ROWS || done.written + waiting as u64 >= rows_max {
                break;
            }
        }
        // If none of the partitions could be read, there is nothing to commit.
        if !intake.rows.is_empty() || !intake.covers.is_empty() {
            self.add_file(&mut intake, done).await?;
        }
        Ok(true)
    }

    /// Takes the coupons with a holder that came into a file after archive commit `after`.
    async fn take_file(
        &self,
        file: &Arc<LiveFile>,
        after: u64,
        intake: &mut PendingIntake,
        done: &mut HolderMerge,
    ) -> Result<(), IndexStop> {
        let day = file.origin.day;
        let held = RowDecoder::all(move |batch, names| {
            decode::coupons_behind(batch, names, after).map(|mut coupons| {
                coupons.retain(|coupon| coupon.holder().is_some());
                coupons
            })
        });
        let mut rows = self.open(file, held).await?;
        while let Some(coupons) = rows.next().await? {
            intake.rows.extend(coupons.into_iter().map(|coupon| HolderIndexRow { day, coupon }));
            if intake.rows.len() >= CHUNK_ROWS {
                self.add_file(intake, done).await?;
            }
        }
        Ok(())
    }

    /// Commits the pending rows as a file of level 0, then does every merge that is due.
    async fn add_file(
        &self,
        intake: &mut PendingIntake,
        done: &mut HolderMerge,
    ) -> Result<(), IndexStop> {
        let rows = std::mem::take(&mut intake.rows);
        let count = rows.len() as u64;
        let added = self.new_files(rows, self.next_origin(&intake.known)).await?;
        // In the commit of their last rows: a list no longer reads the side table for them.
        let covers = std::mem::take(&mut intake.covers);
        self.commit_index(&intake.known, added, &[], covers, done).await?;
        done.taken_in += count;
        intake.known = self.inner.index.newest().await?;
        while let Some(merge) = self.due(&intake.known).await? {
            self.merge_index(&intake.known, &merge, None, done).await?;
            intake.known = self.inner.index.newest().await?;
        }
        Ok(())
    }

    /// Writes files of level 0 with `rows`, which may be in any order.
    pub(super) async fn new_files(
        &self,
        mut rows: Vec<HolderIndexRow>,
        origin: FileOrigin,
    ) -> Result<Vec<NewFile>> {
        rows.sort_unstable_by(|a, b| {
            a.key().cmp(&b.key()).then(b.coupon.version().cmp(&a.coupon.version()))
        });
        rows.dedup_by(|later, first| later.key() == first.key());
        let encoder = encoder(&self.inner.location, 0, origin, self.index_file_bytes());
        while !rows.is_empty() {
            let later = rows.split_off(rows.len().min(PIECE));
            if !encoder.push(std::mem::replace(&mut rows, later)).await {
                break;
            }
        }
        encoder.finish().await
    }
}
