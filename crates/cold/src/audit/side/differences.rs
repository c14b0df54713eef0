//! Finding the rows that one table has and the other has not, in bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rows::hash;
use super::{SIDE_FAULTS_MAX, SideAudit, SideFault, SideIs};
use crate::cursor::{FileRows, RowDecoder};
use crate::error::Result;
use crate::holders::HolderRow;
use crate::live::LiveFile;
use crate::log::DeltaTable;
use crate::store::ColdStore;

/// Rows held in memory while the other table is read: some 50 MB.
const SIDE_ROWS_MAX: usize = 200_000;

/// The files of one archive commit in one of the two tables, and how to read them.
pub(super) struct ComparedFiles<'a> {
    pub(super) table: &'a Arc<DeltaTable>,
    pub(super) files: Vec<Arc<LiveFile>>,
    pub(super) reading: RowDecoder<HolderRow>,
}

impl ComparedFiles<'_> {
    pub(super) async fn open(
        &self,
        store: &ColdStore,
        file: &Arc<LiveFile>,
    ) -> Result<FileRows<HolderRow>> {
        store.open_where(self.table, file, self.reading.clone(), |_| true).await
    }
}

impl ColdStore {
    /// Adds to `audit` the rows of the first table that the second has not. Reads the first in
    /// pieces of `SIDE_ROWS_MAX` rows, and the whole second table once for each piece.
    pub(super) async fn differences(
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
                    some.entry(hash(&row)).or_insert((row, 0)).1 += 1;
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
                    if let Some((_, count)) = some.get_mut(&hash(&row)) {
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
