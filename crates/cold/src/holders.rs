//! The side table: a person's coupons, found without knowing their partitions.
//!
//! It is made from the committed files of `coupons` and nothing else, so it can lag behind and
//! never disagree. Every commit to it brings one partition up to what `coupons` has: the archive
//! commits that are not in it yet come in, and those that a merge has taken out of `coupons` go.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch, StringArray};
use arrow::datatypes::Date32Type;
use arrow::error::ArrowError;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::bounds::may_hold;
use crate::cursor::{BATCH_ROWS, Cursor, Reading};
use crate::decode::{self, BadRow};
use crate::error::ColdError;
use crate::files::ReadError;
use crate::location::StoreLocation;
use crate::log::{Change, Ended, LiveFile, Written};
use crate::names::Origin;
use crate::store::{ColdFile, ColdStore, Inner, READ_TRIES_MAX};
use crate::upload::{Cut, Upload};
use crate::{encode, names, schema};

/// Files of the side table that are read at once.
const READS_MAX: usize = 8;

/// Holders that are looked at to cut a large archive commit into pieces of about the same size.
const SAMPLES: u64 = 65_536;

/// How often a commit to the side table begins again because the partition has moved on meanwhile.
const HOLDER_TRIES_MAX: usize = 8;

/// The columns of `coupons` that the side table needs.
const NEEDED: &[&str] = &["code", "state", "version", "holder", "expires_at"];

/// One coupon of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderEntry {
    /// The coupon.
    pub code: Code,
    /// Its partition.
    pub day: Day,
    /// First instant at which it no longer worked.
    pub expires_at: Millis,
    /// The word of its state.
    pub state: &'static str,
    /// Its version.
    pub version: u64,
    /// All of it, where the holder index has it: what is in cold is final, so nothing else needs
    /// to be read. Otherwise [`ColdStore::find`] has it.
    pub coupon: Option<Box<Coupon>>,
}

/// An entry with whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) holder: UserId,
    pub(crate) entry: HolderEntry,
}

impl ColdStore {
    /// The coupons in cold that a person holds, redeemed, or held when they were voided, on the
    /// partitions from `from` on: the latest expiry first. Looked up now. Reads a footer, unless it
    /// is remembered, and one or two row groups of each file that may have the person: at most one
    /// file of each level of the holder index, a few that it has not merged yet, and those of
    /// `coupons_by_holder` that it has not taken in yet.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where there is no table; [`ColdError::Damaged`].
    pub async fn of_holder(
        &self,
        holder: &UserId,
        from: Option<Day>,
    ) -> Result<Vec<HolderEntry>, ColdError> {
        let Inner { location, by_holder, index, .. } = &*self.inner;
        for _ in 0..READ_TRIES_MAX {
            // In this order: what the index says that it has may be missing in a later version of
            // the other table, and what it lacks is in every later version.
            let indexed = index.newest_if_any().await?;
            let known = by_holder.newest().await?;
            let may =
                |file: &&Arc<LiveFile>| may_hold(file.bounds.holder.as_ref(), holder.as_str());
            let has = |day: Day| indexed.as_ref().map_or(0, |index| index.archive_commit(day));
            let waits = |file: &&Arc<LiveFile>| {
                let Origin { day, archive_commit, .. } = file.origin;
                from.is_none_or(|from| day >= from) && archive_commit > has(day)
            };
            let known = known.all().filter(waits).filter(may).map(|file| (by_holder, file));
            let files = indexed.iter().flat_map(|known| known.files(names::INDEX)).filter(may);
            let files = files.map(|file| (index, file)).chain(known);
            let reads = files.map(|(table, file)| async move {
                let read = match table.schema().name == index.schema().name {
                    true => self.indexed(file, holder, from).await,
                    false => self.entries(file, holder).await,
                };
                read.map_err(|error| (table, Arc::clone(file), error))
            });
            let reads: Vec<_> = reads.collect();
            let read = stream::iter(reads).buffer_unordered(READS_MAX).try_concat().await;
            match read {
                Ok(entries) => return Ok(newest_first(entries)),
                Err((_, _, ReadError::Cold(error))) => return Err(error),
                Err((table, file, ReadError::Gone)) => {
                    if table.newest().await?.is_live(file.origin.day, &file.path) {
                        return Err(location.damaged(table.object(&file.path), "it is missing"));
                    }
                }
            }
        }
        Err(location.unavailable("the side table is being rewritten again and again"))
    }

    async fn entries(
        &self,
        file: &Arc<LiveFile>,
        holder: &UserId,
    ) -> Result<Vec<HolderEntry>, ReadError> {
        let Inner { location, by_holder, files, .. } = &*self.inner;
        let object = by_holder.object(&file.path);
        let footer = files.footer(&object, file).await?;
        let may = |at: &usize| {
            let ends = footer.groups[*at].bounds.holder.as_ref();
            may_hold(ends, holder.as_str())
        };
        let groups = (0..footer.groups.len()).filter(may).collect();
        let wanted = holder.clone();
        let reading = Reading::all(move |batch| {
            let mut held = held(batch)?;
            held.retain(|held| held.holder == wanted);
            Ok(held)
        });
        let footer = Arc::clone(&footer);
        let mut rows = Cursor::new(location, files, object, file, footer, reading, groups);
        let mut entries = Vec::new();
        while let Some(held) = rows.next().await? {
            entries.extend(held.into_iter().map(|held| held.entry));
        }
        Ok(entries)
    }

    /// Brings the side table of a partition up to `archive_commit` at least, which must be
    /// committed. Nothing is done if it is there already. Safe to repeat, and to race with others.
    /// Memory for [`crate::Options::holder_rows_max`] entries, however large the archive commit; a
    /// larger one is read once for each piece of that size.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if `archive_commit` is not committed; [`ColdError::Full`],
    /// [`ColdError::Damaged`].
    pub async fn commit_holders(&self, day: Day, archive_commit: u64) -> Result<(), ColdError> {
        let Inner { location, by_holder, .. } = &*self.inner;
        for _ in 0..HOLDER_TRIES_MAX {
            let known = by_holder.newest().await?;
            let after = known.archive_commit(day);
            if after >= archive_commit {
                return location.settle(&by_holder.log_folder()).await;
            }
            let partition = self.partition(day).await?;
            if partition.archive_commit < archive_commit {
                let what = format!(
                    "archive commit {archive_commit} of {} is not committed",
                    names::iso(day)
                );
                return Err(location.unavailable(what));
            }
            let mut new: BTreeMap<u64, Vec<ColdFile>> = BTreeMap::new();
            for file in partition.files.iter().filter(|file| file.archive_commit() > after) {
                new.entry(file.archive_commit()).or_default().push(file.clone());
            }
            let mut added = Vec::new();
            for (archive_commit, files) in new {
                added.extend(self.write_holders(day, archive_commit, &files).await?);
            }
            let live: BTreeSet<u64> =
                partition.files.iter().map(ColdFile::archive_commit).collect();
            let removed =
                known.files(day).iter().filter(|file| !live.contains(&file.origin.archive_commit));
            let removed = removed.map(|file| file.path.clone()).collect();
            let covers = Vec::new();
            let change = Change {
                day,
                after,
                archive_commit: partition.archive_commit,
                added,
                removed,
                covers,
            };
            match by_holder.commit(change, u64::MAX).await? {
                Ended::Done { .. } => return Ok(()),
                Ended::Taken { .. } | Ended::Moved { .. } => {}
            }
        }
        Err(location.unavailable(format!("{} changes again and again", names::iso(day))))
    }

    /// The files of one archive commit: one if it fits into memory, otherwise one for each piece of
    /// the range of holders, so that a person is in one of them.
    async fn write_holders(
        &self,
        day: Day,
        archive_commit: u64,
        files: &[ColdFile],
    ) -> Result<Vec<Written>, ColdError> {
        let mut written = Vec::new();
        for piece in self.pieces(files).await? {
            let mut entries: Vec<Held> = Vec::new();
            for file in files {
                let piece = piece.clone();
                let reading = Reading::of(NEEDED, move |batch| of_coupons(batch, day, &piece));
                let mut rows = self.open(file, reading).await?;
                while let Some(held) = self.read(file, &mut rows).await? {
                    entries.extend(held);
                    // One person, or a bad sample, may still have more than fits.
                    if entries.len() >= self.inner.options.holder_rows_max {
                        let full = std::mem::take(&mut entries);
                        written.push(self.write_sorted(day, archive_commit, full).await?);
                    }
                }
            }
            if !entries.is_empty() {
                written.push(self.write_sorted(day, archive_commit, entries).await?);
            }
        }
        Ok(written)
    }

    async fn read<T: Send + 'static>(
        &self,
        file: &ColdFile,
        rows: &mut Cursor<T>,
    ) -> Result<Option<Vec<T>>, ColdError> {
        match rows.next().await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.unread(file, error).await),
        }
    }

    /// Ranges of holders that have about as many entries as fit into memory each.
    async fn pieces(&self, files: &[ColdFile]) -> Result<Vec<Piece>, ColdError> {
        let max = self.inner.options.holder_rows_max.max(1) as u64;
        let rows: u64 = files.iter().map(ColdFile::rows).sum();
        if rows <= max {
            return Ok(vec![(Bound::Unbounded, Bound::Unbounded)]);
        }
        let step = usize::try_from(rows.div_ceil(SAMPLES)).unwrap_or(usize::MAX);
        let (mut samples, mut held) = (Vec::new(), 0);
        for file in files {
            let mut rows =
                self.open(file, Reading::of(&["holder"], move |it| sample(it, step))).await?;
            while let Some(batches) = self.read(file, &mut rows).await? {
                for batch in batches {
                    held += batch.held;
                    samples.extend(batch.holders);
                }
            }
        }
        samples.sort_unstable();
        // A quarter less than fits, for what a sample does not see.
        Ok(cut(&samples, held.div_ceil((max * 3 / 4).max(1))))
    }

    async fn write_sorted(
        &self,
        day: Day,
        archive_commit: u64,
        mut entries: Vec<Held>,
    ) -> Result<Written, ColdError> {
        let (location, runtime) = (self.inner.location.clone(), Handle::current());
        let wrote = spawn_blocking(move || {
            entries.sort_unstable_by(|a, b| {
                (&a.holder, &a.entry.code).cmp(&(&b.holder, &b.entry.code))
            });
            write(&location, &runtime, day, archive_commit, &entries)
        });
        wrote.await.map_err(|error| self.inner.location.stopped(error))?
    }
}

/// A range of holders.
pub(crate) type Piece = (Bound<UserId>, Bound<UserId>);

fn has(piece: &Piece, holder: &UserId) -> bool {
    use std::ops::RangeBounds;
    piece.contains(holder)
}

/// `count` ranges that cover everything, with as many of the sorted `samples` in each.
fn cut(samples: &[UserId], count: u64) -> Vec<Piece> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).max(1);
    let mut ends: Vec<&UserId> =
        (1..count).filter_map(|nth| samples.get(nth * samples.len() / count)).collect();
    ends.dedup();
    let mut pieces = Vec::new();
    let mut from = Bound::Unbounded;
    for end in ends {
        pieces.push((from, Bound::Excluded(end.clone())));
        from = Bound::Included(end.clone());
    }
    pieces.push((from, Bound::Unbounded));
    pieces
}

/// What one batch says about the holders of an archive commit.
struct Sample {
    holders: Vec<UserId>,
    held: u64,
}

fn sample(batch: &RecordBatch, step: usize) -> Result<Vec<Sample>, BadRow> {
    let column = decode::texts(batch, "holder")?;
    let mut holders = Vec::new();
    for row in (0..batch.num_rows()).step_by(step) {
        holders.extend(column.optional::<UserId>(row)?);
    }
    let held = (batch.num_rows() - batch.column(0).null_count()) as u64;
    Ok(vec![Sample { holders, held }])
}

fn write(
    location: &StoreLocation,
    runtime: &Handle,
    day: Day,
    archive_commit: u64,
    entries: &[Held],
) -> Result<Written, ColdError> {
    let path = names::by_holder_file(day, archive_commit);
    let columns = schema::by_holder_arrow();
    let cut = Cut::at(schema::BY_HOLDER.group_bytes);
    let mut upload = Upload::begin(location, runtime, &schema::BY_HOLDER, columns, path, cut)?;
    for entries in entries.chunks(BATCH_ROWS) {
        let wrote = match to_batch(entries) {
            Ok(batch) => upload.write(&batch),
            Err(error) => Err(location.unavailable(format!("entries do not make a row: {error}"))),
        };
        if let Err(error) = wrote {
            upload.abandon();
            return Err(error);
        }
    }
    upload.finish()
}

fn to_batch(entries: &[Held]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&Held) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(entries.iter().map(of)))
    };
    let columns: Vec<ArrayRef> = vec![
        text(|held| held.holder.as_str()),
        text(|held| held.entry.code.as_str()),
        Arc::new(Date32Array::from_iter_values(entries.iter().map(|held| held.entry.day.0))),
        encode::instants(entries.iter().map(|held| Some(held.entry.expires_at))),
        text(|held| held.entry.state),
        encode::longs(entries.iter().map(|held| held.entry.version.cast_signed())),
    ];
    RecordBatch::try_new(schema::by_holder_arrow(), columns)
}

/// The entries of a batch of the side table.
pub(crate) fn held(batch: &RecordBatch) -> Result<Vec<Held>, BadRow> {
    let days =
        batch.column_by_name("expiry_day").and_then(|it| it.as_primitive_opt::<Date32Type>());
    let days = days.ok_or_else(|| decode::bad("expiry_day", 0, "no day"))?;
    let columns = Columns::of(batch)?;
    (0..batch.num_rows()).map(|row| columns.held(row, Day(days.value(row)))).collect()
}

/// The entries that a batch of `coupons` makes, of the holders in `piece`.
pub(crate) fn of_coupons(
    batch: &RecordBatch,
    day: Day,
    piece: &Piece,
) -> Result<Vec<Held>, BadRow> {
    let columns = Columns::of(batch)?;
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        let holder: Option<UserId> = columns.holders.optional(row)?;
        if holder.is_some_and(|holder| has(piece, &holder)) {
            found.push(columns.held(row, day)?);
        }
    }
    Ok(found)
}

/// What both tables have.
struct Columns<'a> {
    holders: decode::Texts<'a>,
    codes: decode::Texts<'a>,
    expires_at: decode::Instants<'a>,
    states: decode::Texts<'a>,
    versions: &'a arrow::array::Int64Array,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Columns<'a>, BadRow> {
        Ok(Columns {
            holders: decode::texts(batch, "holder")?,
            codes: decode::texts(batch, "code")?,
            expires_at: decode::instants(batch, "expires_at")?,
            states: decode::texts(batch, "state")?,
            versions: decode::longs(batch, "version")?,
        })
    }

    fn held(&self, row: usize, day: Day) -> Result<Held, BadRow> {
        let state = match self.states.needed(row)? {
            "available" => "available",
            "issued" => "issued",
            "redeemed" => "redeemed",
            "void" => "void",
            other => return Err(decode::bad("state", row, format!("{other:?}"))),
        };
        let entry = HolderEntry {
            code: self.codes.parsed(row)?,
            day,
            expires_at: self.expires_at.needed(row)?,
            state,
            version: decode::unsigned("version", row, self.versions.value(row))?,
            coupon: None,
        };
        Ok(Held { holder: self.holders.parsed(row)?, entry })
    }
}

/// Each coupon once, in its newest version and whole if it can be, the latest expiry first.
fn newest_first(mut entries: Vec<HolderEntry>) -> Vec<HolderEntry> {
    entries.sort_unstable_by(|a, b| {
        let newer = b.version.cmp(&a.version).then(a.coupon.is_none().cmp(&b.coupon.is_none()));
        (a.day, &a.code).cmp(&(b.day, &b.code)).then(newer)
    });
    entries.dedup_by(|later, first| (later.day, &later.code) == (first.day, &first.code));
    entries.sort_by(|a, b| b.expires_at.cmp(&a.expires_at).then_with(|| a.code.cmp(&b.code)));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_holder_once() {
        let holders = |names: &[&str]| names.iter().map(|it| it.parse().unwrap()).collect();
        let cases: [(&str, Vec<UserId>, u64, usize); 5] = [
            ("one piece", holders(&["a", "b", "c"]), 1, 1),
            ("three", holders(&["a", "b", "c"]), 3, 3),
            ("no sample", holders(&[]), 3, 1),
            ("one holder has nearly all", holders(&["a", "b", "b", "b", "b"]), 4, 2),
            ("more pieces than samples", holders(&["a", "b"]), 9, 3),
        ];
        for (name, samples, count, want) in cases {
            let pieces = cut(&samples, count);
            assert_eq!(pieces.len(), want, "{name}");
            for holder in holders(&["0", "a", "aa", "b", "c", "z"]) {
                let within = pieces.iter().filter(|piece| has(piece, &holder)).count();
                assert_eq!(within, 1, "{name}: {holder}");
            }
        }
    }
}
