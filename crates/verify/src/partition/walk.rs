//! The walk over one partition: the rows of hot and the copies of cold, merged in the order of codes.

use std::collections::VecDeque;

use cold::{ColdCode, PartitionAudit};
use coupon::time::Day;
use hot::inventory::RowItem;

use super::{PartitionState, TierCopies};
use crate::verifier::{ColdIs, Result, Verifier};

/// Rows of one read: some 2 MB, and 40 MB if each has 32 events.
const CHUNK: usize = 4_096;

pub(super) struct MergedWalk {
    /// The archive commit is that of the moment when cold was opened last.
    pub(super) partition: PartitionState,
    pub(super) after: String,
    rows: VecDeque<RowItem>,
    hot_ended: bool,
    cold: Option<PartitionAudit>,
}

impl MergedWalk {
    pub(super) fn begin(day: Day, after: String) -> MergedWalk {
        let partition =
            PartitionState { day, plan: None, cold_archive_commit: 0, cold_whole: true };
        MergedWalk { partition, after, rows: VecDeque::new(), hot_ended: false, cold: None }
    }

    /// The next codes, each once, in their order; `None` at the end of the partition.
    pub(super) async fn next(
        &mut self,
        verifier: &mut Verifier<'_>,
    ) -> Result<Option<Vec<TierCopies>>> {
        if self.rows.is_empty() && !self.hot_ended {
            let day = self.partition.day;
            self.partition.plan = verifier.hot.partition(day).await?;
            let rows = verifier.hot.rows_by_code(day, self.after.clone(), CHUNK).await?;
            self.hot_ended = rows.len() < CHUNK;
            self.rows = rows.into();
            self.open_cold(verifier).await?;
        }
        let last = match self.hot_ended && self.rows.is_empty() {
            true => None,
            false => self.rows.back().map(|row| row.code.clone()),
        };
        let mut cold = match &mut self.cold {
            Some(cold) => cold.up_to(last.as_deref(), CHUNK).await?,
            None => Vec::new(),
        };
        if let Some(audit) = &mut self.cold {
            for fault in audit.faults() {
                self.partition.cold_whole = false;
                verifier.file_fault(fault);
            }
        }
        if cold.is_empty() && self.rows.is_empty() {
            return Ok(None);
        }
        // A full chunk of cold may end before hot's does.
        let up_to = if cold.len() >= CHUNK { cold.last().map(|it| it.code.clone()) } else { last };
        Ok(Some(self.merged(&mut cold, up_to.as_deref())))
    }

    /// Opens the partition in cold, after the last code of the walk. Must follow the read of hot: a
    /// coupon that was archived in between is then in both, never in neither.
    async fn open_cold(&mut self, verifier: &mut Verifier<'_>) -> Result<()> {
        if !verifier.has_cold_log() {
            self.partition.cold_whole = verifier.cold_is == ColdIs::Unused;
            if verifier.cold_is == ColdIs::Unused && verifier.cold.version().await?.is_some() {
                // The very first archive commit was made after this run began.
                verifier.cold_is = ColdIs::Whole;
                self.partition.cold_whole = true;
            } else {
                return Ok(());
            }
        }
        let partition = verifier.cold.partition(self.partition.day).await?;
        if self.cold.is_none() || self.partition.cold_archive_commit != partition.archive_commit {
            self.partition.cold_archive_commit = partition.archive_commit;
            self.cold = Some(verifier.cold.audit_partition(&partition, &self.after).await?);
        }
        Ok(())
    }

    /// The rows and the copies up to a code, each code once.
    fn merged(&mut self, cold: &mut Vec<ColdCode>, up_to: Option<&str>) -> Vec<TierCopies> {
        let mut met: Vec<TierCopies> = Vec::new();
        let mut cold = cold.drain(..).peekable();
        let of_cold =
            |it: ColdCode| TierCopies { code: it.code, rows: Vec::new(), copies: it.copies };
        while let Some(row) =
            self.rows.pop_front_if(|row| up_to.is_none_or(|up_to| row.code.as_str() <= up_to))
        {
            if let Some(last) = met.last_mut().filter(|last| last.code == row.code) {
                last.rows.push(row);
                continue;
            }
            while let Some(archived) = cold.next_if(|archived| archived.code < row.code) {
                met.push(of_cold(archived));
            }
            let archived = cold.next_if(|archived| archived.code == row.code);
            let copies = archived.map(|it| it.copies).unwrap_or_default();
            met.push(TierCopies { code: row.code.clone(), rows: vec![row], copies });
        }
        met.extend(cold.map(of_cold));
        met
    }
}
