//! One round of notices to one place: recall, look, deliver, remember. `couponry notify` is one
//! round, and whoever runs by himself may run one now and then.

use std::collections::VecDeque;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use coupon::time::Millis;
use engine::Engine;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ring::digest::{SHA256, digest};

use super::file::NoticeFile;
use super::memory::{self, Memory, Recalled, Record};
use super::notice::{Notice, hex};
use super::plan::{self, Plan};
use super::sorter::{PIECE_BYTES, Sorter, scratch};
use super::webhook::{Delivery, Webhook};
use crate::failure::CliError;
use crate::output::Out;

/// Notices made and written down at a time: one sync of the disk for all of them.
const CHUNK: usize = 64;

/// Posts on their way at a time.
const IN_FLIGHT_MAX: usize = 8;

/// So many notices in a row without a taken one, and the receiver is down: the rest is left to
/// the next run. Their order is that of a hash, so a few users that it trips over do not do it.
const FAILED_IN_A_ROW_MAX: u64 = 20;

/// Most notices that may be with the receiver or not: they are remembered as a whole.
const UNKNOWN_MAX: usize = 1_000;

/// Notices that did not arrive are shown so often; the rest is counted.
const SHOWN_MAX: usize = 5;

/// Where notices go.
pub(crate) enum NoticeDestination {
    /// Standard output. Told is what a round has printed to its end: of one that broke off
    /// everything is printed again.
    Standard,
    /// A file, at its end.
    File(PathBuf),
    /// An address.
    Webhook(Box<Webhook>),
}

/// One round.
pub(crate) struct Round<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) data: &'a Path,
    /// How many days before the last day; each once.
    pub(crate) days: &'a [u16],
    pub(crate) target: &'a NoticeDestination,
    /// The name under which is remembered what was told; the target's own where there is none.
    pub(crate) name: Option<&'a str>,
    /// Called with the notices told and the coupons looked at.
    pub(crate) progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What came of a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoticeCounts {
    /// Issued coupons that were looked at.
    pub(crate) looked_at: u64,
    /// Notices delivered, and the coupons in them.
    pub(crate) told: u64,
    pub(crate) coupons: u64,
    /// Coupons that are due and were told of before.
    pub(crate) already: u64,
    /// Notices that the receiver has said no to; the next round makes them anew.
    pub(crate) refused: u64,
    /// Notices that nobody knows of; the next round sends them as they are.
    pub(crate) failed: u64,
    /// Whether it was ended early because the receiver is down.
    pub(crate) gave_up: bool,
    /// What was said of the first that did not arrive.
    pub(crate) shown: Vec<String>,
}

impl Round<'_> {
    /// Tells everybody who is to be told.
    ///
    /// Repeating it is safe at any point: what is in the file or was taken by the receiver is not
    /// told again, and what may have been taken is sent again with its own key and body.
    ///
    /// # Errors
    /// Another round to the same place; the store, the folder or the file does not do it.
    pub(crate) async fn run(&self) -> Result<NoticeCounts, CliError> {
        let now = self.engine.now();
        let mut sorter = Sorter::new(self.data, PIECE_BYTES);
        let mut file = match self.target {
            NoticeDestination::File(path) => Some(NoticeFile::open(path)?),
            NoticeDestination::Standard | NoticeDestination::Webhook(_) => None,
        };
        let mut push = |key: &_| sorter.push(&plan::told_line(key));
        let (mut memory, recalled) = Memory::open(&self.folder(), self.days, now, &mut push)?;
        if let Some(file) = &mut file {
            file.catch_up(recalled.file, &mut |key| {
                memory.add(&Record::Told(key.clone()))?;
                push(key)
            })?;
            memory.add(&Record::File(file.mark()?))?;
            memory.keep()?;
        }
        let mut counts = NoticeCounts::default();
        let mut plan = self.plan(now, &recalled, sorter, &mut counts).await?;
        let mut pending = recalled.pending;
        // With a receiver that fails now and again, another one is the first each time.
        let first = now.0.unsigned_abs() as usize % pending.len().max(1);
        pending.rotate_left(first);
        match (self.target, file) {
            (NoticeDestination::Webhook(webhook), _) => {
                let mut posts = Posts { round: self, webhook, memory, counts: &mut counts };
                posts.all(&mut plan, pending).await?;
            }
            (_, Some(file)) => self.append(&mut plan, pending, file, memory, &mut counts).await?,
            (_, None) => self.print(&mut plan, pending, memory, &mut counts).await?,
        }
        counts.already = plan.already;
        Ok(counts)
    }

    /// Counts what [`Round::run`] would tell; nothing is written, but for what is put aside to be
    /// sorted.
    pub(crate) async fn dry_run(&self) -> Result<NoticeCounts, CliError> {
        let now = self.engine.now();
        let mut sorter = Sorter::new(self.data, PIECE_BYTES);
        let mut push = |key: &_| sorter.push(&plan::told_line(key));
        let recalled = Memory::look(&self.folder(), self.days, now, &mut push)?;
        if let NoticeDestination::File(path) = self.target {
            NoticeFile::look(path, recalled.file, &mut push)?;
        }
        let mut counts = NoticeCounts::default();
        let mut plan = self.plan(now, &recalled, sorter, &mut counts).await?;
        recalled.pending.iter().for_each(|notice| counts.told(notice));
        loop {
            let notices = plan.take(CHUNK).await?;
            if notices.is_empty() {
                break;
            }
            notices.iter().for_each(|notice| counts.told(notice));
        }
        counts.already = plan.already;
        Ok(counts)
    }

    async fn plan(
        &self,
        now: Millis,
        recalled: &Recalled,
        mut sorter: Sorter,
        counts: &mut NoticeCounts,
    ) -> Result<Plan<'_>, CliError> {
        for key in recalled.pending.iter().flat_map(|notice| &notice.keys) {
            sorter.push(&plan::told_line(key))?;
        }
        let mut look = |count| {
            counts.looked_at += count;
            (self.progress)(0, counts.looked_at);
        };
        plan::look(self.engine, &recalled.watches, now, &mut sorter, &mut look).await?;
        Plan::new(self.engine, now, sorter)
    }

    /// Where it is remembered what was told.
    fn folder(&self) -> PathBuf {
        let name = match (self.name, self.target) {
            (Some(name), _) => format!("as-{name}"),
            (None, NoticeDestination::Standard) => "stdout".to_owned(),
            (None, NoticeDestination::File(path)) => {
                let path = whole(path);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("file-{}", readable(&name, path.as_os_str().as_encoded_bytes()))
            }
            (None, NoticeDestination::Webhook(webhook)) => {
                let url = webhook.url();
                let host = url.host_str().unwrap_or_default();
                format!("webhook-{}", readable(host, url.as_str().as_bytes()))
            }
        };
        self.data.join("notices").join(name)
    }

    async fn append(
        &self,
        plan: &mut Plan<'_>,
        mut notices: Vec<Notice>,
        mut file: NoticeFile,
        mut memory: Memory,
        counts: &mut NoticeCounts,
    ) -> Result<(), CliError> {
        loop {
            file.append(&notices)?;
            for notice in &notices {
                memory.told(notice)?;
                counts.told(notice);
            }
            memory.add(&Record::File(file.mark()?))?;
            memory.keep()?;
            (self.progress)(counts.told, counts.looked_at);
            notices = plan.take(CHUNK).await?;
            if notices.is_empty() {
                return Ok(());
            }
        }
    }

    async fn print(
        &self,
        plan: &mut Plan<'_>,
        mut notices: Vec<Notice>,
        mut memory: Memory,
        counts: &mut NoticeCounts,
    ) -> Result<(), CliError> {
        let cannot = || CliError::because(format!("cannot write to {}", self.data.display()));
        let mut out = Out::standard();
        let mut printed = scratch(self.data)?;
        loop {
            let mut records = String::new();
            for notice in &notices {
                out.put(&notice.line)?;
                out.put("\n")?;
                records.push_str(&memory::told_lines(notice)?);
                counts.told(notice);
            }
            out.flush()?;
            printed.write_all(records.as_bytes()).map_err(cannot())?;
            (self.progress)(counts.told, counts.looked_at);
            notices = plan.take(CHUNK).await?;
            if notices.is_empty() {
                break;
            }
        }
        out.finish()?;
        printed.rewind().map_err(cannot())?;
        memory.take_over(&mut printed)
    }
}

/// Posts on their way.
struct Posts<'a> {
    round: &'a Round<'a>,
    webhook: &'a Webhook,
    memory: Memory,
    counts: &'a mut NoticeCounts,
}

impl Posts<'_> {
    /// What is new first: what failed before may fail again, and is not to be in the way.
    async fn all(&mut self, plan: &mut Plan<'_>, pending: Vec<Notice>) -> Result<(), CliError> {
        let webhook = self.webhook;
        let (mut fresh, mut pending) = (VecDeque::new(), VecDeque::from(pending));
        let mut on_their_way = FuturesUnordered::new();
        let (mut failed_in_a_row, mut unknown) = (0, pending.len());
        loop {
            while on_their_way.len() < IN_FLIGHT_MAX && failed_in_a_row < FAILED_IN_A_ROW_MAX {
                if fresh.is_empty() && unknown < UNKNOWN_MAX {
                    fresh = self.begin(plan.take(CHUNK).await?)?;
                    unknown += fresh.len();
                }
                let Some(notice) = fresh.pop_front().or_else(|| pending.pop_front()) else { break };
                on_their_way.push(webhook.deliver(notice));
            }
            let Some((notice, delivery)) = on_their_way.next().await else { break };
            match delivery {
                Delivery::Taken => failed_in_a_row = 0,
                Delivery::Refused(_) => {}
                Delivery::Failed(_) => failed_in_a_row += 1,
            }
            unknown -= usize::from(!matches!(delivery, Delivery::Failed(_)));
            self.end(&notice, delivery)?;
        }
        self.counts.gave_up = failed_in_a_row >= FAILED_IN_A_ROW_MAX || unknown >= UNKNOWN_MAX;
        // Nobody has these: the next round makes them anew.
        for notice in &fresh {
            self.memory.add(&Record::Done(notice.id.clone()))?;
        }
        self.memory.keep()
    }

    /// From here on the receiver may have them, even if this process ends.
    fn begin(&mut self, notices: Vec<Notice>) -> Result<VecDeque<Notice>, CliError> {
        if notices.is_empty() {
            return Ok(VecDeque::new());
        }
        for notice in &notices {
            self.memory.add(&Record::Try(notice.line.clone()))?;
        }
        self.memory.keep()?;
        Ok(notices.into())
    }

    fn end(&mut self, notice: &Notice, delivery: Delivery) -> Result<(), CliError> {
        match delivery {
            Delivery::Taken => {
                self.memory.told(notice)?;
                self.counts.told(notice);
            }
            Delivery::Refused(why) => {
                self.memory.add(&Record::Done(notice.id.clone()))?;
                self.counts.refused += 1;
                self.counts.show(notice, &format!("refused: {why}"));
            }
            Delivery::Failed(why) => {
                self.counts.failed += 1;
                self.counts.show(notice, &format!("failed: {why}"));
            }
        }
        (self.round.progress)(self.counts.told, self.counts.looked_at);
        self.memory.write_out()
    }
}

impl NoticeCounts {
    fn told(&mut self, notice: &Notice) {
        self.told += 1;
        self.coupons += notice.keys.len() as u64;
    }

    fn show(&mut self, notice: &Notice, why: &str) {
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(format!("{} for {}: {why}", notice.id, notice.user));
        }
    }
}

/// The same for a file before and after it was made.
fn whole(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// A name for people, and a hash that tells it from others.
fn readable(name: &str, whole: &[u8]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    let name: String = name.chars().take(40).map(plain).collect();
    format!("{name}-{}", hex(&digest(&SHA256, whole).as_ref()[..6]))
}
