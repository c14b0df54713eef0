//! Finding the rows that one table has and the other has not, in bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rows::SideRow;
use super::{SIDE_FAULTS_MAX, SideAudit, SideFault, SideIs};
use crate::cursor::Reading;
use crate::error::ColdError;
use crate::log::{LiveFile, Table};
use crate::store::ColdStore;

/// Rows held in memory while the other table is read: some 50 MB.
const SIDE_ROWS_MAX: usize = 200_000;

impl ColdStore {
    /// Adds to `audit` the rows of the first table that the second has not. Reads the first in
    /// pieces of `SIDE_ROWS_MAX` rows, and the whole second table once for each piece.
    pub(super) async fn differences(
        &self,
        (table, files, reading): (&Table, &[Arc<LiveFile>], &Reading<SideRow>),
        (others, against, other): (&Table, &[Arc<LiveFile>], &Reading<SideRow>),
        is: SideIs,
        audit: &mut SideAudit,
    ) -> Result<(), ColdError> {
        let mut some: BTreeMap<u128, (SideRow, i64)> = BTreeMap::new();
        let mut files = files.iter();
        loop {
            let file = files.next();
            if let Some(file) = file
                && let Ok(mut cursor) = self.inner.cursor(table, file, reading.clone()).await
            {
                while let Ok(Some(rows)) = cursor.next().await {
                    for row in rows {
                        some.entry(row.hash()).or_insert((row, 0)).1 += 1;
                    }
                    if some.len() >= SIDE_ROWS_MAX {
                        self.cross_off(others, against, other, &mut some).await?;
                        report(&mut some, is, audit);
                    }
                }
            }
            if file.is_none() {
                self.cross_off(others, against, other, &mut some).await?;
                report(&mut some, is, audit);
                return Ok(());
            }
        }
    }

    async fn cross_off(
        &self,
        table: &Table,
        files: &[Arc<LiveFile>],
        reading: &Reading<SideRow>,
        some: &mut BTreeMap<u128, (SideRow, i64)>,
    ) -> Result<(), ColdError> {
        for file in files {
            let Ok(mut cursor) = self.inner.cursor(table, file, reading.clone()).await else {
                continue;
            };
            while let Ok(Some(rows)) = cursor.next().await {
                for row in rows {
                    if let Some((_, count)) = some.get_mut(&row.hash()) {
                        *count -= 1;
                    }
                }
            }
        }
        Ok(())
    }
}

fn report(some: &mut BTreeMap<u128, (SideRow, i64)>, is: SideIs, audit: &mut SideAudit) {
    for (row, count) in std::mem::take(some).into_values() {
        if count > 0 && audit.faults.len() < SIDE_FAULTS_MAX {
            audit.faults.push(SideFault { code: row.code, holder: row.holder, is });
        }
    }
}
