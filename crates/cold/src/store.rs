//! The cold store: its location, its three tables, and what is cached of them.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use coupon::erasure::ErasureSet;
use coupon::time::Day;
use object_store::ObjectStore;
use parking_lot::RwLock;
use tokio::sync::OnceCell;

use crate::blocking::BlockingPool;
use crate::bucket::{self, BadBucket, BucketAddress, BucketTraffic};
use crate::error::{ColdError, Result};
use crate::files::ParquetFiles;
use crate::live::ColdFile;
use crate::local::LocalFolder;
use crate::location::StoreLocation;
use crate::log::{DeltaTable, TableVersion};
use crate::options::ColdOptions;
use crate::persons::KnownErasures;
use crate::schema::{BY_HOLDER, COUPONS, HOLDER_INDEX, TableSchema};

/// How often a read begins again because a merge has replaced its files. Merges of one partition are
/// days apart, so a second one in a row means that something else is wrong.
pub(crate) const READ_TRIES_MAX: usize = 3;

/// Archived coupons. A clone is the same store.
#[derive(Clone)]
pub struct ColdStore {
    pub(crate) inner: Arc<ColdStoreInner>,
    /// What [`ColdStore::pinned`] fixed.
    pinned: Option<Arc<KnownErasures>>,
}

pub(crate) struct ColdStoreInner {
    pub(crate) location: StoreLocation,
    pub(crate) options: ColdOptions,
    pub(crate) coupons: Arc<DeltaTable>,
    pub(crate) by_holder: Arc<DeltaTable>,
    pub(crate) index: Arc<DeltaTable>,
    pub(crate) files: Arc<ParquetFiles>,
    /// Whether the store must prove that it creates an object only once. A bucket must; a folder
    /// need not, and the caller of [`ColdStore::with_store`] vouches for its store.
    pub(crate) needs_probe: bool,
    /// Set when the store has passed its races.
    pub(crate) probed: OnceCell<()>,
    erasures: RwLock<Arc<KnownErasures>>,
}

impl ColdStoreInner {
    /// The tables that exist: `holder_index` exists after its first merge.
    pub(crate) async fn tables(&self) -> Result<Vec<&DeltaTable>> {
        let mut tables = vec![&*self.coupons, &*self.by_holder];
        if self.index.newest_if_any().await?.is_some() {
            tables.push(&self.index);
        }
        Ok(tables)
    }
}

impl ColdStore {
    /// Opens a store in a folder. Reads and creates nothing: a store whose folder is gone opens,
    /// and each call returns [`ColdError::Unavailable`].
    pub fn on_folder(folder: &FilePath, options: ColdOptions) -> ColdStore {
        let local = Arc::new(LocalFolder::new(folder));
        let name = folder.display().to_string();
        ColdStore::at(local.clone(), &name, Some(local), options, false)
    }

    /// Opens a store in a bucket, with the `AWS_*` variables of this process. Sends no request.
    ///
    /// # Errors
    /// Variables that contradict each other or the address.
    pub fn on_bucket(
        address: &BucketAddress,
        options: ColdOptions,
    ) -> Result<ColdStore, BadBucket> {
        ColdStore::on_bucket_by(address, bucket::environment(), options)
    }

    /// As [`ColdStore::on_bucket`], with other variables. Ignores names that do not begin with `AWS_`.
    pub fn on_bucket_by(
        address: &BucketAddress,
        environment: Vec<(String, String)>,
        options: ColdOptions,
    ) -> Result<ColdStore, BadBucket> {
        let store = address.store(environment, options.patience, &options.traffic)?;
        Ok(ColdStore::at(Arc::new(store), &address.to_string(), None, options, true))
    }

    /// Opens a store on `store`, which must create an object only if no object has its name.
    /// `location` is its name in messages.
    pub fn with_store(
        store: Arc<dyn ObjectStore>,
        location: &str,
        options: ColdOptions,
    ) -> ColdStore {
        ColdStore::at(store, location, None, options, false)
    }

    fn at(
        store: Arc<dyn ObjectStore>,
        name: &str,
        folder: Option<Arc<LocalFolder>>,
        options: ColdOptions,
        needs_probe: bool,
    ) -> ColdStore {
        let blocking = BlockingPool(options.runner.clone());
        let location = StoreLocation { store, name: name.into(), folder, blocking };
        ColdStore::with_coupons(location, options, needs_probe, &COUPONS)
    }

    /// A test opens a store with the columns of another release.
    pub(crate) fn with_coupons(
        location: StoreLocation,
        options: ColdOptions,
        needs_probe: bool,
        coupons: &'static TableSchema,
    ) -> ColdStore {
        let table = |schema| Arc::new(DeltaTable::new(&location, schema));
        let inner = ColdStoreInner {
            coupons: table(coupons),
            by_holder: table(&BY_HOLDER),
            index: table(&HOLDER_INDEX),
            files: Arc::new(ParquetFiles::new(&location)),
            location,
            options,
            needs_probe,
            probed: OnceCell::new(),
            erasures: RwLock::default(),
        };
        ColdStore { inner: Arc::new(inner), pinned: None }
    }

    /// Replaces what the store and its clones know of erasures; they begin with none. From now on reads show the erased
    /// names, and new files are clean of all erasures of `set`. Before that, hot must be clean of them, too.
    pub fn know_erasures(&self, set: ErasureSet) {
        let mut known = self.inner.erasures.write();
        *known = Arc::new(KnownErasures::of(set));
    }

    pub fn known_erasures(&self) -> Arc<ErasureSet> {
        Arc::clone(&self.erasures().set)
    }

    /// The same store, for one piece of work: it goes on to know the erasures that it knows now. So what it reads is as
    /// clean as what it writes says. Make it before anything is read for the work, rows of hot included.
    pub fn pinned(&self) -> ColdStore {
        ColdStore { inner: Arc::clone(&self.inner), pinned: Some(self.erasures()) }
    }

    pub(crate) fn erasures(&self) -> Arc<KnownErasures> {
        match &self.pinned {
            Some(known) => Arc::clone(known),
            None => {
                let known = self.inner.erasures.read();
                Arc::clone(&known)
            }
        }
    }

    /// Its folder or address, or the name given to [`ColdStore::with_store`]; for messages.
    pub fn location(&self) -> &str {
        &self.inner.location.name
    }

    /// The counts of what it has sent to its bucket, and got from it. A folder has none.
    pub fn traffic(&self) -> &Arc<BucketTraffic> {
        &self.inner.options.traffic
    }

    /// See [`ColdOptions::look_up_max`].
    pub fn look_up_max(&self) -> Duration {
        self.inner.options.look_up_max
    }

    /// Creates the folder and the tables `coupons` and `coupons_by_holder` unless they exist. Safe
    /// to repeat, and safe when several processes do it at once.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], or [`ColdError::Damaged`] if what exists
    /// cannot be read.
    pub async fn create(&self) -> Result<()> {
        let ColdStoreInner { location, coupons, by_holder, .. } = &*self.inner;
        location.make().await?;
        // `coupons` last: a store without it has no cold tier yet, and one with it needs both.
        by_holder.create().await?;
        coupons.create().await
    }

    /// Looks up the newest version of `coupons`; `None` if there is no table.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`] or [`ColdError::Damaged`].
    pub async fn version(&self) -> Result<Option<u64>> {
        Ok(self.inner.coupons.newest_if_any().await?.map(|known| known.version))
    }

    /// The number of cached footers, and the bytes they take, about.
    pub fn footers(&self) -> (usize, usize) {
        self.inner.files.footers()
    }

    /// Writes a checkpoint of each table whose last one is [`ColdOptions::checkpoint_every`] commits
    /// old.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], [`ColdError::Damaged`].
    pub async fn checkpoint(&self) -> Result<()> {
        for table in self.inner.tables().await? {
            table.checkpoint(self.inner.options.checkpoint_every).await?;
        }
        Ok(())
    }

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

impl fmt::Debug for ColdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdStore").field("location", &self.location()).finish_non_exhaustive()
    }
}

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
