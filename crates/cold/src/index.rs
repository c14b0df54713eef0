//! The holder index: whole coupons sorted by holder, so that a holder's list reads a few row
//! groups, however many expiry days and files there are.
//!
//! Invariants: the index is derived from the committed files of `coupons` and from nothing else. It
//! may lag behind them; it may be deleted as a whole, and the next merge rebuilds it. From level 1
//! on, the files of a level have disjoint ranges of holders. A row whose holder is erased leaves its
//! place in this order for a new file of level 0.
//!
//! The files form a log-structured merge tree. New rows go to a file of level 0. Each level is ten
//! times as large as the one above it, so a holder is in at most one file of each level from 1 on,
//! and a row is rewritten a bounded number of times for each level.
//!
//! Commits to the index are totally ordered: each carries the transaction id `holder_index` with
//! the next number, and a writer that finds the number taken has lost and begins again. A commit
//! that completes a partition also carries the transaction id of that partition, with the archive
//! commit up to which the index has it. A list reads later archive commits from the files of
//! `coupons_by_holder`. Rows of a merge that was killed are taken in again; duplicates are removed.

mod erase;
mod intake;
mod plan;
mod write;

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use coupon::time::Day;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::bounds::ColumnBounds;
use crate::cursor::RowDecoder;
use crate::error::{ColdError, Result};
use crate::indexed::HolderIndexRow;
use crate::live::{ColdFile, LiveFile, NewFile};
use crate::log::{CommitOutcome, PartitionChange, TableVersion};
use crate::merge::{RowMerge, VersionedRow};
use crate::names::FileOrigin;
use crate::store::{ColdStore, ColdStoreInner};
use crate::{decode, names};
use write::{PIECE, encoder};

/// Footers read at once.
const READS_MAX: usize = 8;

/// Why a merge of the index ends early.
enum IndexStop {
    /// Another process has committed to the index.
    Lost,
    Cold(ColdError),
}

impl From<ColdError> for IndexStop {
    fn from(error: ColdError) -> IndexStop {
        IndexStop::Cold(error)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HolderMerge {
    pub taken_in: u64,
    /// Rows written, including rows that were in the index before.
    pub written: u64,
    pub commits: u64,
    /// Whether the index has every coupon and no merge is due. Otherwise `rows_max` was reached, or
    /// another process merges at the same time: call again.
    pub is_done: bool,
}

impl ColdStore {
    /// Brings the holder index up to date with `coupons`, and merges its files where a merge is
    /// due. Stops after about `rows_max` rows; it may exceed that by the new coupons of one
    /// partition, or by one merge, which is some twenty files of
    /// [`crate::ColdOptions::index_file_bytes`]. Holds 32,768 coupons in memory. Safe to repeat and to
    /// kill. If several processes call it at once, one of them gets through, and a sweep deletes
    /// the files of the others.
    ///
    /// Call it after a compaction, until [`HolderMerge::is_done`] or until the time of the run is
    /// over. Lists are right without it; each reads two ranges more for each file that is not
    /// merged yet.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table `coupons`; [`ColdError::Full`];
    /// [`ColdError::Damaged`], for a damaged partition after all others were taken in. What was
    /// committed before the error stays.
    pub async fn merge_holders(&self, rows_max: u64) -> Result<HolderMerge> {
        self.inner.index.create().await?;
        let mut done = HolderMerge::default();
        match self.pinned().merge_up_to(rows_max, &mut done).await {
            Ok(is_done) => done.is_done = is_done,
            Err(IndexStop::Lost) => {}
            Err(IndexStop::Cold(error)) => return Err(error),
        }
        Ok(done)
    }

    /// Returns whether the index has every coupon and no merge is due.
    async fn merge_up_to(&self, rows_max: u64, done: &mut HolderMerge) -> Result<bool, IndexStop> {
        let mut unread = UnreadPartitions::default();
        while done.written < rows_max {
            let known = self.inner.index.newest().await?;
            // Merges first: a list reads each file of level 0 that waits.
            if let Some(merge) = self.due(&known).await? {
                self.merge_index(&known, &merge, None, done).await?;
            } else if !self.take_in(&known, rows_max, done, &mut unread).await? {
                return unread.first.map_or(Ok(true), |error| Err(error.into()));
            }
        }
        Ok(false)
    }

    /// The merge that is due. Reads the footers of the files of two levels, unless their holders are remembered.
    async fn due(&self, known: &TableVersion) -> Result<Option<plan::IndexMerge>> {
        let (files, bytes) = (known.files(names::INDEX), self.index_file_bytes());
        let Some(plan::IndexMerge { target: target @ 1.., .. }) = plan::due(files, bytes) else {
            return Ok(plan::due(files, bytes));
        };
        let bounded = files.iter().map(|file| async move {
            let level = names::level(&file.path).unwrap_or(0);
            match level + 1 == target || level == target {
                true => self.with_holders(file).await,
                false => Ok(Arc::clone(file)),
            }
        });
        let bounded: Vec<_> = bounded.collect();
        let bounded: Vec<_> = stream::iter(bounded).buffered(READS_MAX).try_collect().await?;
        Ok(plan::due(&bounded, bytes))
    }

    async fn with_holders(&self, file: &Arc<LiveFile>) -> Result<Arc<LiveFile>> {
        match self.inner.files.holders(file).await {
            Ok(holder) => {
                let bounds = ColumnBounds { holder, ..file.bounds.clone() };
                Ok(Arc::new(LiveFile { bounds, ..(**file).clone() }))
            }
            Err(error) => Err(self.inner.index.unread_file(file, error).await),
        }
    }

    /// Merges files into files of the target level, each coupon once, and commits them in place of
    /// the old ones, without the coupons of deleted days. The coupons of a holder who was erased come into files of level 0.
    async fn merge_index(
        &self,
        on: &TableVersion,
        merge: &plan::IndexMerge,
        deleted: Option<&BTreeSet<Day>>,
        done: &mut HolderMerge,
    ) -> Result<(), IndexStop> {
        let ColdStoreInner { location, index, .. } = &*self.inner;
        let origin = self.next_origin(on);
        let mut files = Vec::with_capacity(merge.files.len());
        for file in &merge.files {
            let reading = RowDecoder::all(|batch, names| {
                decode::indexed(batch, names, |holder| !names.renames(holder))
            });
            files.push(self.open_where(index, file, reading, |_| true).await?);
        }
        let mut rows = RowMerge::new(files);
        let encoder = encoder(location, merge.target, origin, self.index_file_bytes());
        let mut piece = Vec::with_capacity(PIECE);
        while let Some(row) = rows.next().await? {
            if deleted.is_some_and(|days| days.contains(&row.day)) {
                continue;
            }
            piece.push(row);
            if piece.len() == PIECE && !encoder.push(std::mem::take(&mut piece)).await {
                break;
            }
        }
        encoder.push(piece).await;
        let mut added = encoder.finish().await?;
        added.extend(self.renamed(&merge.files, origin).await?);
        self.commit_index(on, added, &merge.files, Vec::new(), done).await
    }

    /// Reads the new files back, then commits them.
    async fn commit_index(
        &self,
        on: &TableVersion,
        added: Vec<NewFile>,
        removed: &[Arc<LiveFile>],
        covers: Vec<(Day, u64)>,
        done: &mut HolderMerge,
    ) -> Result<(), IndexStop> {
        let ColdStoreInner { location, index, files, .. } = &*self.inner;
        let after = on.archive_commit(names::INDEX);
        for NewFile { file: ColdFile { live }, .. } in &added {
            if let Err(error) = files.check(live).await {
                return Err(index.unread_file(live, error).await.into());
            }
        }
        let rows: u64 = added.iter().map(|new| new.file.rows()).sum();
        let removed: HashSet<String> = removed.iter().map(|file| file.path.clone()).collect();
        let change = PartitionChange {
            day: names::INDEX,
            after,
            archive_commit: after + 1,
            added,
            removed,
            covers,
        };
        match index.commit(change, u64::MAX).await? {
            CommitOutcome::Done { .. } => {
                done.written += rows;
                done.commits += 1;
                Ok(())
            }
            // Otherwise the caller would believe for ever that another process merges.
            CommitOutcome::Taken { archive_commit } if archive_commit <= after => {
                Err(location.unavailable("a commit to the holder index was refused").into())
            }
            CommitOutcome::Taken { .. } | CommitOutcome::Moved { .. } => Err(IndexStop::Lost),
        }
    }

    /// Checks that `coupons` has everything that the holder index was made of. It does not if one
    /// of the two was restored to an earlier state: then lists would leave coupons out for ever.
    ///
    /// # Errors
    /// [`ColdError::Damaged`] says what to do; otherwise as [`ColdStore::version`].
    pub async fn index_fits(&self) -> Result<()> {
        let Some(index) = self.inner.index.newest_if_any().await? else { return Ok(()) };
        self.fits(&index, &*self.inner.coupons.newest().await?)
    }

    /// The version of the index must be looked up first. So if it is ahead, `coupons` has lost rows
    /// that the index was made of.
    fn fits(&self, on: &TableVersion, coupons: &TableVersion) -> Result<()> {
        let is_ahead = |(day, archive_commit): &(&Day, &u64)| {
            **day != names::INDEX && coupons.archive_commit(**day) < **archive_commit
        };
        let Some((day, _)) = on.archive_commits.iter().find(is_ahead) else { return Ok(()) };
        let ColdStoreInner { location, index, .. } = &*self.inner;
        let what = format!(
            "it has later archive commits of {} than coupons, which was restored to an earlier \
             state: delete the folder {} while no couponry runs",
            names::iso(*day),
            index.folder()
        );
        Err(location.damaged(index.log_folder(), what))
    }

    /// Of the files of the next commit.
    fn next_origin(&self, on: &TableVersion) -> FileOrigin {
        let archive_commit = on.archive_commit(names::INDEX) + 1;
        let through = self.erasures().set.last;
        FileOrigin { day: names::INDEX, archive_commit, rewrites: 0, through }
    }

    fn index_file_bytes(&self) -> u64 {
        self.inner.options.index_file_bytes.max(1)
    }
}

impl VersionedRow for HolderIndexRow {
    fn order(&self, other: &HolderIndexRow) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn version(&self) -> u64 {
        self.coupon.version()
    }
}

/// Partitions that could not be taken in, and the first error.
#[derive(Default)]
struct UnreadPartitions {
    days: BTreeSet<Day>,
    first: Option<ColdError>,
}
