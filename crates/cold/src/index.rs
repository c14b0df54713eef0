//! The holder index: whole coupons sorted by holder, so that a holder's list reads a few row
//! groups, however many expiry days and files there are.
//!
//! Invariants: the index is derived from the committed files of `coupons` and from nothing else. It
//! may lag behind them; it may be deleted as a whole, and the next merge rebuilds it. From level 1
//! on, the files of a level have disjoint ranges of holders.
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

mod commit;
mod intake;
mod merge;
mod plan;
mod write;

use std::collections::BTreeSet;

use coupon::time::Day;

use crate::error::{ColdError, Result};
use crate::log::TableVersion;
use crate::names;
use crate::store::{ColdStore, ColdStoreInner};

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
        match self.merge_up_to(rows_max, &mut done).await {
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
            if let Some(merge) = plan::due(known.files(names::INDEX), self.index_file_bytes()) {
                self.merge_index(&known, &merge, done).await?;
            } else if !self.take_in(&known, rows_max, done, &mut unread).await? {
                return unread.first.map_or(Ok(true), |error| Err(error.into()));
            }
        }
        Ok(false)
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

    /// The version of the index must be looked up first.
    fn fits(&self, index: &TableVersion, coupons: &TableVersion) -> Result<()> {
        let is_ahead = |(day, archive_commit): &(&Day, &u64)| {
            **day != names::INDEX && coupons.archive_commit(**day) < **archive_commit
        };
        match index.archive_commits.iter().find(is_ahead) {
            Some((day, _)) => Err(self.ahead(*day)),
            None => Ok(()),
        }
    }

    fn index_file_bytes(&self) -> u64 {
        self.inner.options.index_file_bytes.max(1)
    }

    /// The index was looked up first, so `coupons` has lost rows that the index was made of.
    fn ahead(&self, day: Day) -> ColdError {
        let ColdStoreInner { location, index, .. } = &*self.inner;
        let what = format!(
            "it has later archive commits of {} than coupons, which was restored to an earlier \
             state: delete the folder {} while no couponry runs",
            names::iso(day),
            index.folder()
        );
        location.damaged(index.log_folder(), what)
    }
}

/// Partitions that could not be taken in, and the first error.
#[derive(Default)]
struct UnreadPartitions {
    days: BTreeSet<Day>,
    first: Option<ColdError>,
}
