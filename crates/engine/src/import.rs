//! Importing a file of codes: streaming, in constant memory, every line answered for.

mod bad_header;
mod cells;
pub mod columns;
mod dry_run;
pub mod encoding;
mod file;
mod first_line;
pub mod lines;
pub mod record;
mod stopped;
mod template;
mod window;

use std::sync::Arc;

use bytes::Bytes;
use coupon::campaign::{Batch, Campaign, ImportCounts};
use coupon::code::CodeText;
use coupon::ids::{Actor, BatchId, CampaignId, OperationId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::refusal::Refusal;
use coupon::time::DAY_MS;
use futures::Stream;
use hot::{HotError, ImportLine, ImportOutcome, RejectedLine};

use crate::batches::{made_batch_id, named};
use crate::failure::{Done, Failure};
use crate::{Caller, Engine, Role};
use columns::ColumnMap;
use encoding::Encoding;
use file::File;
use lines::Line;
use record::{Defaults, Header, Record, RowError};
use window::{Sent, Window, Written};

pub use dry_run::{
    CheckedLines, DRY_RUN_LOOKUPS_MAX, DRY_RUN_PARSED_MAX, DRY_RUN_REJECTED_MAX, DryRun, ParsedLine,
};
pub use stopped::ImportStopped;
pub use template::TEMPLATE;

/// Rejected lines of one transaction: other writers wait a few milliseconds for it.
const REJECTED_GROUP: usize = 200;

/// Lines that are sorted by their codes before they are written, so that those of one transaction
/// lie beside one another in the indexes: of random codes each would write pages of its own. Two
/// windows are in memory at a time, some 15 MB each: one is read while the other is written.
const WINDOW: usize = 50_000;

/// Rejected lines are kept for the report so many days.
pub const REJECTED_KEPT_DAYS: u16 = 30;

/// Longest text of a rejected line that is kept, in characters.
const REJECTED_TEXT_MAX: usize = 500;

/// Blank lines before the first one that says something: a sheet with an empty top has a few. They
/// are in memory until then.
const BLANK_LINES_MAX: usize = 100;

/// What to import, and into what.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The campaign.
    pub campaign: CampaignId,
    /// The batch; made by us where it is left out.
    pub batch: Option<BatchId>,
    /// How the file is read.
    pub format: FileFormat,
}

/// What the caller says of the file; what is left out, the file says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFormat {
    /// Which of its columns is which; without it the header says so.
    pub columns: Option<ColumnMap>,
    /// Its encoding; detected without it.
    pub encoding: Option<Encoding>,
}

/// Reads lines as coupons of one campaign.
struct Parser<'a> {
    engine: &'a Engine,
    defaults: Defaults,
    /// `None` for a file of blank lines.
    header: Option<Header>,
}

/// An import on its way.
struct Import<'a> {
    engine: &'a Engine,
    campaign: CampaignId,
    batch: BatchId,
    run: ImportRun,
    parser: Parser<'a>,
    counts: ImportCounts,
    /// What the batch's row says.
    counted: ImportCounts,
    good: Vec<(Line, ImportLine)>,
    /// The window before, which is written while this one is read.
    sent: Option<Sent>,
    /// Nothing more is read: a window need not be full.
    is_over: bool,
    rejected: Vec<RejectedLine>,
}

impl Engine {
    /// Imports every line of `file` into a batch, tells `progress` the counts after each group,
    /// and answers with the batch and how its lines ended. May be repeated after a broken stream:
    /// what was imported is already there.
    ///
    /// # Errors
    /// [`Failure::BadFile`] before any line is imported; [`Failure::BrokenOff`] when the stream
    /// ends in an error, with the lines until then imported; [`Failure::ImportStopped`] when the
    /// store fails after some lines, with the counts of what was committed.
    pub async fn import<E: std::fmt::Display>(
        &self,
        caller: &Caller,
        ask: ImportRequest,
        file: impl Stream<Item = Result<Bytes, E>> + Unpin,
        progress: impl Fn(ImportCounts) + Sync,
    ) -> Result<Done<Batch>, Failure> {
        caller.must_be(&[Role::Admin])?;
        let campaign = self.campaign(caller, &ask.campaign).await?.campaign;
        let mut file = File::open(file, ask.format.encoding).await?;
        let begin = file.begin(ask.format.columns.as_ref()).await?;
        let id = ask.batch.unwrap_or_else(made_batch_id);
        let opened = named(self.hot.open_import(&campaign.id, &id, self.now()).await?)?;
        let parser = self.parser(&campaign, begin.header);
        let mut import = self.begin(caller, parser, &opened);
        let done = import.all(begin.lines, &mut file, &progress).await;
        match done {
            Ok(batch) => {
                progress(batch.import);
                Ok(opened.map(|_| batch))
            }
            Err(Failure::Store(error)) => Err(import.stopped(error).await),
            Err(other) => Err(other),
        }
    }

    /// Forgets rejected lines older than `days`; how many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_rejected_lines(&self, days: u16) -> Result<u64, Failure> {
        let before = self.now().plus_ms(-i64::from(days) * DAY_MS);
        let mut forgotten = 0;
        loop {
            match self.hot.forget_rejected(before).await? {
                0 => return Ok(forgotten),
                more => forgotten += more as u64,
            }
        }
    }

    fn parser(&self, campaign: &Campaign, header: Option<Header>) -> Parser<'_> {
        let defaults = Defaults {
            valid_from: campaign.valid_from,
            expires_at: campaign.expires_at,
            zone: campaign.zone.clone(),
        };
        Parser { engine: self, defaults, header }
    }

    fn begin<'a>(
        &'a self,
        caller: &Caller,
        parser: Parser<'a>,
        opened: &Done<Batch>,
    ) -> Import<'a> {
        let (Done::Created(batch) | Done::Same(batch)) = opened;
        Import {
            engine: self,
            campaign: batch.campaign.clone(),
            batch: batch.id.clone(),
            run: ImportRun {
                actor: Actor::new(&caller.to_string()),
                operation: OperationId(uuid::Uuid::now_v7().as_u128()),
                at: self.now(),
            },
            parser,
            counts: ImportCounts::default(),
            counted: batch.import,
            good: Vec::new(),
            sent: None,
            is_over: false,
            rejected: Vec::new(),
        }
    }
}

impl Parser<'_> {
    /// The coupon of a line, or the word and the sentence for which it is rejected.
    fn read(&self, line: &Line) -> Result<ImportLine, (&'static str, String)> {
        let parsed = line.text().and_then(|text| match &self.header {
            Some(header) => header.parse(text, &self.defaults),
            None => Err(RowError::Empty),
        });
        let record: Record = parsed.map_err(|error| (error.as_str(), error.to_string()))?;
        if self.engine.router.looks_minted(&CodeText::from(record.code.clone())) {
            let detail = "a code of ours opens to the same place; give this coupon another code";
            return Err(("LOOKS_MINTED", detail.to_owned()));
        }
        if let ImportedState::Redeemed { at, .. } = &record.imported_state
            && *at > self.engine.now()
        {
            // It would keep the days in which it can be cancelled open.
            return Err(("BAD_DATE", "redeemed_at lies in the future".to_owned()));
        }
        Ok(ImportLine {
            code: record.code,
            valid_from: record.valid_from,
            expires_at: record.expires_at,
            imported_state: record.imported_state,
        })
    }
}

impl Import<'_> {
    /// Takes every line in, those of the beginning first, and answers when all are done.
    async fn all<S, E>(
        &mut self,
        beginning: Vec<Line>,
        file: &mut File<S>,
        progress: &(impl Fn(ImportCounts) + Sync),
    ) -> Result<Batch, Failure>
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
                    // What arrived whole is imported and counted; the rest comes with a repeat.
                    self.finish().await?;
                    return Err(broken);
                }
                None => return self.finish().await,
            }
        }
    }

    /// Takes one line in; `true` when that filled a window, and the one before was imported.
    async fn take(&mut self, line: Line) -> Result<bool, Failure> {
        self.counts.lines += 1;
        match self.parser.read(&line) {
            Ok(record) => self.good.push((line, record)),
            Err((word, detail)) => self.reject(&line, word, detail),
        }
        if self.good.len() < WINDOW && self.rejected.len() < REJECTED_GROUP {
            return Ok(false);
        }
        self.flush().await?;
        Ok(true)
    }

    fn reject(&mut self, line: &Line, word: &str, detail: String) {
        self.counts.rejected += 1;
        self.rejected.push(rejected_line(line, word, detail));
    }

    /// Sends this window to be written, once the one before has been: a later line of the same
    /// code must find the earlier one.
    async fn flush(&mut self) -> Result<(), Failure> {
        if self.good.len() >= WINDOW || self.is_over {
            self.settle().await?;
            self.send().await?;
        }
        self.keep_rejected().await
    }

    /// Keeps the rejected lines for the report, a group in each transaction: one with a window of
    /// them would make other writers wait.
    async fn keep_rejected(&mut self) -> Result<(), Failure> {
        let (hot, at) = (&self.engine.hot, self.engine.now());
        while !self.rejected.is_empty() {
            let rest = self.rejected.split_off(self.rejected.len().min(REJECTED_GROUP));
            let group = std::mem::replace(&mut self.rejected, rest);
            hot.keep_rejected(&self.campaign, &self.batch, group, at).await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        if self.good.iter().any(|(_, line)| line.code.is_long()) {
            self.engine.hot.announce_long_codes().await?;
        }
        let mut good = std::mem::take(&mut self.good);
        if good.is_empty() {
            return Ok(());
        }
        // Lines of one code stay in the order of the file.
        good.sort_by(|(_, one), (_, other)| one.code.cmp(&other.code));
        let (lines, records) = good.into_iter().unzip();
        let window = Window {
            hot: Arc::clone(&self.engine.hot),
            clock: Arc::clone(&self.engine.clock),
            campaign: self.campaign.clone(),
            batch: self.batch.clone(),
            run: self.run.clone(),
            before: self.counts.lines,
        };
        self.sent = Some(Sent { lines, written: tokio::spawn(window.write(records)) });
        Ok(())
    }

    /// Waits for the window that is being written, and counts how its lines ended: also of one
    /// that failed, whose first groups are committed.
    async fn settle(&mut self) -> Result<(), Failure> {
        let Some(Sent { lines, written }) = self.sent.take() else { return Ok(()) };
        let written = written.await;
        let Written { outcomes, failed } = written.map_err(|it| HotError::Unknown(Box::new(it)))?;
        for (line, outcome) in lines.iter().zip(outcomes) {
            match outcome {
                ImportOutcome::Imported => self.counts.imported += 1,
                ImportOutcome::AlreadyThere => self.counts.already_there += 1,
                ImportOutcome::CodeTaken => self.reject(line, "CODE_TAKEN", taken()),
                ImportOutcome::Refused(refusal) => {
                    self.reject(line, refusal.as_str(), refused(refusal));
                }
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None if self.is_over => Ok(()),
            None => self.count().await,
        }
    }

    async fn finish(&mut self) -> Result<Batch, Failure> {
        self.is_over = true;
        self.flush().await?;
        self.settle().await?;
        // What the last window was refused.
        self.flush().await?;
        let hot = &self.engine.hot;
        let batch = hot.close_import(&self.campaign, &self.batch, self.counts).await?;
        batch.ok_or(Failure::refused(Refusal::NotFound))
    }
}

fn rejected_line(line: &Line, word: &str, detail: String) -> RejectedLine {
    RejectedLine {
        line: line.number,
        text: line.shown().chars().take(REJECTED_TEXT_MAX).collect(),
        word: word.to_owned(),
        detail,
    }
}

fn taken() -> String {
    "the code stands already, with other dates or in another campaign".to_owned()
}

fn refused(refusal: Refusal) -> String {
    format!("{refusal}: the line contradicts what has happened to the coupon")
}

#[cfg(test)]
mod tests;
