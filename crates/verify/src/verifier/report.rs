//! The report of a run.

use std::collections::BTreeMap;

use crate::finding::{FindingKind, Note};

coupon::words! {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum VerifyStep {
        #[default]
        Files = "checking the files",
        Coupons = "reading the coupons",
        Directory = "reading the directory",
        Claims = "reading the claims",
        LeftOver = "looking up what differs",
        Rest = "reading index rows and counts",
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    pub step: VerifyStep,
    /// Rows, entries and index rows read so far.
    pub looked_at: u64,
    pub findings: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    pub hot_rows: u64,
    pub archived_markers: u64,
    pub cold_rows: u64,
    /// Rows of the side table in cold.
    pub side_rows: u64,
    /// Entries of the directory.
    pub entries: u64,
    /// Entries of claims.
    pub claims: u64,
    pub index_rows: u64,
    pub campaigns: u64,
    /// Codes that looked wrong at first, and were looked at again.
    pub looked_again: u64,
    /// In the order of the documents, as the notes.
    pub findings: BTreeMap<FindingKind, u64>,
    pub notes: BTreeMap<Note, u64>,
    /// Campaigns whose counts were corrected.
    pub mended_counts: u64,
    /// Coupons whose index rows were written.
    pub mended_index_rows: u64,
    pub removed_index_rows: u64,
}

impl VerifyReport {
    /// Everything that was read.
    pub fn looked_at(&self) -> u64 {
        let of_cold = self.cold_rows + self.side_rows;
        let of_lists = self.entries + self.claims + self.index_rows;
        self.hot_rows + self.archived_markers + of_cold + of_lists
    }

    /// Adds what another run over other partitions has read and found.
    pub(crate) fn add(&mut self, other: VerifyReport) {
        // No `..`: a new field has to be added.
        let VerifyReport {
            hot_rows,
            archived_markers,
            cold_rows,
            side_rows,
            entries,
            claims,
            index_rows,
            campaigns,
            looked_again,
            findings,
            notes,
            mended_counts,
            mended_index_rows,
            removed_index_rows,
        } = other;
        for (sum, more) in [
            (&mut self.hot_rows, hot_rows),
            (&mut self.archived_markers, archived_markers),
            (&mut self.cold_rows, cold_rows),
            (&mut self.side_rows, side_rows),
            (&mut self.entries, entries),
            (&mut self.claims, claims),
            (&mut self.index_rows, index_rows),
            (&mut self.campaigns, campaigns),
            (&mut self.looked_again, looked_again),
            (&mut self.mended_counts, mended_counts),
            (&mut self.mended_index_rows, mended_index_rows),
            (&mut self.removed_index_rows, removed_index_rows),
        ] {
            *sum += more;
        }
        for (kind, count) in findings {
            *self.findings.entry(kind).or_default() += count;
        }
        for (note, count) in notes {
            *self.notes.entry(note).or_default() += count;
        }
    }

    pub fn found(&self) -> u64 {
        self.findings.values().sum()
    }
}
