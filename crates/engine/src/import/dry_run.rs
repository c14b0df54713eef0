//! An import without writing anything: what its lines would say.
//!
//! What is known of a line without a write: whether it can be read, and whether its code stands
//! already. The second is one read for each line, so only the first [`DRY_RUN_LOOKUPS_MAX`] lines
//! that can be read are looked up. What an import compares beyond that (dates and state of a coupon
//! that is there, closed expiry days) is found out by the import.

use std::collections::HashSet;

use bytes::Bytes;
use coupon::calendar::Zone;
use coupon::ids::{CampaignId, OrderRef};
use coupon::imported::ImportedState;
use coupon::time::Millis;
use futures::Stream;
use futures::future::try_join_all;
use hot::{ImportLine, RejectedLine};
use router::Entry;

use super::columns::Column;
use super::encoding::Encoding;
use super::file::File;
use super::lines::Line;
use super::{ImportRequest, Parser, rejected_line, taken};
use crate::failure::Failure;
use crate::{Caller, Engine, Role};

/// Lines whose codes a dry run looks up: a second or two of reads, whatever the length of the file.
pub const DRY_RUN_LOOKUPS_MAX: usize = 10_000;

/// Rejected lines that a dry run shows.
pub const DRY_RUN_REJECTED_MAX: usize = 100;

/// Lines that a dry run shows as it read them.
pub const DRY_RUN_PARSED_MAX: usize = 5;

/// Lines that are looked up together.
const LOOKED_UP_TOGETHER: usize = 256;

/// Look-ups under way at a time: a cluster answers them side by side.
const LOOKUPS_AT_ONCE: usize = 16;

/// What an import of a file would do, as far as reads can tell.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The campaign.
    pub campaign: CampaignId,
    /// The zone in which its dates are read.
    pub zone: Zone,
    /// The encoding that the file was read in.
    pub encoding: Encoding,
    /// What stands between its cells; `None` for an empty file.
    pub separator: Option<char>,
    /// The header as it stands in the file, if it has one.
    pub header: Option<String>,
    /// The file's columns in their order; `None` for one that is skipped.
    pub columns: Vec<Option<Column>>,
    /// How the lines would end.
    pub counts: CheckedLines,
    /// The first rejected lines, at most [`DRY_RUN_REJECTED_MAX`].
    pub rejected: Vec<RejectedLine>,
    /// The first lines that can be read, at most [`DRY_RUN_PARSED_MAX`].
    pub parsed: Vec<ParsedLine>,
}

/// Lines of a dry run by what an import would do with them; `new`, `known`, `unchecked` and
/// `rejected` add up to `lines`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckedLines {
    /// Lines of the file without its header.
    pub lines: u64,
    /// Would be imported, unless their expiry day is closed.
    pub new: u64,
    /// The campaign, or an earlier line, has the code: already there, moved forward, or rejected
    /// for other dates.
    pub known: u64,
    /// Can be read, and were not looked up.
    pub unchecked: u64,
    /// Would be rejected.
    pub rejected: u64,
}

/// A line as it was read.
#[derive(Clone, Debug)]
pub struct ParsedLine {
    /// Its number in the file, from 1.
    pub line: u64,
    /// What it says.
    pub read: ImportLine,
}

impl ParsedLine {
    /// `available`, `issued`, `redeemed` or `void`.
    pub fn state(&self) -> &'static str {
        match self.read.imported_state {
            ImportedState::Available => "available",
            ImportedState::Issued { .. } => "issued",
            ImportedState::Redeemed { .. } => "redeemed",
            ImportedState::Void => "void",
        }
    }

    /// Since when a user has it, if the line says.
    pub fn issued_at(&self) -> Option<Millis> {
        match self.read.imported_state {
            ImportedState::Issued { at, .. } => at,
            ImportedState::Redeemed { issued_at, .. } => issued_at,
            ImportedState::Available | ImportedState::Void => None,
        }
    }

    /// When it was redeemed.
    pub fn redeemed_at(&self) -> Option<Millis> {
        match self.read.imported_state {
            ImportedState::Redeemed { at, .. } => Some(at),
            ImportedState::Available | ImportedState::Issued { .. } | ImportedState::Void => None,
        }
    }

    /// For which order, if the line says.
    pub fn order(&self) -> Option<&OrderRef> {
        match &self.read.imported_state {
            ImportedState::Redeemed { order, .. } => order.as_ref(),
            ImportedState::Available | ImportedState::Issued { .. } | ImportedState::Void => None,
        }
    }
}

/// A dry run on its way.
struct Checking<'a> {
    engine: &'a Engine,
    parser: Parser<'a>,
    found: DryRun,
    /// Lines to be looked up.
    waiting: Vec<(Line, ImportLine)>,
    /// Codes that were looked up, or wait for it.
    codes: HashSet<coupon::code::Code>,
}

impl Engine {
    /// Reads every line of `file` as [`Engine::import`] would, and writes nothing. Constant
    /// memory; at most [`DRY_RUN_LOOKUPS_MAX`] reads.
    ///
    /// # Errors
    /// [`Failure::BadFile`] and [`Failure::BrokenOff`], as in an import; those of the store.
    pub async fn dry_run_import<E: std::fmt::Display>(
        &self,
        caller: &Caller,
        ask: ImportRequest,
        file: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<DryRun, Failure> {
        caller.must_be(&[Role::Admin])?;
        let campaign = self.campaign(caller, &ask.campaign).await?.campaign;
        let mut file = File::open(file, ask.format.encoding).await?;
        let begin = file.begin(ask.format.columns.as_ref()).await?;
        let header = begin.header.as_ref();
        let found = DryRun {
            campaign: campaign.id.clone(),
            zone: campaign.zone.clone(),
            encoding: file.encoding(),
            separator: header.map(|header| header.separator()),
            columns: header.map(|header| header.columns().to_vec()).unwrap_or_default(),
            header: begin.header_text,
            counts: CheckedLines::default(),
            rejected: Vec::new(),
            parsed: Vec::new(),
        };
        let parser = self.parser(&campaign, begin.header);
        let (waiting, codes) = (Vec::new(), HashSet::new());
        let mut checking = Checking { engine: self, parser, found, waiting, codes };
        for line in begin.lines {
            checking.take(line).await?;
        }
        while let Some(line) = file.next().await {
            checking.take(line?).await?;
        }
        checking.look_up().await?;
        // Look-ups end behind later lines that cannot be read.
        checking.found.rejected.sort_by_key(|line| line.line);
        checking.found.rejected.truncate(DRY_RUN_REJECTED_MAX);
        Ok(checking.found)
    }
}

impl Checking<'_> {
    async fn take(&mut self, line: Line) -> Result<(), Failure> {
        self.found.counts.lines += 1;
        let read = match self.parser.read(&line) {
            Ok(read) => read,
            Err((word, detail)) => {
                self.reject(&line, word, detail);
                return Ok(());
            }
        };
        if self.found.parsed.len() < DRY_RUN_PARSED_MAX {
            self.found.parsed.push(ParsedLine { line: line.number, read: read.clone() });
        }
        if self.codes.contains(&read.code) {
            self.found.counts.known += 1;
        } else if self.codes.len() == DRY_RUN_LOOKUPS_MAX {
            self.found.counts.unchecked += 1;
        } else {
            self.codes.insert(read.code.clone());
            self.waiting.push((line, read));
        }
        match self.waiting.len() < LOOKED_UP_TOGETHER {
            true => Ok(()),
            false => self.look_up().await,
        }
    }

    fn reject(&mut self, line: &Line, word: &str, detail: String) {
        self.found.counts.rejected += 1;
        // As many again: a look-up may reject a line that stands before these.
        if self.found.rejected.len() < DRY_RUN_REJECTED_MAX + LOOKED_UP_TOGETHER {
            self.found.rejected.push(rejected_line(line, word, detail));
        }
    }

    /// Finds out whose the codes of the waiting lines are.
    async fn look_up(&mut self) -> Result<(), Failure> {
        let (engine, waiting) = (self.engine, std::mem::take(&mut self.waiting));
        for group in waiting.chunks(LOOKUPS_AT_ONCE) {
            let reads: Vec<_> =
                group.iter().map(|(_, read)| engine.hot.entry(&read.code)).collect();
            let entries = try_join_all(reads).await?;
            for ((line, _), entry) in group.iter().zip(entries) {
                match entry {
                    None => self.found.counts.new += 1,
                    Some(Entry::Coupon { owner, .. }) if owner.campaign == self.found.campaign => {
                        self.found.counts.known += 1;
                    }
                    Some(Entry::Coupon { .. } | Entry::Shared { .. }) => {
                        self.reject(line, "CODE_TAKEN", taken());
                    }
                }
            }
        }
        Ok(())
    }
}
