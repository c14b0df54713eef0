//! What a dry run reports.

use coupon::calendar::Zone;
use coupon::ids::CampaignId;
use hot::ImportLine;

use super::super::columns::KnownColumn;
use super::super::encoding::TextEncoding;
use super::super::exports::KnownExport;
use super::super::rejected::RejectedLine;

/// What an import of a file would do, as far as reads can tell.
#[derive(Clone, Debug)]
pub struct DryRun {
    pub campaign: CampaignId,
    /// The zone in which its dates are read.
    pub zone: Zone,
    pub encoding: TextEncoding,
    /// `None` for an empty file.
    pub separator: Option<char>,
    pub header: Option<String>,
    /// In the order of the file; `None` for one that is skipped.
    pub columns: Vec<Option<KnownColumn>>,
    /// The system whose export the file is, and what of it does not come along.
    pub export: Option<&'static KnownExport>,
    pub counts: CheckedLines,
    /// Lines that the caller leaves out, which are in no count.
    pub left_out: u64,
    /// The first rejected lines, at most [`super::DRY_RUN_REJECTED_MAX`].
    pub rejected: Vec<RejectedLine>,
    /// The first lines that can be read, at most [`super::DRY_RUN_PARSED_MAX`].
    pub parsed: Vec<ParsedLine>,
}

/// How many lines an import would handle in which way. `new`, `known`, `unchecked` and `rejected`
/// add up to `lines`. Without `unchecked` lines, the import counts the same: `new` as imported, and
/// `known` as already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckedLines {
    /// Lines of the file without its header.
    pub lines: u64,
    /// Lines that would make a coupon or move one forward.
    pub new: u64,
    /// Lines that say nothing new.
    pub known: u64,
    /// Lines that can be read and were not looked up.
    pub unchecked: u64,
    pub rejected: u64,
    /// Lines with the code of an earlier line, whatever they do: of its first
    /// [`REPEATS_MAX`](super::super::REPEATS_MAX) codes.
    pub repeated: u64,
}

#[derive(Clone, Debug)]
pub struct ParsedLine {
    /// From 1.
    pub line: u64,
    pub read: ImportLine,
}

impl ParsedLine {
    pub fn state(&self) -> &'static str {
        self.read.imported_state.as_str()
    }
}
