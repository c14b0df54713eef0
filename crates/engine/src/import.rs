//! Importing a file of codes: streaming, in constant memory, every line answered for.

pub mod lines;
pub mod record;

use std::sync::Arc;

use bytes::Bytes;
use coupon::campaign::{Batch, Campaign, ImportCounts};
use coupon::code::CodeText;
use coupon::ids::{Actor, BatchId, CampaignId, OperationId};
use coupon::imported::{ImportRun, Standing};
use coupon::refusal::Refusal;
use coupon::time::DAY_MS;
use futures::{Stream, StreamExt};
use hot::{HotError, HotStore, ImportLine, ImportOutcome, RejectedLine};
use tokio::task::JoinHandle;

use crate::batches::{made_batch_id, named};
use crate::failure::{BadFile, Done, Failure};
use crate::{Caller, Clock, Engine, Role};
use lines::{Line, Lines, SNIFF_LEN, sniff};
use record::{Defaults, Header, HeaderOrFirst, Record};

/// Lines of one transaction. With its indexes a line costs some 10 to 20 µs, so other writers wait
/// a few milliseconds.
const GROUP: usize = 200;

/// Lines that are sorted by their codes before they are written, so that those of one transaction
/// lie beside one another in the indexes: of random codes each would write pages of its own. Two
/// windows are in memory at a time, some 15 MB each: one is read while the other is written.
const WINDOW: usize = 50_000;

/// Rejected lines are kept for the report so many days.
pub const REJECTED_KEPT_DAYS: u16 = 30;

/// Longest text of a rejected line that is kept, in characters.
const REJECTED_TEXT_MAX: usize = 500;

/// What to import, and into what.
#[derive(Clone, Debug)]
pub struct ImportAsk {
    /// The campaign.
    pub campaign: CampaignId,
    /// The batch; made by us where it is left out.
    pub batch: Option<BatchId>,
}

/// An import on its way.
struct Import<'a> {
    engine: &'a Engine,
    campaign: CampaignId,
    batch: BatchId,
    run: ImportRun,
    defaults: Defaults,
    header: Option<Header>,
    counts: ImportCounts,
    good: Vec<(Line, ImportLine)>,
    /// The window before, which is written while this one is read.
    sent: Option<Sent>,
    /// Nothing more is read: a window need not be full.
    is_over: bool,
    rejected: Vec<RejectedLine>,
}

/// A window that is being written.
struct Sent {
    lines: Vec<Line>,
    outcomes: JoinHandle<Result<Vec<ImportOutcome>, HotError>>,
}

/// Writes the lines of a window, which stand in the order of their codes.
struct Window {
    hot: Arc<dyn HotStore>,
    clock: Arc<dyn Clock>,
    campaign: CampaignId,
    batch: BatchId,
    run: ImportRun,
}

impl Window {
    async fn write(mut self, lines: Vec<ImportLine>) -> Result<Vec<ImportOutcome>, HotError> {
        let mut outcomes = Vec::with_capacity(lines.len());
        for group in lines.chunks(GROUP) {
            // A long file takes hours: what it changes, it changes now.
            self.run.at = self.clock.now();
            let (group, run) = (group.to_vec(), self.run.clone());
            outcomes.extend(self.hot.import(&self.campaign, &self.batch, group, run).await?);
        }
        Ok(outcomes)
    }
}

impl Engine {
    /// Imports every line of `file` into a batch, tells `progress` the counts after each group,
    /// and answers with the batch and how its lines ended. May be repeated after a broken stream:
    /// what was imported is already there.
    ///
    /// # Errors
    /// [`Failure::BadFile`] before any line is imported; [`Failure::BrokenOff`] when the stream
    /// ends in an error, with the lines until then imported.
    pub async fn import<E: std::fmt::Display>(
        &self,
        caller: &Caller,
        ask: ImportAsk,
        file: impl Stream<Item = Result<Bytes, E>> + Unpin,
        progress: impl Fn(ImportCounts) + Sync,
    ) -> Result<Done<Batch>, Failure> {
        caller.must_be(&[Role::Admin])?;
        let campaign = self.campaign(caller, &ask.campaign).await?.campaign;
        let mut file = Sniffed::of(file).await?;
        let mut lines = Lines::new();
        let header = file.header(&mut lines).await?;
        let id = ask.batch.unwrap_or_else(made_batch_id);
        let opened = named(self.hot.open_import(&campaign.id, &id, self.now()).await?)?;
        let mut import = self.begin(caller, &campaign, id);
        if let Some((header, first)) = header {
            import.header = Some(header);
            if let Some(first) = first {
                import.take(first).await?;
            }
        }
        loop {
            while let Some(line) = lines.next_line() {
                if import.take(line).await? {
                    progress(import.counts);
                }
            }
            match file.next().await {
                Some(Ok(chunk)) => lines.push(&chunk),
                Some(Err(broken)) => {
                    // What arrived whole is imported and counted; the rest comes with a repeat.
                    import.finish().await?;
                    return Err(broken);
                }
                None => break,
            }
        }
        while let Some(line) = lines.finish() {
            import.take(line).await?;
        }
        let batch = import.finish().await?;
        progress(batch.import);
        Ok(opened.map(|_| batch))
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

    fn begin(&self, caller: &Caller, campaign: &Campaign, batch: BatchId) -> Import<'_> {
        Import {
            engine: self,
            campaign: campaign.id.clone(),
            batch,
            run: ImportRun {
                actor: Actor::new(&caller.to_string()),
                operation: OperationId(uuid::Uuid::now_v7().as_u128()),
                at: self.now(),
            },
            defaults: Defaults {
                valid_from: campaign.valid_from,
                expires_at: campaign.expires_at,
                zone: campaign.zone.clone(),
            },
            header: None,
            counts: ImportCounts::default(),
            good: Vec::new(),
            sent: None,
            is_over: false,
            rejected: Vec::new(),
        }
    }
}

impl Import<'_> {
    /// Takes one line in; `true` when that filled a window, and the one before was imported.
    async fn take(&mut self, line: Line) -> Result<bool, Failure> {
        self.counts.lines += 1;
        match self.read(&line) {
            Ok(record) => self.good.push((line, record)),
            Err((word, detail)) => self.reject(&line, word, detail),
        }
        if self.good.len() < WINDOW && self.rejected.len() < GROUP {
            return Ok(false);
        }
        self.flush().await?;
        Ok(true)
    }

    fn read(&self, line: &Line) -> Result<ImportLine, (&'static str, String)> {
        let header = self.header.as_ref().ok_or(("HEADER", "there is no header".to_owned()))?;
        let parsed = line.text().and_then(|text| header.parse(text, &self.defaults));
        let record: Record = parsed.map_err(|error| (error.word(), error.to_string()))?;
        if self.engine.router.looks_minted(&CodeText::from(record.code.clone())) {
            let detail = "a code of ours opens to the same place; give this coupon another code";
            return Err(("LOOKS_MINTED", detail.to_owned()));
        }
        if let Standing::Redeemed { at, .. } = &record.standing
            && *at > self.engine.now()
        {
            // It would keep the days in which it can be cancelled open.
            return Err(("BAD_DATE", "redeemed_at lies in the future".to_owned()));
        }
        Ok(ImportLine {
            code: record.code,
            valid_from: record.valid_from,
            expires_at: record.expires_at,
            standing: record.standing,
        })
    }

    fn reject(&mut self, line: &Line, word: &str, detail: String) {
        self.counts.rejected += 1;
        self.rejected.push(RejectedLine {
            line: line.number,
            text: line.shown().chars().take(REJECTED_TEXT_MAX).collect(),
            word: word.to_owned(),
            detail,
        });
    }

    /// Sends this window to be written, once the one before has been: a later line of the same
    /// code must find the earlier one.
    async fn flush(&mut self) -> Result<(), Failure> {
        if self.good.len() >= WINDOW || self.is_over {
            self.settle().await?;
            self.send().await?;
        }
        let rejected = std::mem::take(&mut self.rejected);
        if !rejected.is_empty() {
            let (hot, at) = (&self.engine.hot, self.engine.now());
            hot.keep_rejected(&self.campaign, &self.batch, rejected, at).await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        let mut good = std::mem::take(&mut self.good);
        if good.is_empty() {
            return Ok(());
        }
        if good.iter().any(|(_, line)| line.code.is_long()) {
            self.engine.hot.announce_long_codes().await?;
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
        };
        self.sent = Some(Sent { lines, outcomes: tokio::spawn(window.write(records)) });
        Ok(())
    }

    /// Waits for the window that is being written, and counts how its lines ended.
    async fn settle(&mut self) -> Result<(), Failure> {
        let Some(Sent { lines, outcomes }) = self.sent.take() else { return Ok(()) };
        let outcomes = outcomes.await.map_err(|panic| HotError::Unavailable(Box::new(panic)))??;
        for (line, outcome) in lines.iter().zip(outcomes) {
            match outcome {
                ImportOutcome::Imported => self.counts.imported += 1,
                ImportOutcome::AlreadyThere => self.counts.already_there += 1,
                ImportOutcome::CodeTaken => self.reject(line, "CODE_TAKEN", taken()),
                ImportOutcome::Refused(refusal) => {
                    self.reject(line, refusal.word(), refused(refusal));
                }
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Batch, Failure> {
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

fn taken() -> String {
    "the code stands already, with other dates or in another campaign".to_owned()
}

fn refused(refusal: Refusal) -> String {
    format!("{refusal}: the line contradicts what has happened to the coupon")
}

/// A stream whose first kilobyte has been looked at.
struct Sniffed<S> {
    head: Option<Bytes>,
    rest: S,
}

impl<S, E> Sniffed<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    async fn of(mut stream: S) -> Result<Sniffed<S>, Failure> {
        let mut head = Vec::new();
        while head.len() < SNIFF_LEN {
            match stream.next().await {
                Some(Ok(chunk)) => head.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(Failure::BrokenOff(error.to_string())),
                None => break,
            }
        }
        sniff(&head[..head.len().min(SNIFF_LEN)])
            .map_err(|error| Failure::BadFile(BadFile::Kind(error.to_string())))?;
        Ok(Sniffed { head: Some(head.into()), rest: stream })
    }

    async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        if let Some(head) = self.head.take() {
            return Some(Ok(head));
        }
        let chunk = self.rest.next().await?;
        Some(chunk.map_err(|error| Failure::BrokenOff(error.to_string())))
    }

    /// The header, and the first line if it is a coupon already; `None` for an empty file.
    async fn header(
        &mut self,
        lines: &mut Lines,
    ) -> Result<Option<(Header, Option<Line>)>, Failure> {
        let line = loop {
            if let Some(line) = lines.next_line() {
                break line;
            }
            match self.next().await {
                Some(chunk) => lines.push(&chunk?),
                None => match lines.finish() {
                    Some(line) => break line,
                    None => return Ok(None),
                },
            }
        };
        let bad = |error: record::BadHeader| Failure::BadFile(BadFile::Header(error.to_string()));
        match Header::read(line.shown()).map_err(bad)? {
            HeaderOrFirst::Header(header) => Ok(Some((header, None))),
            HeaderOrFirst::First(header) => Ok(Some((header, Some(line)))),
        }
    }
}
