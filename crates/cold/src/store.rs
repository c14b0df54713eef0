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
use crate::log::{Change, Ended, Known, LiveFile, Table};
use crate::names::Origin;
use crate::options::Options;
use crate::origins::Origins;
use crate::place::Place;
use crate::schema::{BY_HOLDER, COUPONS, HOLDER_INDEX, TableSchema};
use crate::write::{NewFile, ShelfWriter};

/// How often a read begins again because a merge has replaced what it was about to read. Merges
/// of one shelf are days apart, so a second one in a row means that something else is wrong.
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
    pub(crate) place: Place,
    pub(crate) options: Options,
    pub(crate) coupons: Table,
    pub(crate) by_holder: Table,
    pub(crate) index: Table,
    pub(crate) files: Arc<Files>,
    /// Whether it is somebody's server: of a folder, and of what a caller brings, it is known.
    pub(crate) needs_proof: bool,
    /// Set when the store has stood its race.
    pub(crate) proved: OnceCell<()>,
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

    /// The last unit that brought a coupon into it, as the log says without reading it: none of
    /// its coupons came to cold later. Of a file that a merge wrote it is one of the units that
    /// were merged, where the merge went through [`ColdStore::writer_replacing`].
    pub fn newest_unit(&self) -> u64 {
        self.live.newest_unit()
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
        ColdStore::with_tables(place, options, needs_proof, Tables::default())
    }

    pub(crate) fn with_tables(
        place: Place,
        options: Options,
        needs_proof: bool,
        tables: Tables,
    ) -> ColdStore {
        let inner = Inner {
            coupons: Table::new(&place, tables.coupons),
            by_holder: Table::new(&place, tables.by_holder),
            index: Table::new(&place, &HOLDER_INDEX),
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

    /// Makes `coupons` and `coupons_by_holder`, and the folder, where there are none yet. Safe to
    /// repeat, and to race with others.
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
        self.begin(Origin { day, unit, rewrites: 0 }, &[]).await
    }

    /// Begins the files of a unit that replaces some of the partition's files, for rows that merges
    /// have rewritten `rewrites` times at most, this one included; [`ColdFile::rewrites`] says it
    /// again. As [`ColdStore::writer`]; and of each coupon that is handed in just as one of
    /// `replaced` has it, the new file goes on saying which unit brought it to cold. So whoever asks
    /// for what came later ([`ColdStore::keys_behind`], [`ColdStore::archived`], the holder index) is
    /// spared the old rows. Reads the codes and versions of `replaced` once more beside the caller.
    ///
    /// # Errors
    /// As [`ColdStore::writer`], and what [`ColdStore::rows`] says of the files.
    pub async fn writer_replacing(
        &self,
        day: Day,
        unit: u64,
        rewrites: u8,
        replaced: &[ColdFile],
    ) -> Result<ShelfWriter, ColdError> {
        self.begin(Origin { day, unit, rewrites }, replaced).await
    }

    async fn begin(&self, origin: Origin, replaced: &[ColdFile]) -> Result<ShelfWriter, ColdError> {
        let Inner { place, options, coupons, .. } = &*self.inner;
        coupons.newest().await?;
        let origins = match replaced {
            [] => Origins::none(origin.unit),
            some => {
                self.can_replace(some).await?;
                Origins::of_files(self, origin.unit, some).await?
            }
        };
        Ok(ShelfWriter::new(place, options, origin, origins))
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
        let is_of_unit = |file: &NewFile| file.day() == on.day && file.unit() == unit;
        if unit != on.unit + 1 || !files.iter().all(is_of_unit) {
            return Ok(Committed::Taken { unit: self.shelf(on.day).await?.unit });
        }
        self.can_replace(removed).await?;
        let change = Change {
            day: on.day,
            after: on.unit,
            unit,
            added: files.iter().map(|file| file.written.clone()).collect(),
            removed: removed.iter().map(|file| file.path().to_owned()).collect(),
            covers: Vec::new(),
        };
        Ok(match self.inner.coupons.commit(change, up_to).await? {
            Ended::Done { version } => Committed::Done { version },
            Ended::Taken { unit } => Committed::Taken { unit },
            Ended::Moved { version } => Committed::Moved { version },
        })
    }

    /// Refuses to replace a file that has a column which this release does not know: what is
    /// written in its place would be without it. Files without such a column are replaced also
    /// where a later release has added one to the table.
    async fn can_replace(&self, removed: &[ColdFile]) -> Result<(), ColdError> {
        let Inner { place, coupons, files, .. } = &*self.inner;
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
                return Err(place.unavailable(format!(
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
        f.debug_struct("ColdStore").field("place", &self.place()).finish_non_exhaustive()
    }
}

fn shelf_of(known: &Known, day: Day) -> Shelf {
    let files = known.files(day).iter().map(|live| ColdFile { live: Arc::clone(live) }).collect();
    Shelf { day, version: known.version, unit: known.unit(day), files }
}
