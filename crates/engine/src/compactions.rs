//! Runs of compaction, as one short list that all processes of a store share.
//!
//! The list is one fact of the store, as the list of staff is: so it works in the same way on SQLite and on a
//! cluster. Whoever compacts enters its run, says every few seconds how far it is, and enters the end. The list
//! only tells people what happens: no compaction fails because of it.

use coupon::time::{Day, Millis};
use hot::Fact;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::facts::FactKind;
use crate::failure::Result;

/// Runs that the list has: it stays within 20 KiB, and each change writes all of it.
pub const COMPACTION_RUNS_MAX: usize = 20;

/// A run that has said nothing for so long was killed, in milliseconds. Also one of the future: a clock was wrong.
pub const COMPACTION_SILENT_MS: i64 = 60_000;

/// Longest name and longest reason of a run, in characters.
const TEXT_CHARS_MAX: usize = 300;

const RUNS: FactKind<Vec<CompactionRun>> = FactKind::telling(Fact::Compactions);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionRun {
    id: String,
    /// Who runs it: an actor as the audit names them, or `serve` by itself.
    pub by: String,
    pub host: String,
    /// When it began, in milliseconds since 1970.
    pub began_at: i64,
    /// When it said something the last time.
    pub seen_at: i64,
    pub step: CompactionStep,
    /// What it has done, once it is over.
    pub ended: Option<CompactionEnd>,
    /// Whether it broke off: another run has begun where only one can run.
    broke_off: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionStep {
    /// The expiry day at which it works, as a number of days since 1970.
    pub day: Option<i32>,
    /// Coupons of this day that were copied or deleted so far.
    pub rows: u64,
    /// Of this many.
    pub total: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionEnd {
    pub took_ms: u64,
    /// Expiry days of which something was done.
    pub days: u64,
    /// Coupons that were copied to the archive.
    pub rows: u64,
    pub bytes: u64,
    /// Why it, or a part of it, failed.
    pub failed: Option<String>,
}

/// What becomes of a run while the list names another one that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherRuns {
    /// It cannot run any more: this process has the lock of the store.
    AreOver,
    /// Both run: that is the same work twice, and does no harm.
    GoOn,
    /// This one does not begin.
    ComeFirst,
}

impl CompactionRun {
    pub fn new(by: &str, host: &str, now: Millis) -> CompactionRun {
        CompactionRun {
            id: uuid::Uuid::new_v4().to_string(),
            by: short(by),
            host: short(host),
            began_at: now.0,
            seen_at: now.0,
            step: CompactionStep::default(),
            ended: None,
            broke_off: false,
        }
    }

    /// Whether it runs, as far as it says.
    pub fn is_running(&self, now: Millis) -> bool {
        let silent_ms = now.0.saturating_sub(self.seen_at).saturating_abs();
        self.ended.is_none() && !self.broke_off && silent_ms < COMPACTION_SILENT_MS
    }

    fn is_idle(&self) -> bool {
        self.ended.as_ref().is_some_and(|it| it.days == 0 && it.failed.is_none())
    }

    pub fn day(&self) -> Option<Day> {
        self.step.day.map(Day)
    }
}

impl Engine {
    /// The last runs of all processes, the newest first. One read.
    pub async fn compaction_runs(&self) -> Result<Vec<CompactionRun>> {
        RUNS.load(self.hot()).await
    }

    /// Enters a run that begins. Returns the other one if `others` says that it comes first.
    pub async fn begin_compaction(
        &self,
        run: &CompactionRun,
        others: OtherRuns,
    ) -> Result<Option<CompactionRun>> {
        let mut first = None;
        let enter = |runs: &mut Vec<CompactionRun>| {
            first = match others {
                OtherRuns::ComeFirst => runs.iter().find(|it| it.is_running(self.now())).cloned(),
                OtherRuns::AreOver | OtherRuns::GoOn => None,
            };
            if first.is_some() {
                return Ok(false);
            }
            let are_over = others == OtherRuns::AreOver;
            runs.iter_mut().for_each(|it| it.broke_off |= are_over && it.ended.is_none());
            // Once an hour there is nothing to do: that says less than an older run that did something.
            runs.retain(|it| !(it.is_idle() && it.by == run.by && it.host == run.host));
            runs.insert(0, run.clone());
            runs.truncate(COMPACTION_RUNS_MAX);
            Ok(true)
        };
        RUNS.change(self.hot(), enter).await?;
        Ok(first)
    }

    /// Enters what became of a run since. Does nothing if the list has it no more.
    pub async fn note_compaction(&self, run: &CompactionRun) -> Result<()> {
        let mut run = run.clone();
        if let Some(failed) = run.ended.as_mut().and_then(|ended| ended.failed.as_mut()) {
            *failed = short(failed);
        }
        let note = |runs: &mut Vec<CompactionRun>| {
            let Some(known) = runs.iter_mut().find(|it| it.id == run.id) else { return Ok(false) };
            known.clone_from(&run);
            Ok(true)
        };
        RUNS.change(self.hot(), note).await.map(drop)
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = Millis(1_763_596_800_000);

    #[test]
    fn what_runs() {
        let run = CompactionRun::new("serve", "app-1", NOON);
        let after = |ms: i64| NOON.plus_ms(ms);
        let ended = Some(CompactionEnd::default());
        let cases = [
            ("it has begun", run.clone(), NOON, true),
            ("just in time", run.clone(), after(COMPACTION_SILENT_MS - 1), true),
            ("silent", run.clone(), after(COMPACTION_SILENT_MS), false),
            ("of the future", run.clone(), after(-COMPACTION_SILENT_MS), false),
            ("over", CompactionRun { ended, ..run.clone() }, NOON, false),
            ("another has the lock", CompactionRun { broke_off: true, ..run.clone() }, NOON, false),
            ("no clock at all", CompactionRun { seen_at: i64::MIN, ..run }, NOON, false),
        ];
        for (name, run, now, want) in cases {
            assert_eq!(run.is_running(now), want, "{name}");
        }
    }

    #[test]
    fn other_texts_are_no_runs() {
        let read = |text| RUNS.read(text).unwrap();
        assert_eq!(read(None), Vec::new());
        assert_eq!(read(Some("{\"of\": \"another release\"}")), Vec::new());
        assert_eq!(short(&"가".repeat(TEXT_CHARS_MAX + 1)).chars().count(), TEXT_CHARS_MAX);
    }
}
