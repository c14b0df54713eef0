//! One round of notices to one destination: read the memory, find what is due, send it, and
//! remember it. `couponry notify` runs one round, `serve` one an hour.

use std::io::{Seek, Write};
use std::path::Path;

use coupon::time::Millis;
use engine::{Engine, NoticeRound};

use super::counts::NoticeCounts;
use super::destination::NoticeDestination;
use super::file::NoticeFile;
use super::memory::{Memory, Recalled, Record, sent_lines};
use super::notice::Notice;
use super::plan::{self, Plan};
use super::posts::{Posts, Receiver};
use super::sorter::{SORTED_BYTES_MAX, Sorter};
use crate::failure::CliError;
use crate::output::Out;

/// Notices that are made and remembered at a time: one sync of the disk for all of them.
pub(super) const CHUNK: usize = 64;

pub(super) struct Round<'a> {
    pub(super) engine: &'a Engine,
    pub(super) data: &'a Path,
    /// Numbers of days before the last day, each once.
    pub(super) days: &'a [u16],
    pub(super) target: &'a NoticeDestination,
    /// The name of the memory, if several destinations share it.
    pub(super) name: Option<&'a str>,
    /// Called with the notices that were sent and the coupons that were read.
    pub(super) progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl Round<'_> {
    /// Sends every notice that is due.
    ///
    /// Safe to repeat after a crash at any point: a notice that is in the file, or that the
    /// receiver accepted, is not sent again. A notice that may have been accepted is sent again
    /// with its own key and body.
    ///
    /// # Errors
    /// Another round to the same destination; an I/O error; an error of the store.
    pub(super) async fn run(&self) -> Result<NoticeCounts, CliError> {
        let now = self.engine.now();
        let mut sorter = Sorter::new(self.data, SORTED_BYTES_MAX);
        let mut file = match self.target {
            NoticeDestination::File(path) => Some(NoticeFile::open(path)?),
            NoticeDestination::Standard
            | NoticeDestination::Webhook(_)
            | NoticeDestination::Webhooks(_) => None,
        };
        let mut push = |key: &_| sorter.push(&plan::sent_line(key));
        let folder = self.target.memory(self.data, self.name);
        let (mut memory, recalled) = Memory::open(&folder, self.days, now, &mut push)?;
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
        // Begin with another notice each time: the receiver may fail at the same one.
        let first = now.0.unsigned_abs() as usize % pending.len().max(1);
        pending.rotate_left(first);
        let sent = self.send(&mut plan, pending, file, memory, &mut counts).await;
        self.note(now, &folder, &counts).await;
        sent?;
        counts.already = plan.already;
        Ok(counts)
    }

    /// Enters what was sent, also by a round that failed half way, for the calendar of the console.
    async fn note(&self, began: Millis, memory: &Path, counts: &NoticeCounts) {
        let to = memory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let NoticeCounts { sent, coupons, refused, failed, .. } = *counts;
        let round = NoticeRound { began_at: began.0, to, sent, coupons, refused, failed };
        if let Err(error) = self.engine.note_notice_round(round).await {
            tracing::warn!(?error, "the calendar of the console does not show these notices");
        }
    }

    /// Counts what [`Round::run`] would send. Writes nothing but temporary files for sorting.
    pub(super) async fn dry_run(&self) -> Result<NoticeCounts, CliError> {
        let now = self.engine.now();
        let mut sorter = Sorter::new(self.data, SORTED_BYTES_MAX);
        let mut push = |key: &_| sorter.push(&plan::sent_line(key));
        let folder = self.target.memory(self.data, self.name);
        let recalled = Memory::look(&folder, self.days, now, &mut push)?;
        if let NoticeDestination::File(path) = self.target {
            NoticeFile::look(path, recalled.file, &mut push)?;
        }
        let mut counts = NoticeCounts::default();
        let mut plan = self.plan(now, &recalled, sorter, &mut counts).await?;
        recalled.pending.iter().for_each(|notice| counts.add_sent(notice));
        loop {
            let notices = plan.take(CHUNK).await?;
            if notices.is_empty() {
                break;
            }
            notices.iter().for_each(|notice| counts.add_sent(notice));
        }
        counts.already = plan.already;
        Ok(counts)
    }

    /// Finds the notices that are due and not pending.
    async fn plan(
        &self,
        now: Millis,
        recalled: &Recalled,
        mut sorter: Sorter,
        counts: &mut NoticeCounts,
    ) -> Result<Plan<'_>, CliError> {
        for key in recalled.pending.iter().flat_map(|notice| &notice.keys) {
            sorter.push(&plan::sent_line(key))?;
        }
        let mut look = |count| {
            counts.looked_at += count;
            (self.progress)(0, counts.looked_at);
        };
        plan::look(self.engine, &recalled.watches, now, &mut sorter, &mut look).await?;
        Ok(Plan::new(self.engine, now, sorter.finish()))
    }

    async fn send(
        &self,
        plan: &mut Plan<'_>,
        pending: Vec<Notice>,
        file: Option<NoticeFile>,
        mut memory: Memory,
        counts: &mut NoticeCounts,
    ) -> Result<(), CliError> {
        let receiver = match self.target {
            NoticeDestination::Webhook(webhook) => Some(Receiver::Address(webhook)),
            NoticeDestination::Webhooks(webhooks) => Some(Receiver::Endpoints(webhooks)),
            NoticeDestination::Standard | NoticeDestination::File(_) => None,
        };
        match (receiver, file) {
            (Some(receiver), _) => {
                let mut posts = Posts { round: self, receiver, memory, counts };
                posts.all(plan, pending).await
            }
            (None, Some(mut file)) => {
                let mut write = |notices: &[Notice]| {
                    // First the file: a notice that only the journal has would never be written.
                    file.append(notices)?;
                    notices.iter().try_for_each(|notice| memory.sent(notice))?;
                    memory.add(&Record::File(file.mark()?))?;
                    memory.keep()
                };
                self.each_chunk(plan, pending, counts, &mut write).await
            }
            // Standard output proves nothing: its notices are remembered at the end.
            (None, None) => {
                let cannot = || CliError::cannot("write to", self.data);
                let mut out = Out::standard();
                let mut printed = tempfile::tempfile_in(self.data).map_err(cannot())?;
                let mut write = |notices: &[Notice]| {
                    for notice in notices {
                        out.put(&notice.line)?;
                        out.put("\n")?;
                        printed.write_all(sent_lines(notice)?.as_bytes()).map_err(cannot())?;
                    }
                    out.flush()
                };
                self.each_chunk(plan, pending, counts, &mut write).await?;
                out.finish()?;
                printed.rewind().map_err(cannot())?;
                memory.take_over(&mut printed)
            }
        }
    }

    /// Writes and counts these notices, and then those of the plan, a chunk at a time.
    async fn each_chunk(
        &self,
        plan: &mut Plan<'_>,
        mut notices: Vec<Notice>,
        counts: &mut NoticeCounts,
        write: &mut (dyn FnMut(&[Notice]) -> Result<(), CliError> + Send),
    ) -> Result<(), CliError> {
        loop {
            write(&notices)?;
            notices.iter().for_each(|notice| counts.add_sent(notice));
            (self.progress)(counts.sent, counts.looked_at);
            notices = plan.take(CHUNK).await?;
            if notices.is_empty() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `serve` runs rounds in a task.
    #[test]
    fn a_round_fits_in_a_task() {
        fn fits<T: Send>(_: impl FnOnce(&'static Round<'static>) -> T) {}
        fits(|round| round.run());
    }
}
