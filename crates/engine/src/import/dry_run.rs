//! Dry runs: what an import would do with a file, without a write.
//!
//! A dry run finds out whether a line can be read, and whether its code exists already. The second
//! costs one read per line, so only the first [`DRY_RUN_LOOKUPS_MAX`] readable lines are looked up.
//! Only the import itself compares the dates and the state of an existing coupon, and finds closed
//! expiry days.

mod report;

use std::collections::HashSet;

use bytes::Bytes;
use coupon::code::Code;
use futures::Stream;
use futures::future::try_join_all;
use hot::ImportLine;
use router::Entry;

use super::File;
use super::ImportRequest;
use super::lines::Line;
use super::parser::Parser;
use super::rejected::{TAKEN, rejected_line};
use crate::failure::Failure;
use crate::{Caller, Engine, Role};

pub use report::{CheckedLines, DryRun, ParsedLine};

/// Most lines whose codes a dry run looks up: a second or two of reads, whatever the length of the
/// file.
pub const DRY_RUN_LOOKUPS_MAX: usize = 10_000;

/// Most rejected lines that a dry run shows.
pub const DRY_RUN_REJECTED_MAX: usize = 100;

/// Most lines that a dry run shows as it read them.
pub const DRY_RUN_PARSED_MAX: usize = 5;

/// Lines that are looked up together.
const LOOKED_UP_TOGETHER: usize = 256;

/// Look-ups under way at a time: a cluster answers them in parallel.
const LOOKUPS_AT_ONCE: usize = 16;

/// A dry run under way.
struct Checking<'a> {
    engine: &'a Engine,
    parser: Parser<'a>,
    found: DryRun,
    /// Lines that are still to be looked up.
    waiting: Vec<(Line, ImportLine)>,
    /// Codes that were looked up or wait to be.
    codes: HashSet<Code>,
}

impl Engine {
    /// Reads every line of `file` as [`Engine::import`] does, and writes nothing. Constant memory;
    /// at most [`DRY_RUN_LOOKUPS_MAX`] reads.
    ///
    /// # Errors
    /// [`Failure::BadFile`] and [`Failure::BrokenOff`], as in an import; those of the store.
    pub async fn dry_run_import<E: std::fmt::Display>(
        &self,
        caller: &Caller,
        request: ImportRequest,
        file: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<DryRun, Failure> {
        caller.must_be(&[Role::Admin])?;
        let campaign = self.campaign(caller, &request.campaign).await?.campaign;
        let mut file = File::open(file, request.format.encoding).await?;
        let begin = file.begin(request.format.columns.as_ref()).await?;
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
        // A look-up may reject a line after a later line that cannot be read.
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
            Err((reason, detail)) => {
                self.reject(&line, reason, detail);
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

    fn reject(&mut self, line: &Line, reason: &str, detail: String) {
        self.found.counts.rejected += 1;
        // A few more than are shown: a look-up may reject a line that comes before these.
        if self.found.rejected.len() < DRY_RUN_REJECTED_MAX + LOOKED_UP_TOGETHER {
            self.found.rejected.push(rejected_line(line, reason, detail));
        }
    }

    /// Looks up to which campaign the codes of the waiting lines belong.
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
                        self.reject(line, "CODE_TAKEN", TAKEN.to_owned());
                    }
                }
            }
        }
        Ok(())
    }
}
