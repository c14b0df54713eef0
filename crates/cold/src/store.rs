//! The cold store: its tables in one place, and what is known of them.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use coupon::time::Day;
use object_store::ObjectStore;
use tokio::sync::OnceCell;

use crate::bucket::{self, BadBucket, BucketAddress};
use crate::cursor::{Cursor, Reading};
use crate::error::ColdError;
use crate::files::{Files, ReadError};
use crate::local::LocalFolder;
use crate::location::StoreLocation;
use crate::log::{Change, Ended, LiveFile, Table, TableVersion};
use crate::names::Origin;
use crate::options::Options;
use crate::origins::Origins;
use crate::schema::{BY_HOLDER, COUPONS, HOLDER_INDEX, TableSchema};
use crate::write::{NewFile, PartitionWriter};

/// How often a read begins again because a merge has replaced what it was about to read. Merges
/// of one partition are days apart, so a second one in a row means that something else is wrong.
pub(crate) const READ_TRIES_MAX: usize = 3;

/// The columns of the tables. A test opens a store with those of another release.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    pub(crate) coupons: &'static TableSchema,
    pub(crate) by_holder: &'static TableSchema,
}

impl Default for Tables {
    fn default() -> Tables {
        Tables { coupons: &COUPONS, by_holder: &BY_HOLDER }
    }
}

/// Finished coupons. A clone is the same store.
#[derive(Clone)]
pub struct ColdStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) location: StoreLocation,
    pub(crate) options: Options,
    pub(crate) coupons: Table,
    pub(crate) by_holder: Table,
    pub(crate) index: Table,
    pub(crate) files: Arc<Files>,
    /// Whether it is somebody's server: of a folder, and of what a caller brings, it is known.
    pub(crate) needs_probe: bool,
    /// Set when the store has stood its race.
    pub(crate) probed: OnceCell<()>,
}

impl Inner {
    /// The tables: the holder index only where there is one yet.
    pub(crate) async fn tables(&self) -> Result<Vec<&Table>, ColdError> {
        let mut tables = vec![&self.coupons, &self.by_holder];
        if self.index.newest_if_any().await?.is_some() {
            tables.push(&self.index);
        }
        Ok(tables)
    }

    /// All rows of a live file of one of the tables.
    pub(crate) async fn cursor<T: Send + 'static>(
        &self,
        table: &Table,
        file: &Arc<LiveFile>,
        reading: Reading<T>,
    ) -> Result<Cursor<T>, ReadError> {
        let object = table.object(&file.path);
        let footer = self.files.footer(&object, file).await?;
        let groups = (0..footer.groups.len()).collect();
        Ok(Cursor::new(&self.location, &self.files, object, file, footer, reading, groups))
    }
}

/// A committed file of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdFile {
    pub(crate) live: Arc<LiveFile>,
}

impl ColdFile {
    /// Its name within the table `coupons`.
    pub fn path(&self) -> &str {
        &self.live.path
    }

    /// The partition it belongs to.
    pub fn day(&self) -> Day {
        self.live.origin.day
    }

    /// The archive commit that wrote it.
    pub fn archive_commit(&self) -> u64 {
        self.live.origin.archive_commit
    }

    /// How often merges have rewritten its rows at most. 0 says that a commit copied them out of
    /// hot; more says that they were in cold before.
    pub fn rewrites(&self) -> u8 {
        self.live.origin.rewrites
    }

    /// Its coupons.
    pub fn rows(&self) -> u64 {
        self.live.rows
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.live.bytes
    }

    /// The last archive commit that brought a coupon into it, as the log says without reading it:
    /// none of its coupons came to cold later. Of a file that a merge wrote it is one of the
    /// archive commits that were merged, where the merge went through
    /// [`ColdStore::writer_replacing`].
    pub fn newest_archive_commit(&self) -> u64 {
        self.live.newest_archive_commit()
    }
}

/// What a partition has at one version of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// The day.
    pub day: Day,
    /// The version of the table.
    pub version: u64,
    /// The number of the last commit to the partition; 0 if there was none.
    pub archive_commit: u64,
    /// Its live files, in the order of their archive commits, and of their codes within one.
    pub files: Vec<ColdFile>,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The files are the partition's, safely.
    Done {
        /// A version of the table that has them.
        version: u64,
    },
    /// The partition has moved on, or a file to be removed is gone: reload and begin again.
    Taken {
        /// The number of the partition's last commit.
        archive_commit: u64,
    },
    /// Others have committed to other partitions, so that the version would be a later one than the
    /// caller has prepared for: prepare for the one after this, and commit again.
    Moved {
        /// The newest version of the table.
        version: u64,
    },
}

impl ColdStore {
    /// A store in a folder. Nothing is read or made until it is used: a store whose folder is
    /// gone opens, and each call says [`ColdError::Unavailable`].
    pub fn on_folder(folder: &FilePath, options: Options) -> ColdStore {
        let local = Arc::new(LocalFolder::new(folder));
        let location = StoreLocation {
            store: Arc::clone(&local) as Arc<dyn ObjectStore>,
            name: folder.display().to_string().into(),
            folder: Some(local),
        };
        ColdStore::at(location, options, false)
    }

    /// A store in a bucket, reached as the `AWS_*` variables of this process say. Nothing is asked
    /// of it until it is used.
    ///
    /// # Errors
    /// Variables that contradict each other or the address.
    pub fn on_bucket(address: &BucketAddress, options: Options) -> Result<ColdStore, BadBucket> {
        ColdStore::on_bucket_by(address, bucket::environment(), options)
    }

    /// The same, reached as other variables say; of their names those count that begin with `AWS_`.
    ///
    /// # Errors
    /// As [`ColdStore::on_bucket`].
    pub fn on_bucket_by(
        address: &BucketAddress,
        environment: Vec<(String, String)>,
        options: Options,
    ) -> Result<ColdStore, BadBucket> {
        let store = Arc::new(address.store(environment, options.patience)?);
        let location = StoreLocation { store, name: address.to_string().into(), folder: None };
        Ok(ColdStore::at(location, options, true))
    }

    /// A store on `store`, which must create an object only if there is none of its name.
    /// `location` is its name in messages.
    pub fn with_store(store: Arc<dyn ObjectStore>, location: &str, options: Options) -> ColdStore {
        ColdStore::at(StoreLocation { store, name: location.into(), folder: None }, options, false)
    }

    fn at(location: StoreLocation, options: Options, needs_probe: bool) -> ColdStore {
        ColdStore::with_tables(location, options, needs_probe, Tables::default())
    }

    pub(crate) fn with_tables(
        location: StoreLocation,
        options: Options,
        needs_probe: bool,
        tables: Tables,
    ) -> ColdStore {
        let inner = Inner {
            coupons: Table::new(&location, tables.coupons),
            by_holder: Table::new(&location, tables.by_holder),
            index: Table::new(&location, &HOLDER_INDEX),
            files: Arc::new(Files::new(&location, options.footers_bytes_max)),
            location,
            options,
            needs_probe,
            probed: OnceCell::new(),
        };
        ColdStore { inner: Arc::new(inner) }
    }

    /// Its name in messages: the folder, or what [`ColdStore::with_store`] was given.
    pub fn location(&self) -> &str {
        &self.inner.location.name
    }

    /// Makes `coupons` and `coupons_by_holder`, and the folder, where there are none yet. Safe to
    /// repeat, and to race with others.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], or [`ColdError::Damaged`] if what is there
    /// cannot be read.
    pub async fn create(&self) -> Result<(), ColdError> {
        let Inner { location, coupons, by_holder, .. } = &*self.inner;
        if let Some(local) = location.folder.clone() {
            let made = tokio::task::spawn_blocking(move || local.make()).await;
            made.map_err(|error| location.stopped(error))?.map_err(|error| {
                let error =
                    object_store::Error::Generic { store: "LocalFolder", source: error.into() };
                location.failed("making the folder", error)
            })?;
        }
        coupons.create().await?;
        by_holder.create().await
    }

    /// The newest version of `coupons`, looked up now; `None` where there is no table.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`] or [`ColdError::Damaged`].
    pub async fn version(&self) -> Result<Option<u64>, ColdError> {
        Ok(self.inner.coupons.newest_if_any().await?.map(|known| known.version))
    }

    /// What a partition has, looked up now. What is answered is safe on disk, whoever committed it.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where there is no table; [`ColdError::Damaged`].
    pub async fn partition(&self, day: Day) -> Result<Partition, ColdError> {
        Ok(partition_of(&*self.settled().await?, day))
    }

    /// Every partition that has a file or a commit, all at one version; otherwise as
    /// [`ColdStore::partition`].
    ///
    /// # Errors
    /// As [`ColdStore::partition`].
    pub async fn partitions(&self) -> Result<Vec<Partition>, ColdError> {
        let known = self.settled().await?;
        let mut days: Vec<Day> =
            known.archive_commits.keys().chain(known.files.keys()).copied().collect();
        days.sort_unstable();
        days.dedup();
        Ok(days.into_iter().map(|day| partition_of(&known, day)).collect())
    }

    /// Compares the partitions' last commits with those that the caller has seen; the version at
    /// which all of them are there.
    ///
    /// # Errors
    /// [`ColdError::Damaged`] where one is missing; those of [`ColdStore::partition`].
    pub async fn has_archive_commits(&self, seen: &[(Day, u64)]) -> Result<u64, ColdError> {
        let known = self.inner.coupons.newest().await?;
        match seen.iter().find(|(day, archive_commit)| known.archive_commit(*day) < *archive_commit)
        {
            Some((day, archive_commit)) => {
                Err(self.lost(*day, known.archive_commit(*day), *archive_commit))
            }
            None => Ok(known.version),
        }
    }

    /// The newest version, with names that stay: a writer may have been killed between naming a
    /// commit and syncing the folder, and what is done about hot rows relies on it.
    async fn settled(&self) -> Result<Arc<TableVersion>, ColdError> {
        let known = self.inner.coupons.newest().await?;
        self.inner.location.settle(&self.inner.coupons.log_folder()).await?;
        Ok(known)
    }

    /// Begins the files of an archive commit. Encoding runs beside the caller.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where there is no table; [`ColdError::Damaged`].
    pub async fn writer(
        &self,
        day: Day,
        archive_commit: u64,
    ) -> Result<PartitionWriter, ColdError> {
        self.begin(Origin { day, archive_commit, rewrites: 0 }, &[]).await
    }

    /// Begins the files of an archive commit that replaces some of the partition's files, for rows
    /// that merges have rewritten `rewrites` times at most, this one included;
    /// [`ColdFile::rewrites`] says it again. As [`ColdStore::writer`]; and of each coupon that is
    /// handed in just as one of `replaced` has it, the new file goes on saying which archive commit
    /// brought it to cold. So whoever asks for what came later ([`ColdStore::keys_behind`],
    /// [`ColdStore::archived`], the holder index) is spared the old rows. Reads the codes and
    /// versions of `replaced` once more beside the caller.
    ///
    /// # Errors
    /// As [`ColdStore::writer`], and what [`ColdStore::rows`] says of the files.
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

    /// Makes an archive commit: `files` in, `removed` out, on the newest version in which the
    /// partition's last number is still `on.archive_commit` and every file to be removed is still
    /// live. `archive_commit` must be the number after it. An answer that was lost is looked up,
    /// and the same call repeated is the same commit. What is done is safe on disk.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], [`ColdError::Damaged`]. Losing is
    /// [`Committed::Taken`].
    pub async fn commit(
        &self,
        on: &Partition,
        archive_commit: u64,
        files: &[NewFile],
        removed: &[ColdFile],
    ) -> Result<Committed, ColdError> {
        self.commit_up_to(on, archive_commit, files, removed, u64::MAX).await
    }

    /// The same, as the version `up_to` of the table at the latest: [`Committed::Moved`] where it
    /// would be a later one.
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

    /// Refuses to replace a file that has a column which this release does not know: what is
    /// written in its place would be without it. Files without such a column are replaced also
    /// where a later release has added one to the table.
    async fn can_replace(&self, removed: &[ColdFile]) -> Result<(), ColdError> {
        let Inner { location, coupons, files, .. } = &*self.inner;
        if removed.is_empty() || !coupons.newest().await?.is_later {
            return Ok(());
        }
        for ColdFile { live } in removed {
            let object = coupons.object(&live.path);
            let footer = match files.footer(&object, live).await {
                Ok(footer) => footer,
                // The commit finds out what that means.
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

    /// The footers that are remembered, and the memory that they take, about.
    pub fn footers(&self) -> (usize, usize) {
        self.inner.files.footers()
    }

    /// Writes a checkpoint of each table whose last one is [`Options::checkpoint_every`] commits
    /// old.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], [`ColdError::Damaged`].
    pub async fn checkpoint(&self) -> Result<(), ColdError> {
        for table in self.inner.tables().await? {
            table.checkpoint(self.inner.options.checkpoint_every).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for ColdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdStore").field("location", &self.location()).finish_non_exhaustive()
    }
}

fn partition_of(known: &TableVersion, day: Day) -> Partition {
    let files = known.files(day).iter().map(|live| ColdFile { live: Arc::clone(live) }).collect();
    Partition { day, version: known.version, archive_commit: known.archive_commit(day), files }
}
