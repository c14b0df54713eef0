//! One partition of `coupons` at one version of the table.

use std::sync::Arc;

use coupon::time::Day;

use super::{ColdStore, ColdStoreInner};
use crate::error::{ColdError, Result};
use crate::live::ColdFile;
use crate::log::TableVersion;

/// The files of a partition at one version of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdPartition {
    pub day: Day,
    pub version: u64,
    /// The number of the partition's last commit; 0 if there was none.
    pub archive_commit: u64,
    /// The live files, by archive commit, then by code.
    pub files: Vec<ColdFile>,
}

impl ColdPartition {
    pub(crate) fn of(known: &TableVersion, day: Day) -> ColdPartition {
        let files = known.files(day).iter().map(|live| ColdFile { live: Arc::clone(live) });
        ColdPartition {
            day,
            version: known.version,
            archive_commit: known.archive_commit(day),
            files: files.collect(),
        }
    }
}

impl ColdStore {
    /// Looks up the files of a partition. What this returns is durable, whoever committed it.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table; [`ColdError::Damaged`].
    pub async fn partition(&self, day: Day) -> Result<ColdPartition> {
        Ok(ColdPartition::of(&*self.settled().await?, day))
    }

    /// Looks up every partition that has a file or a commit, all at one version. Otherwise as
    /// [`ColdStore::partition`].
    pub async fn partitions(&self) -> Result<Vec<ColdPartition>> {
        let known = self.settled().await?;
        let mut days: Vec<Day> =
            known.archive_commits.keys().chain(known.files.keys()).copied().collect();
        days.sort_unstable();
        days.dedup();
        Ok(days.into_iter().map(|day| ColdPartition::of(&known, day)).collect())
    }

    /// Checks that every partition has the archive commits that the caller has seen. Returns the
    /// version at which it has.
    ///
    /// # Errors
    /// [`ColdError::Damaged`] if one is missing; otherwise as [`ColdStore::partition`].
    pub async fn has_archive_commits(&self, seen: &[(Day, u64)]) -> Result<u64> {
        let known = self.inner.coupons.newest().await?;
        match seen.iter().find(|(day, archive_commit)| known.archive_commit(*day) < *archive_commit)
        {
            Some((day, archive_commit)) => {
                Err(self.lost(*day, known.archive_commit(*day), *archive_commit))
            }
            None => Ok(known.version),
        }
    }

    /// A partition is behind an archive commit that was seen before: the log has lost an entry.
    pub(crate) fn lost(&self, day: Day, found: u64, seen: u64) -> ColdError {
        let ColdStoreInner { location, coupons, .. } = &*self.inner;
        let what = format!(
            "partition {day} ends with archive commit {found}, and archive commit {seen} was made: \
             an entry of the log is lost; restore it from a copy"
        );
        location.damaged(coupons.log_folder(), what)
    }

    /// The newest version, durable in the folder. A writer may have been killed after it named a
    /// commit and before it synced the folder, and rows are deleted from hot because of what this
    /// returns.
    async fn settled(&self) -> Result<Arc<TableVersion>> {
        let known = self.inner.coupons.newest().await?;
        self.inner.location.settle(&self.inner.coupons.log_folder()).await?;
        Ok(known)
    }
}
