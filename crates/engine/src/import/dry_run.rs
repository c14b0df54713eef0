//! Dry runs: what an import would do with a file, without a write.
//!
//! The same code decides as in an import: [`LineCheck`] what a line says, and the store what becomes of
//! it, from the coupons as they are now. A later line with the code of an earlier one is compared with
//! what that line would have made of a coupon to which nothing else has happened. The store is asked
//! for the first [`DRY_RUN_LOOKUPS_MAX`] codes only.

mod report;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use coupon::campaign::{BatchKind, Campaign};
use coupon::code::Code;
use coupon::ids::BatchId;
use coupon::imported::{Advance, ImportRun, advance};
use coupon::refusal::Refusal;
use futures::Stream;
use hot::protocol::arrived;
use hot::{ImportLine, ImportOutcome};

use super::check::{GoodLine, LineCheck};
use super::lines::FileLine;
use super::rejected::{RejectedLine, rejected_line, rejection};
use super::repeats::REPEATED_CODE;
use super::{File, ImportRequest, made_batch_id};
use crate::failure::{Failure, Result};
use crate::{Caller, Engine, Role};

pub use report::{CheckedLines, DryRun, ParsedLine};

/// Most lines whose codes a dry run looks up: a second or two of reads, whatever the length of the
/// file.
pub const DRY_RUN_LOOKUPS_MAX: usize = 10_000;

pub const DRY_RUN_REJECTED_MAX: usize = 100;

pub const DRY_RUN_PARSED_MAX: usize = 5;

const LOOKED_UP_TOGETHER: usize = 256;

struct DryRunning<'a> {
    engine: &'a Engine,
    campaign: &'a Campaign,
    batch: BatchId,
    run: ImportRun,
    check: LineCheck<'a>,
    found: DryRun,
    waiting: Vec<GoodLine>,
    /// What the file would have imported under each code so far.
    imported: HashMap<Code, ImportLine>,
    lookups: usize,
}

impl Engine {
    /// Reads every line of `file` as [`Engine::import`] does, and writes nothing. Constant memory;
    /// at most [`DRY_RUN_LOOKUPS_MAX`] lines for which the store is asked.
    ///
    /// # Errors
    /// [`Failure::BadFile`], [`Failure::BrokenOff`] and `NameTaken`, as in an import; those of the
    /// store.
    pub async fn dry_run_import<E: std::fmt::Display>(
        &self,
        caller: &Caller,
        request: ImportRequest,
        file: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<DryRun> {
        caller.must_be(&[Role::Admin])?;
        let campaign = self.campaign(caller, &request.campaign).await?.campaign;
        let batch = self.dry_run_batch(&campaign, request.batch).await?;
        let mut file = File::open(file, request.format.encoding).await?;
        let begin = file.begin(&request.format).await?;
        let header = begin.header.as_ref();
        let found = DryRun {
            campaign: campaign.id.clone(),
            zone: campaign.zone.clone(),
            encoding: file.encoding(),
            separator: header.map(|header| header.separator()),
            columns: header.map(|header| header.columns().to_vec()).unwrap_or_default(),
            export: header.and_then(|header| header.export()),
            header: begin.header_text,
            counts: CheckedLines::default(),
            left_out: 0,
            rejected: Vec::new(),
            parsed: Vec::new(),
        };
        let mut checking = DryRunning {
            engine: self,
            campaign: &campaign,
            batch,
            run: self.import_run(caller),
            check: self.line_check(caller, &campaign, begin.header, request.again).await?,
            found,
            waiting: Vec::new(),
            imported: HashMap::new(),
            lookups: 0,
        };
        for line in begin.lines {
            checking.take(line).await?;
        }
        while let Some(line) = file.next().await {
            checking.take(line?).await?;
        }
        checking.decide_waiting().await?;
        // A look-up may reject a line after a later line that cannot be read.
        checking.found.rejected.sort_by_key(|line| line.line);
        checking.found.rejected.truncate(DRY_RUN_REJECTED_MAX);
        Ok(checking.found)
    }

    /// The batch of a dry run, which need not be there.
    async fn dry_run_batch(&self, campaign: &Campaign, named: Option<BatchId>) -> Result<BatchId> {
        let Some(id) = named else { return Ok(made_batch_id()) };
        match self.hot.batch(&campaign.id, &id).await? {
            Some(batch) if batch.kind != BatchKind::Imported => {
                Err(Failure::refused(Refusal::NameTaken))
            }
            Some(_) | None => Ok(id),
        }
    }
}

impl DryRunning<'_> {
    async fn take(&mut self, line: FileLine) -> Result<()> {
        match self.check.check(line) {
            Ok(None) => {
                self.found.left_out += 1;
                return Ok(());
            }
            Ok(Some(good)) => {
                if self.found.parsed.len() < DRY_RUN_PARSED_MAX {
                    let (line, read) = (good.line.number, good.read.clone());
                    self.found.parsed.push(ParsedLine { line, read });
                }
                self.found.counts.repeated += u64::from(good.earlier.is_some());
                self.waiting.push(good);
            }
            Err(rejected) => {
                let is_repeated = rejected.reason == REPEATED_CODE;
                self.found.counts.repeated += u64::from(is_repeated);
                self.reject(rejected);
            }
        }
        self.found.counts.lines += 1;
        if self.waiting.len() < LOOKED_UP_TOGETHER { Ok(()) } else { self.decide_waiting().await }
    }

    fn reject(&mut self, line: RejectedLine) {
        self.found.counts.rejected += 1;
        // A few more than are shown: a look-up may reject a line that comes before these.
        if self.found.rejected.len() < DRY_RUN_REJECTED_MAX + LOOKED_UP_TOGETHER {
            self.found.rejected.push(line);
        }
    }

    /// Decides the waiting lines, those with one code after each other.
    async fn decide_waiting(&mut self) -> Result<()> {
        let mut left = std::mem::take(&mut self.waiting);
        while !left.is_empty() {
            let mut seen = HashSet::new();
            let (now, later) =
                left.into_iter().partition(|good| seen.insert(good.read.code.clone()));
            self.decide(now).await?;
            left = later;
        }
        Ok(())
    }

    /// Decides lines with different codes.
    async fn decide(&mut self, lines: Vec<GoodLine>) -> Result<()> {
        let mut asked = Vec::new();
        for good in lines {
            let earlier = self.imported.get(&good.read.code);
            match earlier.map(|earlier| self.outcome_after(earlier, &good.read)) {
                Some(outcome) => self.ends(good, outcome),
                None if self.lookups == DRY_RUN_LOOKUPS_MAX => self.found.counts.unchecked += 1,
                None => {
                    self.lookups += 1;
                    asked.push(good);
                }
            }
        }
        let reads = asked.iter().map(|good| good.read.clone()).collect();
        let hot = &self.engine.hot;
        let outcomes = hot.dry_run_import(&self.campaign.id, reads, self.run.clone()).await?;
        asked.into_iter().zip(outcomes).for_each(|(good, outcome)| self.ends(good, outcome));
        Ok(())
    }

    fn ends(&mut self, good: GoodLine, outcome: ImportOutcome) {
        match rejection(outcome, good.earlier) {
            Some((reason, detail)) => self.reject(rejected_line(&good.line, reason, detail)),
            None if outcome == ImportOutcome::Imported => {
                self.found.counts.new += 1;
                self.imported.insert(good.read.code.clone(), good.read);
            }
            None => self.found.counts.known += 1,
        }
    }

    /// The outcome of a line after an earlier one with the same code would have been imported.
    fn outcome_after(&self, earlier: &ImportLine, line: &ImportLine) -> ImportOutcome {
        if (line.valid_from, line.expires_at) != (earlier.valid_from, earlier.expires_at) {
            return ImportOutcome::CodeTaken;
        }
        let (was, run) = (&earlier.imported_state, &self.run);
        let coupon = arrived(self.campaign, self.batch.clone(), earlier, was, run);
        match advance(&coupon, was, &line.imported_state, run) {
            Advance::AlreadyThere => ImportOutcome::AlreadyThere,
            Advance::Forward(_) => ImportOutcome::Imported,
            Advance::Contradicts(refusal) => ImportOutcome::Refused(refusal),
        }
    }
}

#[cfg(test)]
mod tests;
