//! One round of notices to one destination: read the memory, find what is due, send it, and
//! remember it. `couponry notify` runs one round, `serve` one an hour.

use std::io::{Seek, Write};
use std::path::Path;

use coupon::time::Millis;
use engine::Engine;

use super::counts::NoticeCounts;
use super::destination::NoticeDestination;
use super::file::NoticeFile;
use super::memory::{self, Memory, Recalled, Record};
use super::notice::Notice;
use super::plan::{self, Plan};
use super::posts::Posts;
use super::sorter::{PIECE_BYTES, Sorter, scratch};
use crate::failure::CliError;
use crate::output::Out;

/// Notices that are made and remembered at a time: one sync of the disk for all of them.
pub(super) const CHUNK: usize = 64;

/// One round.
pub(super) struct Round<'a> {
    pub(super) engine: &'a Engine,
    /// The data folder.
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
        let mut sorter = Sorter::new(self.data, PIECE_BYTES);
        let mut file = match self.target {
            NoticeDestination::File(path) => Some(NoticeFile::open(path)?),
            NoticeDestination::Standard | NoticeDestination::Webhook(_) => None,
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

    /// Counts what [`Round::run`] would send. Writes nothing but temporary files for sorting.
    pub(super) async fn dry_run(&self) -> Result<NoticeCounts, CliError> {
        let now = self.engine.now();
        let mut sorter = Sorter::new(self.data, PIECE_BYTES);
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
        Plan::new(self.engine, now, sorter)
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
                memory.sent(notice)?;
                counts.add_sent(notice);
            }
            memory.add(&Record::File(file.mark()?))?;
            memory.keep()?;
            (self.progress)(counts.sent, counts.looked_at);
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
                records.push_str(&memory::sent_lines(notice)?);
                counts.add_sent(notice);
            }
            out.flush()?;
            printed.write_all(records.as_bytes()).map_err(cannot())?;
            (self.progress)(counts.sent, counts.looked_at);
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
