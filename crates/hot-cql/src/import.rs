//! An import: each line inserts its directory entry, and only one line of a code succeeds; then its
//! row is written.
//!
//! The entry has all that the row is made of, so that every process writes the same row. A new row
//! is a plain write with a write time long ago. So if a repeated import or a node that was frozen
//! writes it a second time, this undoes no later change.

mod advance;
mod dry_run;
mod entry;
mod rows;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::imported::ImportRun;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::{HotError, ImportLine, ImportOutcome, Tier};

use crate::Store;
use crate::campaigns::CampaignHere;
use crate::coupons::{Located, Trace};
use cql_session::{Result, StatementProfile, bounded_join};
use entry::EntryOfLine;

/// The write time of an imported row, in microseconds, and of an item of a copy without its version: one
/// second after 1970 began. Every later change is newer, whatever the clocks say.
pub(crate) const LONG_AGO: i64 = 1_000_000;

const AT_ONCE: usize = 64;

/// Rows of one write to one CQL partition, some 20 KiB.
pub(crate) const ROWS_AT_ONCE: usize = 50;

impl Store {
    /// In the order of the lines. Two lines of one code are processed in that order, too.
    pub(crate) async fn import_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: &[ImportLine],
        run: &ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        let gone = || HotError::Damaged("the batch of an import is gone".into());
        let (here, _) = self.batch_of(campaign, batch).await?.ok_or_else(gone)?;
        let mut outcomes = vec![ImportOutcome::AlreadyThere; lines.len()];
        let mut left: Vec<usize> = (0..lines.len()).collect();
        let mut in_cold = HashMap::new();
        while !left.is_empty() {
            let mut seen = HashSet::new();
            let (now, later): (Vec<usize>, Vec<usize>) =
                left.into_iter().partition(|at| seen.insert(&lines[*at].code));
            let expects_new = AtomicBool::new(false);
            let round = Round { store: self, here: &here, batch, run, expects_new };
            let some: Vec<&ImportLine> = now.iter().map(|at| &lines[*at]).collect();
            for (at, outcome) in now.iter().zip(round.lines(&some, &mut in_cold).await?) {
                outcomes[*at] = outcome;
            }
            left = later;
        }
        Ok(outcomes)
    }
}

enum Line {
    /// Nothing more: this is its outcome.
    Done(ImportOutcome),
    /// Its row, then what the line says beyond it.
    Row(Box<EntryOfLine>),
    /// What it says beyond what was imported.
    Advance(Box<EntryOfLine>),
}

/// Lines with different codes.
struct Round<'a> {
    store: &'a Store,
    here: &'a CampaignHere,
    batch: &'a BatchId,
    run: &'a ImportRun,
    /// Whether the last line that was read was new.
    expects_new: AtomicBool,
}

impl Round<'_> {
    /// `in_cold` has the coupons that earlier lines have read from cold.
    async fn lines(
        &self,
        lines: &[&ImportLine],
        in_cold: &mut HashMap<Code, Located>,
    ) -> Result<Vec<ImportOutcome>> {
        let closing = self.enter_days(lines).await?;
        let looks = lines.iter().map(|line| self.look(line, &closing));
        let looks: Vec<Line> = bounded_join(AT_ONCE, looks).await?;
        let mut rows = Vec::new();
        for (line, look) in lines.iter().zip(&looks) {
            if let Line::Row(known) = look {
                rows.push(self.arrived(line, known)?);
            }
        }
        self.write_rows(&rows).await?;
        // After the rows are acknowledged: a partition that is closing by then may be sealed
        // without them.
        let days: BTreeSet<Day> = rows.iter().map(|located| located.day).collect();
        let mut closed = HashSet::new();
        for day in days {
            let plan = self.store.plan(StatementProfile::Serial, day).await?;
            if plan.is_none_or(|plan| plan.is_closing()) {
                closed.insert(day);
            }
        }
        // Lines that need nothing from cold are done by now, whatever cold answers to the others.
        let known = &*in_cold;
        let traces = lines.iter().zip(&looks).map(|(line, look)| self.trace(line, look, known));
        let traces: Vec<Trace> = bounded_join(AT_ONCE, traces).await?;
        let found = self.store.resolve(traces).await?;
        for located in found.iter().flatten().filter(|it| it.tier == Tier::Cold) {
            in_cold.insert(located.coupon.code().clone(), located.clone());
        }
        let ends = lines.iter().zip(looks).zip(found).map(|((line, look), found)| {
            let closed = &closed;
            async move {
                match look {
                    Line::Done(outcome) => Ok(outcome),
                    Line::Row(known) if closed.contains(&known.day) => {
                        Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
                    }
                    Line::Row(known) => Ok(match self.advance(line, &known, found).await? {
                        // It was imported as an earlier file says, which this line contradicts.
                        refused @ ImportOutcome::Refused(_) => refused,
                        _ => ImportOutcome::Imported,
                    }),
                    // Its entry was won, then its partition was sealed.
                    Line::Advance(_) if found.is_none() => {
                        Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
                    }
                    Line::Advance(known) => self.advance(line, &known, found).await,
                }
            }
        });
        bounded_join(AT_ONCE, ends).await
    }

    /// Where the coupon of a line is that says more than was imported.
    async fn trace(
        &self,
        line: &ImportLine,
        look: &Line,
        in_cold: &HashMap<Code, Located>,
    ) -> Result<Trace> {
        if let Some(located) = in_cold.get(&line.code) {
            return Ok(Trace::Here(Box::new(located.clone())));
        }
        match look {
            Line::Advance(known) => self.store.trace(known.day.into(), &line.code).await,
            Line::Done(_) | Line::Row(_) => Ok(Trace::Nothing),
        }
    }

    /// Enters every partition that a line may bring a coupon to; returns those that are closing.
    async fn enter_days(&self, lines: &[&ImportLine]) -> Result<HashSet<Day>> {
        let days: BTreeSet<Day> =
            lines.iter().map(|line| Day::expiry_day_of(line.expires_at)).collect();
        let mut closing = HashSet::new();
        for day in days {
            if self.store.enter(day, &self.here.terms, None).await?.is_err() {
                closing.insert(day);
            }
        }
        Ok(closing)
    }
}
