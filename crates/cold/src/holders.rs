//! The side table `coupons_by_holder`: which coupons a holder has, in all partitions.
//!
//! Invariant: the side table is derived from the committed files of `coupons` and from nothing
//! else, so it may lag behind and never contradicts them. Each commit brings one partition up to
//! date: it adds the archive commits that the side table lacks, and removes those that a merge has
//! replaced.

mod commit;
mod pieces;

use std::ops::RangeBounds;
use std::sync::Arc;

use arrow::array::RecordBatch;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::bounds::{ColumnBounds, may_hold};
use crate::cursor::RowDecoder;
use crate::decode::{self, BadRow};
use crate::error::Result;
use crate::files::ReadError;
use crate::indexed::HolderIndexRow;
use crate::live::LiveFile;
use crate::log::DeltaTable;
use crate::names::{self, FileOrigin};
use crate::persons::PersonNames;
use crate::store::{ColdStore, ColdStoreInner, READ_TRIES_MAX};
use pieces::HolderRange;

pub(crate) use pieces::EVERYBODY;

const READS_MAX: usize = 8;

/// The columns of `coupons` that the side table repeats.
pub(crate) const REPEATED: &[&str] = &["code", "state", "version", "holder", "expires_at"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderEntry {
    pub code: Code,
    /// The expiry day of its partition.
    pub day: Day,
    /// The first instant at which the coupon no longer works.
    pub expires_at: Millis,
    /// Its state, as the API names it.
    pub state: &'static str,
    pub version: u64,
    /// The whole coupon, if the holder index has it. Otherwise [`ColdStore::find`] returns it.
    pub coupon: Option<Box<Coupon>>,
}

impl ColdStore {
    /// Lists the archived coupons that `holder` holds, has redeemed, or held when they were voided,
    /// on expiry days from `from` on, latest expiry first. Looks up the newest versions.
    ///
    /// Reads a footer, unless it is cached, and one or two row groups of each file that may have
    /// the holder: at most one file of each level of the holder index, the few files of level 0,
    /// and those files of `coupons_by_holder` that the index does not cover yet. Which files may have
    /// the holder is in their footers, so the first list of a process reads those of all these tables.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table; [`ColdError::Damaged`].
    pub async fn of_holder(&self, holder: &UserId, from: Option<Day>) -> Result<Vec<HolderEntry>> {
        let ColdStoreInner { location, by_holder, index, .. } = &*self.inner;
        for _ in 0..READ_TRIES_MAX {
            // The index is looked up first: files that it covers may be gone from a later version
            // of the side table, and files that it does not cover are in every later version.
            let indexed = index.newest_if_any().await?;
            let known = by_holder.newest().await?;
            let has = |day: Day| indexed.as_ref().map_or(0, |index| index.archive_commit(day));
            let waits = |file: &&Arc<LiveFile>| {
                let FileOrigin { day, archive_commit, .. } = file.origin;
                from.is_none_or(|from| day >= from) && archive_commit > has(day)
            };
            let waiting = known.all().filter(waits).map(|file| (by_holder, file));
            let files = indexed.iter().flat_map(|known| known.files(names::INDEX));
            let reads =
                files.map(|file| (index, file)).chain(waiting).map(|(table, file)| async move {
                    let read = self.entries(table, file, holder, from).await;
                    read.map_err(|error| (table, Arc::clone(file), error))
                });
            let reads: Vec<_> = reads.collect();
            let read = stream::iter(reads).buffer_unordered(READS_MAX).try_concat().await;
            match read {
                Ok(entries) => return Ok(newest_first(entries)),
                Err((_, _, ReadError::Cold(error))) => return Err(error),
                Err((table, file, ReadError::Gone)) => {
                    // Live and not there is damage; otherwise a merge replaced it: read again.
                    if table.newest().await?.is_live(file.origin.day, &file.path) {
                        return Err(location.damaged(file.object(), "it is missing"));
                    }
                }
            }
        }
        Err(location.unavailable("merges keep replacing the files of the side table: retry"))
    }

    /// The coupons of `holder` in one file, from the row groups that may have them.
    async fn entries(
        &self,
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
        holder: &UserId,
        from: Option<Day>,
    ) -> Result<Vec<HolderEntry>, ReadError> {
        let names = self.names(file);
        let stored = names.stored(holder);
        let may = |bounds: Option<&(String, String)>| {
            stored.iter().any(|stored| may_hold(bounds, stored))
        };
        if !may(self.inner.files.holders(file).await?.as_ref()) {
            return Ok(Vec::new());
        }
        let reading = match file.origin.day {
            names::INDEX => in_index(holder, from),
            _ => in_side(holder),
        };
        let may = |bounds: &ColumnBounds| may(bounds.holder.as_ref());
        let mut rows = self.open_or_gone(table, file, reading, may).await?;
        let mut entries = Vec::new();
        while let Some(some) = rows.next_or_gone().await? {
            entries.extend(some);
        }
        Ok(entries)
    }
}

fn in_index(holder: &UserId, from: Option<Day>) -> RowDecoder<HolderEntry> {
    let holder = holder.clone();
    RowDecoder::all(move |batch, names| {
        let stored = names.stored(&holder);
        let rows = decode::indexed(batch, names, |it| stored.contains(&it))?.into_iter();
        let rows = rows.filter(|row| from.is_none_or(|from| row.day >= from));
        Ok(rows.map(HolderEntry::of).collect())
    })
}

fn in_side(holder: &UserId) -> RowDecoder<HolderEntry> {
    let holder = holder.clone();
    RowDecoder::all(move |batch, names| {
        let held = held(batch, names)?.into_iter().filter(|held| held.holder == holder);
        Ok(held.map(|held| held.entry).collect())
    })
}

impl HolderEntry {
    fn of(HolderIndexRow { day, coupon }: HolderIndexRow) -> HolderEntry {
        HolderEntry {
            code: coupon.code().clone(),
            day,
            expires_at: coupon.expires_at(),
            state: coupon.state().as_str(),
            version: coupon.version(),
            coupon: Some(Box::new(coupon)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HolderRow {
    pub(crate) holder: UserId,
    pub(crate) entry: HolderEntry,
}

impl HolderRow {
    /// The sort key of a file of the side table.
    pub(crate) fn key(&self) -> (&UserId, &Code) {
        (&self.holder, &self.entry.code)
    }
}

pub(crate) fn held(batch: &RecordBatch, names: &PersonNames) -> Result<Vec<HolderRow>, BadRow> {
    let (days, row_of) = (decode::days(batch)?, row_reader(batch, names)?);
    (0..batch.num_rows()).map(|row| row_of(row, Day(days.value(row)))).collect()
}

/// The entries that a batch of `coupons` adds to the side table, for the holders in `piece`.
pub(crate) fn of_coupons(
    batch: &RecordBatch,
    names: &PersonNames,
    day: Day,
    piece: &HolderRange,
) -> Result<Vec<HolderRow>, BadRow> {
    let (holders, row_of) = (decode::texts(batch, "holder")?, row_reader(batch, names)?);
    let is_held = |row| {
        let holder: Option<UserId> = holders.optional(row)?;
        Ok(holder.is_some_and(|holder| piece.contains(&names.user(holder))))
    };
    decode::rows_where(batch, is_held, |row| row_of(row, day))
}

/// Reads a row of `batch`, of a coupon with a holder.
fn row_reader<'a>(
    batch: &RecordBatch,
    names: &'a PersonNames,
) -> Result<impl Fn(usize, Day) -> Result<HolderRow, BadRow> + use<'a>, BadRow> {
    let holders = decode::texts(batch, "holder")?;
    let codes = decode::texts(batch, "code")?;
    let expires_at = decode::instants(batch, "expires_at")?;
    let states = decode::texts(batch, "state")?;
    let versions = decode::longs(batch, "version")?;
    Ok(move |row, day| {
        let state = match states.needed(row)? {
            "available" => "available",
            "issued" => "issued",
            "redeemed" => "redeemed",
            "void" => "void",
            other => return Err(decode::bad("state", row, format!("{other:?}"))),
        };
        let entry = HolderEntry {
            code: codes.parsed(row)?,
            day,
            expires_at: expires_at.needed(row)?,
            state,
            version: versions.unsigned(row)?,
            coupon: None,
        };
        Ok(HolderRow { holder: names.user(holders.parsed(row)?), entry })
    })
}

/// Each coupon once, in its newest version, whole if possible; latest expiry first.
fn newest_first(mut entries: Vec<HolderEntry>) -> Vec<HolderEntry> {
    entries.sort_unstable_by(|a, b| {
        let newer = b.version.cmp(&a.version).then(a.coupon.is_none().cmp(&b.coupon.is_none()));
        (a.day, &a.code).cmp(&(b.day, &b.code)).then(newer)
    });
    entries.dedup_by(|later, first| (later.day, &later.code) == (first.day, &first.code));
    entries.sort_by(|a, b| b.expires_at.cmp(&a.expires_at).then_with(|| a.code.cmp(&b.code)));
    entries
}
