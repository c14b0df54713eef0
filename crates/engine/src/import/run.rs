//! One run of an import: lines go into windows, windows into the store.

use std::sync::Arc;

use bytes::Bytes;
use coupon::campaign::{Batch, ImportCounts};
use coupon::ids::{Actor, BatchId, CampaignId, OperationId};
use coupon::imported::ImportRun;
use futures::Stream;
use hot::{HotError, ImportOutcome};

use super::File;
use super::check::{GoodLine, LineCheck};
use super::lines::FileLine;
use super::rejected::{RejectReport, RejectedLine, rejected_line, rejection};
use super::window::{ImportWindow, SentWindow, WindowOutcome};
use crate::failure::{Result, WriteResult, found};
use crate::{Caller, Engine};

/// Rejected lines per transaction: other writers wait a few milliseconds for it.
const REJECTED_GROUP: usize = 500;

/// Lines that are sorted by code before they are written. So the lines of one transaction are next
/// to each other in the indexes; each random code would write pages of its own. Two windows are in
/// memory at a time, some 15 MB each: one is read while the other is written.
const WINDOW: usize = 50_000;

pub(super) struct RunningImport<'a> {
    pub(super) engine: &'a Engine,
    pub(super) campaign: CampaignId,
    pub(super) batch: BatchId,
    pub(super) run: ImportRun,
    check: LineCheck<'a>,
    pub(super) counts: ImportCounts,
    /// The counts in the batch's row.
    pub(super) counted: ImportCounts,
    good: Vec<GoodLine>,
    /// The previous window, which is written while this one is read.
    sent: Option<SentWindow>,
    /// No more lines are read, so a window need not be full.
    pub(super) is_over: bool,
    rejected: Vec<RejectedLine>,
    /// The header of the file, until a line is rejected: the report begins with it.
    header: Option<RejectedLine>,
}

impl<'a> RunningImport<'a> {
    pub(super) fn begin(
        engine: &'a Engine,
        caller: &Caller,
        check: LineCheck<'a>,
        opened: &WriteResult<Batch>,
        header: Option<RejectedLine>,
    ) -> RunningImport<'a> {
        let (WriteResult::Created(batch) | WriteResult::Same(batch)) = opened;
        RunningImport {
            engine,
            campaign: batch.campaign.clone(),
            batch: batch.id.clone(),
            run: engine.import_run(caller),
            check,
            counts: ImportCounts::default(),
            counted: batch.import,
            good: Vec::new(),
            sent: None,
            is_over: false,
            rejected: Vec::new(),
            header,
        }
    }
}

impl Engine {
    pub(super) fn import_run(&self, caller: &Caller) -> ImportRun {
        ImportRun {
            actor: Actor::new(&caller.to_string()),
            operation: OperationId(uuid::Uuid::now_v7().as_u128()),
            at: self.now(),
        }
    }
}

impl RunningImport<'_> {
    /// Imports every line, those of `beginning` first, and returns when all are done.
    pub(super) async fn all<S, E>(
        &mut self,
        beginning: Vec<FileLine>,
        file: &mut File<S>,
        progress: &(impl Fn(ImportCounts) + Sync),
    ) -> Result<Batch>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        for line in beginning {
            self.take(line).await?;
        }
        loop {
            match file.next().await {
                Some(Ok(line)) => {
                    if self.take(line).await? {
                        progress(self.counts);
                    }
                }
                Some(Err(broken)) => {
                    // The lines that arrived whole are imported and counted; a repeat brings the
                    // rest.
                    self.finish().await?;
                    return Err(broken.into());
                }
                None => return self.finish().await,
            }
        }
    }

    /// Takes one line; `true` if it filled a window and the previous window was imported.
    async fn take(&mut self, line: FileLine) -> Result<bool> {
        match self.check.check(line) {
            Ok(None) => return Ok(false),
            Ok(Some(good)) => self.good.push(good),
            Err(rejected) => self.reject(rejected),
        }
        self.counts.lines += 1;
        if self.good.len() < WINDOW && self.rejected.len() < REJECTED_GROUP {
            return Ok(false);
        }
        self.flush().await?;
        Ok(true)
    }

    fn reject(&mut self, line: RejectedLine) {
        self.counts.rejected += 1;
        self.rejected.extend(self.header.take());
        self.rejected.push(line);
    }

    /// Starts to write this window after the previous one is written: a later line must find what
    /// an earlier line with the same code wrote.
    async fn flush(&mut self) -> Result<()> {
        if self.good.len() >= WINDOW || self.is_over {
            self.settle().await?;
            self.send().await?;
        }
        self.keep_rejected().await
    }

    /// Stores the rejected lines for the report, some at a time: a transaction with a whole window would make other
    /// writers wait.
    async fn keep_rejected(&mut self) -> Result<()> {
        let tables = self.engine.tables();
        let report = RejectReport::of(&*tables, &self.campaign, &self.batch);
        while !self.rejected.is_empty() {
            let rest = self.rejected.split_off(self.rejected.len().min(REJECTED_GROUP));
            report.keep(std::mem::replace(&mut self.rejected, rest)).await?;
        }
        if self.is_over && self.counts.rejected > 0 {
            report.sync().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        // Before they are written: until they know, other processes refuse long codes without a read.
        if self.good.iter().any(|good| good.read.code.is_long()) {
            self.engine.hot.announce_long_codes().await?;
        }
        let mut good = std::mem::take(&mut self.good);
        for line in self.check.newly_erased(&mut good).await? {
            self.reject(line);
        }
        if good.is_empty() {
            return Ok(());
        }
        // Stable: lines with one code stay in the order of the file.
        good.sort_by(|one, other| one.read.code.cmp(&other.read.code));
        let both = good.into_iter().map(|it| ((it.line, it.earlier), it.read));
        let (lines, records) = both.unzip();
        let window = ImportWindow {
            hot: Arc::clone(&self.engine.hot),
            clock: Arc::clone(&self.engine.clock),
            campaign: self.campaign.clone(),
            batch: self.batch.clone(),
            run: self.run.clone(),
            before: self.counts.lines,
        };
        self.sent = Some(SentWindow { lines, written: tokio::spawn(window.write(records)) });
        Ok(())
    }

    /// Waits for the window that is being written, and counts how its lines ended. If it failed,
    /// its first groups are committed and counted.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let Some(SentWindow { lines, written }) = self.sent.take() else { return Ok(()) };
        let written = written.await;
        let WindowOutcome { outcomes, failed } =
            written.map_err(|it| HotError::Unknown(Box::new(it)))?;
        for ((line, earlier), outcome) in lines.iter().zip(outcomes) {
            match rejection(outcome, *earlier) {
                Some((reason, detail)) => self.reject(rejected_line(line, reason, detail)),
                None if outcome == ImportOutcome::Imported => self.counts.imported += 1,
                None => self.counts.already_there += 1,
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None if self.is_over => Ok(()),
            None => self.count_as(None).await,
        }
    }

    async fn finish(&mut self) -> Result<Batch> {
        self.is_over = true;
        self.flush().await?;
        self.settle().await?;
        // The lines that the last window rejected.
        self.flush().await?;
        let hot = &self.engine.hot;
        let act = self.act();
        found(hot.close_import(&self.campaign, &self.batch, self.counts, Some(&act)).await?)
    }
}
