//! Archive commits: writing the files of one, and committing them.

use coupon::time::Day;

use crate::error::{ColdError, Result};
use crate::files::ReadError;
use crate::live::{ColdFile, NewFile};
use crate::log::{CommitOutcome, PartitionChange};
use crate::names::FileOrigin;
use crate::origins::OriginReader;
use crate::store::{ColdPartition, ColdStore, ColdStoreInner};
use crate::write::PartitionWriter;

impl ColdStore {
    /// Checks that there is a folder for the partition of `day`: a day outside the years 1970 to
    /// 9999 would share the first or the last folder with another one. Reads nothing.
    ///
    /// # Errors
    /// [`ColdError::NoFolder`].
    pub fn check_day(day: Day) -> Result<()> {
        match day.can_be_archived() {
            true => Ok(()),
            false if day < Day(0) => Err(ColdError::NoFolder { side: "before 1970-01-01" }),
            false => Err(ColdError::NoFolder { side: "after 9999-12-31" }),
        }
    }

    /// Begins the files of an archive commit. They are encoded on another thread. Merges have
    /// rewritten the rows at most `rewrites` times, this one included; [`ColdFile::rewrites`]
    /// returns that number.
    ///
    /// For a coupon that one of the `replaced` files of the partition has in the same version, the
    /// new file keeps the archive commit that brought it to cold. So a reader of newer rows
    /// ([`ColdStore::keys_behind`], [`ColdStore::archived`], the holder index) skips these rows.
    /// Reads the codes and versions of `replaced` once more, in parallel.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table; [`ColdError::Damaged`],
    /// [`ColdError::NoFolder`]; for the replaced files as [`ColdStore::rows`].
    pub async fn writer(
        &self,
        day: Day,
        archive_commit: u64,
        rewrites: u8,
        replaced: &[ColdFile],
    ) -> Result<PartitionWriter> {
        let ColdStoreInner { location, options, coupons, .. } = &*self.inner;
        ColdStore::check_day(day)?;
        coupons.newest().await?;
        self.can_replace(replaced).await?;
        let origins = OriginReader::of_files(self, archive_commit, replaced).await?;
        let through = self.erasures().set.last;
        let origin = FileOrigin { day, archive_commit, rewrites, through };
        Ok(PartitionWriter::new(location, options, origin, origins))
    }

    /// Makes an archive commit: adds `files` and removes `removed`. It is made on the newest
    /// version at which the partition's last number is still `on.archive_commit` and every file to
    /// remove is live. `archive_commit` must be the next number. If the answer of the store is
    /// lost, the outcome is looked up. Repeating the call does not commit twice.
    /// [`CommitOutcome::Done`] is durable.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], [`ColdError::Damaged`]. Losing to another
    /// commit is [`CommitOutcome::Taken`], and [`CommitOutcome::Moved`] if the version of the table
    /// would be higher than `up_to`.
    pub async fn commit(
        &self,
        on: &ColdPartition,
        archive_commit: u64,
        files: &[NewFile],
        removed: &[ColdFile],
        up_to: u64,
    ) -> Result<CommitOutcome> {
        let is_of_archive_commit = |NewFile { file, .. }: &NewFile| {
            file.day() == on.day && file.archive_commit() == archive_commit
        };
        if archive_commit != on.archive_commit + 1 || !files.iter().all(is_of_archive_commit) {
            return Ok(CommitOutcome::Taken {
                archive_commit: self.partition(on.day).await?.archive_commit,
            });
        }
        self.can_replace(removed).await?;
        let change = PartitionChange {
            day: on.day,
            after: on.archive_commit,
            archive_commit,
            added: files.to_vec(),
            removed: removed.iter().map(|file| file.path().to_owned()).collect(),
            covers: Vec::new(),
        };
        self.inner.coupons.commit(change, up_to).await
    }

    /// Refuses to replace a file that has a column unknown to this release: the new file would not
    /// have it. Other files may be replaced even if a later release has added columns to the table.
    async fn can_replace(&self, removed: &[ColdFile]) -> Result<()> {
        let ColdStoreInner { location, coupons, files, .. } = &*self.inner;
        if removed.is_empty() || !coupons.newest().await?.is_later {
            return Ok(());
        }
        for ColdFile { live } in removed {
            let footer = match files.footer(live).await {
                Ok(footer) => footer,
                // The commit finds out whether the file is live.
                Err(ReadError::Gone) => continue,
                Err(ReadError::Cold(error)) => return Err(error),
            };
            if let Some(column) = footer.unknown(coupons.schema) {
                let (object, column) = (live.object(), column.string());
                return Err(location.unavailable(format!(
                    "{object} has the column {column}, which this release does not know and \
                     would drop; compact with the release that wrote it"
                )));
            }
        }
        Ok(())
    }
}
