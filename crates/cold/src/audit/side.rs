//! The side table of a partition compared with the files of `coupons` that it was made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coupon::ids::UserId;
use coupon::time::Day;
use xxhash_rust::xxh3::xxh3_128;

use super::files::FileFault;
use crate::cursor::{FileRows, RowDecoder};
use crate::error::{ColdError, Result};
use crate::holders::{EVERYBODY, HolderEntry, HolderRow, REPEATED, held, of_coupons};
use crate::live::LiveFile;
use crate::log::{DeltaTable, TableVersion};
use crate::persons::PersonNames;
use crate::store::{ColdStore, ColdStoreInner};

/// A row of the side table that does not agree with `coupons`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFault {
    pub code: String,
    pub holder: String,
    pub is: SideIs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideIs {
    /// `coupons` has the coupon, and the side table does not: its holder does not find it.
    Missing,
    /// The side table has a row that `coupons` does not have, or has with other values.
    Alone,
}

#[derive(Clone, Debug, Default)]
pub struct SideAudit {
    pub rows: u64,
    pub archive_commit: u64,
    /// Archive commits that `coupons` has and the side table does not have yet.
    pub behind: u64,
    /// Rows that do not agree, at most [`SIDE_FAULTS_MAX`].
    pub faults: Vec<SideFault>,
    /// Files of the side table that are not as they were written.
    pub files: Vec<FileFault>,
}

/// Rows named for one partition. Further ones are not listed.
pub const SIDE_FAULTS_MAX: usize = 1_000;

/// Rows held in memory while the other table is read: some 50 MB.
const SIDE_ROWS_MAX: usize = 200_000;

impl ColdStore {
    /// Compares the side table of a partition with `coupons`, one archive commit at a time: first
    /// the sums of both, and row by row where the sums differ. Checks the size, the checksums, the
    /// order and the number of rows of each file of the side table. Memory is bounded.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`]. Damage is a fault.
    pub async fn audit_side(&self, day: Day) -> Result<SideAudit> {
        let ColdStoreInner { coupons, by_holder, .. } = &*self.inner;
        let mut audit = SideAudit::default();
        // The side table is looked up first: what it has is in `coupons` when that is looked up
        // later.
        let side = by_holder.newest().await?;
        let truth = coupons.newest().await?;
        audit.archive_commit = side.archive_commit(day);
        audit.behind = truth.archive_commit(day).saturating_sub(side.archive_commit(day));
        let files = truth.files(day).iter().chain(side.files(day));
        let archive_commits: BTreeSet<u64> = files.map(|file| file.origin.archive_commit).collect();
        for archive_commit in archive_commits.range(..=audit.archive_commit) {
            let of = |known: &TableVersion| -> Vec<Arc<LiveFile>> {
                let mut files = known.files(day).to_vec();
                files.retain(|file| file.origin.archive_commit == *archive_commit);
                files
            };
            let truth = ComparedFiles {
                table: coupons,
                files: of(&truth),
                reading: RowDecoder::of(REPEATED, move |batch, names| {
                    of_coupons(batch, names, day, &EVERYBODY)
                }),
            };
            // A merge removes an archive commit from `coupons` first.
            if audit.behind > 0 && truth.files.is_empty() {
                continue;
            }
            let side = ComparedFiles {
                table: by_holder,
                files: of(&side),
                reading: RowDecoder::all(held),
            };
            self.audit_archive_commit(&truth, &side, &mut audit).await?;
        }
        Ok(audit)
    }

    async fn audit_archive_commit(
        &self,
        truth: &ComparedFiles<'_>,
        side: &ComparedFiles<'_>,
        audit: &mut SideAudit,
    ) -> Result<()> {
        let wanted = match self.sum_of_coupons(truth).await {
            Ok(sum) => Some(sum),
            // [`ColdStore::audit_partition`] reports it.
            Err(ColdError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        let found = self.sum_of_side(side, audit).await?;
        let (Some(wanted), Some(found)) = (wanted, found) else { return Ok(()) };
        if wanted != found {
            self.differences(truth, side, SideIs::Missing, audit).await;
            self.differences(side, truth, SideIs::Alone, audit).await;
        }
        Ok(())
    }

    async fn sum_of_coupons(&self, truth: &ComparedFiles<'_>) -> Result<RowSum> {
        let mut sum = RowSum::default();
        for file in &truth.files {
            let mut rows = truth.open(self, file).await?;
            while let Some(rows) = rows.next().await? {
                rows.iter().for_each(|row| sum.add(&row.holder, &row.entry));
            }
        }
        Ok(sum)
    }

    /// Checks files of the side table and returns the sum of their rows; `None` if one is damaged.
    async fn sum_of_side(
        &self,
        side: &ComparedFiles<'_>,
        audit: &mut SideAudit,
    ) -> Result<Option<RowSum>> {
        let ascends = |last: &HolderRow, row: &HolderRow| last.key() < row.key();
        let (mut sum, mut is_whole) = (RowSum::default(), true);
        for file in &side.files {
            let add = |HolderRow { holder, entry }: &HolderRow, names: &PersonNames| {
                sum.add(&names.user(holder.clone()), entry);
            };
            if let Err(error) = self.audit_rows(side.table, file, &side.reading, ascends, add).await
            {
                audit.files.push(FileFault::of(side.table.unread_file(file, error).await)?);
                is_whole = false;
            }
        }
        audit.rows += sum.rows;
        Ok(is_whole.then_some(sum))
    }

    /// Adds to `audit` the rows of the first table that the second has not. Reads the first in
    /// pieces of `SIDE_ROWS_MAX` rows, and the whole second table once for each piece.
    async fn differences(
        &self,
        one: &ComparedFiles<'_>,
        other: &ComparedFiles<'_>,
        is: SideIs,
        audit: &mut SideAudit,
    ) {
        let mut some: BTreeMap<u128, (HolderRow, i64)> = BTreeMap::new();
        for file in &one.files {
            let Ok(mut rows) = one.open(self, file).await else {
                continue;
            };
            while let Ok(Some(rows)) = rows.next().await {
                for row in rows {
                    some.entry(hash(&row.holder, &row.entry)).or_insert((row, 0)).1 += 1;
                }
                if some.len() >= SIDE_ROWS_MAX {
                    self.report(std::mem::take(&mut some), other, is, audit).await;
                }
            }
        }
        self.report(some, other, is, audit).await;
    }

    /// Adds to `audit` those of `some` that the other table has not, or not as often.
    async fn report(
        &self,
        mut some: BTreeMap<u128, (HolderRow, i64)>,
        other: &ComparedFiles<'_>,
        is: SideIs,
        audit: &mut SideAudit,
    ) {
        for file in &other.files {
            let Ok(mut rows) = other.open(self, file).await else {
                continue;
            };
            while let Ok(Some(rows)) = rows.next().await {
                for row in rows {
                    if let Some((_, count)) = some.get_mut(&hash(&row.holder, &row.entry)) {
                        *count -= 1;
                    }
                }
            }
        }
        for (HolderRow { holder, entry }, _) in some.into_values().filter(|(_, count)| *count > 0) {
            if audit.faults.len() < SIDE_FAULTS_MAX {
                let (code, holder) = (entry.code.to_string(), holder.to_string());
                audit.faults.push(SideFault { code, holder, is });
            }
        }
    }
}

/// The files of one archive commit in one of the two tables, and how to read them.
struct ComparedFiles<'a> {
    table: &'a Arc<DeltaTable>,
    files: Vec<Arc<LiveFile>>,
    reading: RowDecoder<HolderRow>,
}

impl ComparedFiles<'_> {
    async fn open(&self, store: &ColdStore, file: &Arc<LiveFile>) -> Result<FileRows<HolderRow>> {
        store.open_where(self.table, file, self.reading.clone(), |_| true).await
    }
}

/// A number of rows, and the sum of their hashes; the order of the rows does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RowSum {
    rows: u64,
    hash: u128,
}

impl RowSum {
    fn add(&mut self, holder: &UserId, entry: &HolderEntry) {
        self.rows += 1;
        self.hash = self.hash.wrapping_add(hash(holder, entry));
    }
}

fn hash(holder: &UserId, entry: &HolderEntry) -> u128 {
    let HolderEntry { code, day, expires_at, state, version, .. } = entry;
    let text = format!(
        "{holder}\u{1f}{code}\u{1f}{}\u{1f}{}\u{1f}{state}\u{1f}{version}",
        day.0, expires_at.0
    );
    xxh3_128(text.as_bytes())
}
