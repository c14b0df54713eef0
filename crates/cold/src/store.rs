//! The cold store: two tables in one place, and what is known of them.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use object_store::ObjectStore;
use tokio::sync::OnceCell;

use crate::bucket::{self, BadBucket, BucketAddress, Patience};
use crate::cursor::{BATCH_ROWS, Cursor, Reading};
use crate::decode;
use crate::error::ColdError;
use crate::files::{Files, ReadError};
use crate::local::LocalFolder;
use crate::log::{Change, Ended, Known, LiveFile, Table};
use crate::names::Origin;
use crate::place::Place;
use crate::schema::{BY_HOLDER, COUPONS, GROUP_BYTES};
use crate::write::{NewFile, ShelfWriter};

/// Commits between two checkpoints: a look at the log never reads more entries than that.
const CHECKPOINT_EVERY: u64 = 50;

/// How often a read begins again because a merge has replaced what it was about to read. Merges
/// of one shelf are days apart, so a second one in a row means that something else is wrong.
pub(crate) const READ_TRIES_MAX: usize = 3;

/// What can be chosen about a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a bucket is waited for.
    pub patience: Patience,
    /// Rows of a file, at most.
    pub file_rows_max: u64,
    /// Bytes that a row group of `coupons` should have, which is what a look-up reads.
    pub group_bytes: usize,
    /// Memory for the footers of files that were used last. That of ten million untouched coupons
    /// takes about 0.25 MB, that of redeemed ones 3.3 MB.
    pub footers_bytes_max: usize,
    /// How long files stay that a merge has replaced.
    pub retention: Duration,
    /// How long the entries of the logs stay that a later checkpoint says all of.
    pub log_retention: Duration,
    /// Entries that are sorted in memory for the side table, about 100 bytes each.
    pub holder_rows_max: usize,
    /// Commits between two checkpoints.
    pub checkpoint_every: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            patience: Patience::Work,
            file_rows_max: 10_000_000,
            group_bytes: GROUP_BYTES,
            footers_bytes_max: 64 << 20,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            // As long as Delta's own writers keep them.
            log_retention: Duration::from_secs(30 * 24 * 60 * 60),
            holder_rows_max: 1_000_000,
            checkpoint_every: CHECKPOINT_EVERY,
        }
    }
}

/// Finished coupons. A clone is the same store.
#[derive(Clone)]
pub struct ColdStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) place: Place,
    pub(crate) options: Options,
    pub(crate) coupons: Table,
    pub(crate) by_holder: Table,
    pub(crate) files: Arc<Files>,
    /// Whether it is somebody's server: of a folder, and of what a caller brings, it is known.
    pub(crate) needs_proof: bool,
    /// Set when the store has stood its race.
    pub(crate) proved: OnceCell<()>,
}

impl Inner {
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
        Ok(Cursor::new(&self.place, &self.files, object, file, footer, reading, groups))
    }
}

/// A committed file of one shelf.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdFile {
    pub(crate) live: Arc<LiveFile>,
}

impl ColdFile {
    /// Its name within the table `coupons`.
    pub fn path(&self) -> &str {
        &self.live.path
    }

    /// The shelf it belongs to.
    pub fn day(&self) -> Day {
        self.live.origin.day
    }

    /// The unit that wrote it.
    pub fn unit(&self) -> u64 {
        self.live.origin.unit
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
}

/// What a shelf has at one version of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Shelf {
    /// The day.
    pub day: Day,
    /// The version of the table.
    pub version: u64,
    /// The number of the last commit to the shelf; 0 if there was none.
    pub unit: u64,
    /// Its live files, in the order of their units, and of their codes within one.
    pub files: Vec<ColdFile>,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The files are the shelf's, safely.
    Done {
        /// A version of the table that has them.
        version: u64,
    },
    /// The shelf has moved on, or a file to be removed is gone: reload and begin again.
    Taken {
        /// The number of the shelf's last commit.
        unit: u64,
    },
    /// Others have committed to other shelves, so that the version would be a later one than the
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
        let place = Place {
            store: Arc::clone(&local) as Arc<dyn ObjectStore>,
            name: folder.display().to_string().into(),
            folder: Some(local),
        };
        ColdStore::at(place, options, false)
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
        let place = Place { store, name: address.to_string().into(), folder: None };
        Ok(ColdStore::at(place, options, true))
    }

    /// A store on `store`, which must create an object only if there is none of its name. `place`
    /// is its name in messages.
    pub fn with_store(store: Arc<dyn ObjectStore>, place: &str, options: Options) -> ColdStore {
        ColdStore::at(Place { store, name: place.into(), folder: None }, options, false)
    }

    fn at(place: Place, options: Options, needs_proof: bool) -> ColdStore {
        let inner = Inner {
            coupons: Table::new(&place, &COUPONS),
            by_holder: Table::new(&place, &BY_HOLDER),
            files: Arc::new(Files::new(&place, options.footers_bytes_max)),
            place,
            options,
            needs_proof,
            proved: OnceCell::new(),
        };
        ColdStore { inner: Arc::new(inner) }
    }

    /// Its name in messages: the folder, or what [`ColdStore::with_store`] was given.
    pub fn place(&self) -> &str {
        &self.inner.place.name
    }

    /// Makes the two tables, and the folder, where there are none yet. Safe to repeat, and to
    /// race with others.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], or [`ColdError::Damaged`] if what is there
    /// cannot be read.
    pub async fn create(&self) -> Result<(), ColdError> {
        let Inner { place, coupons, by_holder, .. } = &*self.inner;
        if let Some(local) = place.folder.clone() {
            let made = tokio::task::spawn_blocking(move || local.make()).await;
            made.map_err(|error| place.stopped(error))?.map_err(|error| {
                let error =
                    object_store::Error::Generic { store: "LocalFolder", source: error.into() };
                place.failed("making the folder", error)
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

    /// What a shelf has, looked up now. What is answered is safe on disk, whoever committed it.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where there is no table; [`ColdError::Damaged`].
    pub async fn shelf(&self, day: Day) -> Result<Shelf, ColdError> {
        Ok(shelf_of(&*self.settled().await?, day))
    }

    /// Every shelf that has a file or a commit, all at one version; otherwise as
    /// [`ColdStore::shelf`].
    ///
    /// # Errors
    /// As [`ColdStore::shelf`].
    pub async fn shelves(&self) -> Result<Vec<Shelf>, ColdError> {
        let known = self.settled().await?;
        let mut days: Vec<Day> = known.units.keys().chain(known.files.keys()).copied().collect();
        days.sort_unstable();
        days.dedup();
        Ok(days.into_iter().map(|day| shelf_of(&known, day)).collect())
    }

    /// Compares the shelves' last commits with those that the caller has seen; the version at which
    /// all of them are there.
    ///
    /// # Errors
    /// [`ColdError::Damaged`] where one is missing; those of [`ColdStore::shelf`].
    pub async fn has_units(&self, seen: &[(Day, u64)]) -> Result<u64, ColdError> {
        let known = self.inner.coupons.newest().await?;
        match seen.iter().find(|(day, unit)| known.unit(*day) < *unit) {
            Some((day, unit)) => Err(self.lost(*day, known.unit(*day), *unit)),
            None => Ok(known.version),
        }
    }

    /// The newest version, with names that stay: a writer may have been killed between naming a
    /// commit and syncing the folder, and what is done about hot rows relies on it.
    async fn settled(&self) -> Result<Arc<Known>, ColdError> {
        let known = self.inner.coupons.newest().await?;
        self.inner.place.settle(&self.inner.coupons.log_folder()).await?;
        Ok(known)
    }

    /// Begins the files of a unit. Encoding runs beside the caller.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where there is no table; [`ColdError::Damaged`].
    pub async fn writer(&self, day: Day, unit: u64) -> Result<ShelfWriter, ColdError> {
        self.merge_writer(day, unit, 0).await
    }

    /// The same for rows that merges have rewritten `rewrites` times at most, this one included;
    /// [`ColdFile::rewrites`] says it again.
    ///
    /// # Errors
    /// As [`ColdStore::writer`].
    pub async fn merge_writer(
        &self,
        day: Day,
        unit: u64,
        rewrites: u8,
    ) -> Result<ShelfWriter, ColdError> {
        let Inner { place, options, coupons, .. } = &*self.inner;
        coupons.newest().await?;
        Ok(ShelfWriter::new(place, options, Origin { day, unit, rewrites }))
    }

    /// Commits a unit: `files` in, `removed` out, on the newest version in which the shelf's last
    /// number is still `on.unit` and every file to be removed is still live. `unit` must be the
    /// number after it. An answer that was lost is looked up, and the same call repeated is the
    /// same commit. What is done is safe on disk.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`], [`ColdError::Damaged`]. Losing is
    /// [`Committed::Taken`].
    pub async fn commit(
        &self,
        on: &Shelf,
        unit: u64,
        files: &[NewFile],
        removed: &[ColdFile],
    ) -> Result<Committed, ColdError> {
        self.commit_up_to(on, unit, files, removed, u64::MAX).await
    }

    /// The same, as the version `up_to` of the table at the latest: [`Committed::Moved`] where it
    /// would be a later one.
    ///
    /// # Errors
    /// As [`ColdStore::commit`].
    pub async fn commit_up_to(
        &self,
        on: &Shelf,
        unit: u64,
        files: &[NewFile],
        removed: &[ColdFile],
        up_to: u64,
    ) -> Result<Committed, ColdError> {
        let is_of_unit = |file: &NewFile| file.day == on.day && file.unit == unit;
        if unit != on.unit + 1 || !files.iter().all(is_of_unit) {
            return Ok(Committed::Taken { unit: self.shelf(on.day).await?.unit });
        }
        let change = Change {
            day: on.day,
            after: on.unit,
            unit,
            added: files.iter().map(|file| file.written.clone()).collect(),
            removed: removed.iter().map(|file| file.path().to_owned()).collect(),
        };
        Ok(match self.inner.coupons.commit(change, up_to).await? {
            Ended::Done { version } => Committed::Done { version },
            Ended::Taken { unit } => Committed::Taken { unit },
            Ended::Moved { version } => Committed::Moved { version },
        })
    }

    /// The coupons of one file, in the order of their codes.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also when a merge has replaced the file and a sweep removed it;
    /// [`ColdError::Damaged`] if it is missing although it is live.
    pub async fn rows(&self, file: &ColdFile) -> Result<Rows, ColdError> {
        self.rows_by(file, BATCH_ROWS).await
    }

    /// The same, at most `batch_rows` of them at a time, for a caller that reads many files side
    /// by side.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn rows_by(&self, file: &ColdFile, batch_rows: usize) -> Result<Rows, ColdError> {
        let cursor = self.open(file, Reading::all(decode::coupons)).await?;
        let cursor = cursor.in_batches_of(batch_rows);
        Ok(Rows { store: self.clone(), file: file.clone(), cursor })
    }

    /// The codes and versions of one file, in the order of the codes; a fraction of the work of
    /// [`ColdStore::rows`].
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys(&self, file: &ColdFile) -> Result<Keys, ColdError> {
        self.keys_by(file, BATCH_ROWS).await
    }

    /// The same, at most `batch_rows` of them at a time.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys_by(&self, file: &ColdFile, batch_rows: usize) -> Result<Keys, ColdError> {
        let cursor = self.open(file, Reading::of(&["code", "version"], decode::keys)).await?;
        let cursor = cursor.in_batches_of(batch_rows);
        Ok(Keys { store: self.clone(), file: file.clone(), cursor })
    }

    pub(crate) async fn open<T: Send + 'static>(
        &self,
        file: &ColdFile,
        reading: Reading<T>,
    ) -> Result<Cursor<T>, ColdError> {
        match self.inner.cursor(&self.inner.coupons, &file.live, reading).await {
            Ok(cursor) => Ok(cursor),
            Err(error) => Err(self.unread(file, error).await),
        }
    }

    /// What it means that a file could not be read.
    pub(crate) async fn unread(&self, file: &ColdFile, error: ReadError) -> ColdError {
        let Inner { place, coupons, .. } = &*self.inner;
        match error {
            ReadError::Cold(error) => error,
            ReadError::Gone => match coupons.newest().await {
                Ok(known) if known.is_live(file.day(), file.path()) => {
                    place.damaged(coupons.object(file.path()), "it is missing")
                }
                Ok(_) => place.unavailable(format!("{} was merged away", file.path())),
                Err(error) => error,
            },
        }
    }

    /// The codes and versions of a file that is in no commit yet, read back from where it lies.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn keys_of_new(&self, file: &NewFile) -> Result<Keys, ColdError> {
        self.keys(&ColdFile { live: Arc::new(file.as_live()) }).await
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
        let Inner { options, coupons, by_holder, .. } = &*self.inner;
        coupons.checkpoint(options.checkpoint_every).await?;
        by_holder.checkpoint(options.checkpoint_every).await
    }
}

impl fmt::Debug for ColdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdStore").field("place", &self.place()).finish_non_exhaustive()
    }
}

fn shelf_of(known: &Known, day: Day) -> Shelf {
    let files = known.files(day).iter().map(|live| ColdFile { live: Arc::clone(live) }).collect();
    Shelf { day, version: known.version, unit: known.unit(day), files }
}

/// The coupons of one file. Holds one row group as it was read, and one batch of it decoded.
pub struct Rows {
    store: ColdStore,
    file: ColdFile,
    cursor: Cursor<Coupon>,
}

impl Rows {
    /// The next coupons, at most 8,192; `None` behind the last one.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn next(&mut self) -> Result<Option<Vec<Coupon>>, ColdError> {
        match self.cursor.next().await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.store.unread(&self.file, error).await),
        }
    }
}

/// The codes and versions of one file.
pub struct Keys {
    store: ColdStore,
    file: ColdFile,
    cursor: Cursor<(Code, u64)>,
}

impl Keys {
    /// The next codes and their versions, at most 8,192; `None` behind the last one.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn next(&mut self) -> Result<Option<Vec<(Code, u64)>>, ColdError> {
        match self.cursor.next().await {
            Ok(keys) => Ok(keys),
            Err(error) => Err(self.store.unread(&self.file, error).await),
        }
    }
}
