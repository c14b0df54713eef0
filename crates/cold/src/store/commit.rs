//! Archive commits: writing the files of one, and committing them.

use coupon::time::Day;

use super::partition::{ColdFile, Partition};
use super::{ColdStore, Inner};
use crate::error::ColdError;
use crate::files::ReadError;
use crate::log::{Change, Ended};
use crate::names::Origin;
use crate::origins::Origins;
use crate::write::{NewFile, PartitionWriter};

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The commit was made and is durable.
    Done {
        /// A version of the table that has the commit.
        version: u64,
    },
    /// The number is taken, or a file to remove is not live: look up the partition and begin again.
    Taken {
        /// The number of the partition's last commit.
        archive_commit: u64,
    },
    /// Commits to other partitions came in between, so that the version would be higher than the
    /// caller allowed. Prepare for the next version, and commit again.
    Moved {
        /// The newest version of the table.
        version: u64,
    },
}

impl ColdStore {
    /// Begins the files of an archive commit. They are encoded on another thread.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table; [`ColdError::Damaged`].
    pub async fn writer(
        &self,
        day: Day,
        archive_commit: u64,
    ) -> Result<PartitionWriter, ColdError> {
        self.begin(Origin { day, archive_commit, rewrites: 0 }, &[]).await
    }

    /// Begins the files of an archive commit that replaces files of the partition. Merges have
    /// rewritten the rows at most `rewrites` times, this one included; [`ColdFile::rewrites`]
    /// returns that number.
    ///
    /// Otherwise as [`ColdStore::writer`], but for coupons that one of `replaced` has in the same
    /// version: the new file keeps the archive commit that brought each of them to cold. So a
    /// reader of newer rows ([`ColdStore::keys_behind`], [`ColdStore::archived`], the holder index)
    /// skips these rows. Reads the codes and versions of `replaced` once more, in parallel.
    ///
    /// # Errors
    /// As [`ColdStore::writer`] and, for the replaced files, [`ColdStore::rows`].
    pub async fn writer_replacing(
        &self,
        day: Day,
        archive_commit: u64,
        rewrites: u8,
        replaced: &[ColdFile],
    ) -> Result<PartitionWriter, ColdError> {
        self.begin(Origin { day, archive_commit, rewrites }, replaced).await
    }

    async fn begin(
        &self,
        origin: Origin,
        replaced: &[ColdFile],
    ) -> Result<PartitionWriter, ColdError> {
        let Inner { location, options, coupons, .. } = &*self.inner;
        coupons.newest().await?;
        let origins = match replaced {
            [] => Origins::none(origin.archive_commit),
            some => {
                self.can_replace(some).await?;
                Origins::of_files(self, origin.archive_commit, some).await?
            }
        };
        Ok(PartitionWriter::new(location, options, origin, origins))
    }

    /// Makes an archive commit: adds `files` and removes `removed`. It is made on the newest
    /// version at which the partition's last number is still `on.archive_commit` and every file to
    /// remove is live. `archive_commit` must be the next number. If the answer of the store is
    /// lost, the outcome is looked up. Repeating the call does not commit twice.
    /// [`Committed::Done`] is durable.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], [`ColdError::Damaged`]. Losing to another
    /// commit is [`Committed::Taken`].
    pub async fn commit(
        &self,
        on: &Partition,
        archive_commit: u64,
        files: &[NewFile],
        removed: &[ColdFile],
    ) -> Result<Committed, ColdError> {
        self.commit_up_to(on, archive_commit, files, removed, u64::MAX).await
    }

    /// As [`ColdStore::commit`], as version `up_to` of the table at the latest:
    /// [`Committed::Moved`] if the version would be higher.
    ///
    /// # Errors
    /// As [`ColdStore::commit`].
    pub async fn commit_up_to(
        &self,
        on: &Partition,
        archive_commit: u64,
        files: &[NewFile],
        removed: &[ColdFile],
        up_to: u64,
    ) -> Result<Committed, ColdError> {
        let is_of_archive_commit =
            |file: &NewFile| file.day() == on.day && file.archive_commit() == archive_commit;
        if archive_commit != on.archive_commit + 1 || !files.iter().all(is_of_archive_commit) {
            return Ok(Committed::Taken {
                archive_commit: self.partition(on.day).await?.archive_commit,
            });
        }
        self.can_replace(removed).await?;
        let change = Change {
            day: on.day,
            after: on.archive_commit,
            archive_commit,
            added: files.iter().map(|file| file.written.clone()).collect(),
            removed: removed.iter().map(|file| file.path().to_owned()).collect(),
            covers: Vec::new(),
        };
        Ok(match self.inner.coupons.commit(change, up_to).await? {
            Ended::Done { version } => Committed::Done { version },
            Ended::Taken { archive_commit } => Committed::Taken { archive_commit },
            Ended::Moved { version } => Committed::Moved { version },
        })
    }

    /// Refuses to replace a file that has a column unknown to this release: the new file would not
    /// have it. Other files may be replaced even if a later release has added columns to the table.
    async fn can_replace(&self, removed: &[ColdFile]) -> Result<(), ColdError> {
        let Inner { location, coupons, files, .. } = &*self.inner;
        if removed.is_empty() || !coupons.newest().await?.is_later {
            return Ok(());
        }
        for ColdFile { live } in removed {
            let object = coupons.object(&live.path);
            let footer = match files.footer(&object, live).await {
                Ok(footer) => footer,
                // The commit finds out whether the file is live.
                Err(ReadError::Gone) => continue,
                Err(ReadError::Cold(error)) => return Err(error),
            };
            if let Some(column) = footer.unknown(coupons.schema()) {
                let column = column.string();
                return Err(location.unavailable(format!(
                    "{object} has the column {column}, which this release does not know and \
                     would drop; compact with the release that wrote it"
                )));
            }
        }
        Ok(())
    }
}
