//! An import: each line inserts its directory entry, and only one line of a code succeeds; then its
//! row is written.
//!
//! The entry has all that the row is made of, so that every process writes the same row. A new row
//! is a plain write with a write time long ago. So if a repeated import or a node that was frozen
//! writes it a second time, this undoes no later change.

mod advance;
mod entry;
mod rows;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use coupon::campaign::{Batch, ImportCounts};
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::imported::ImportRun;
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::audit::{Act, AuditEvent};
use hot::{HotError, ImportLine, ImportOutcome, Imports, Named, Tier, bounded_join};

use crate::audit_events::UpdateName;
use crate::campaigns::CampaignHere;
use crate::coupons::{CouponTrace, CqlCoupon};
use crate::partitions::PlanRow;
use crate::stock::CHUNK_MAX;
use crate::values::signed;
use crate::{CqlHot, CqlStore};
use advance::{decide, run_of_line};
use cql_session::{Result, StatementProfile};
use entry::EntryOfLine;

/// The write time of an imported row, in microseconds, and of an item of a copy without its version: one
/// second after 1970 began. Every later change is newer, whatever the clocks say.
pub(crate) const LONG_AGO: i64 = 1_000_000;

const AT_ONCE: usize = 64;

/// Rows of one write to one CQL partition, some 20 KiB.
pub(crate) const ROWS_AT_ONCE: usize = 50;

#[async_trait]
impl Imports for CqlHot {
    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        act: &Act,
    ) -> Result<Named<Batch>> {
        self.store.may_write()?;
        self.store.make_batch(campaign, batch, None, act).await
    }

    fn import_lines_max(&self) -> usize {
        CHUNK_MAX
    }

    /// Two lines of one code are processed in their order, too.
    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        let store = &*self.store;
        store.may_write()?;
        let gone = || HotError::Damaged("the batch of an import is gone".into());
        let (here, _) = store.batch_of(campaign, batch).await?.ok_or_else(gone)?;
        let mut outcomes = vec![ImportOutcome::AlreadyThere; lines.len()];
        let mut left: Vec<usize> = (0..lines.len()).collect();
        let mut in_cold = HashMap::new();
        while !left.is_empty() {
            let mut seen = HashSet::new();
            let (now, later): (Vec<usize>, Vec<usize>) =
                left.into_iter().partition(|at| seen.insert(&lines[*at].code));
            let expects_new = AtomicBool::new(false);
            let round = ImportRound { store, here: &here, batch, run: &run, expects_new };
            let some: Vec<&ImportLine> = now.iter().map(|at| &lines[*at]).collect();
            for (at, outcome) in now.iter().zip(round.lines(&some, &mut in_cold).await?) {
                outcomes[*at] = outcome;
            }
            left = later;
        }
        Ok(outcomes)
    }

    async fn dry_run_import(
        &self,
        campaign: &CampaignId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        let gone = || HotError::Damaged("the campaign of an import is gone".into());
        let here = self.store.terms(campaign).await?.ok_or_else(gone)?;
        let outcomes = lines.iter().map(|line| self.store.dry_run_line(&here, line, &run));
        bounded_join(AT_ONCE, outcomes).await
    }

    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
        ended: Option<&Act>,
    ) -> Result<Option<Batch>> {
        let store = &self.store;
        let events = [AuditEvent::batch_imported(campaign, batch, &counts)];
        let doing = ended.map(|act| (act, &events[..]));
        // Each update that was sent: any of them may have been applied, and one of them is enough.
        let mut sent: Vec<UpdateName> = Vec::new();
        let mut attempts = store.attempts("an import's counts");
        loop {
            let found = attempts.looked(store.batch_now(campaign, batch).await)?;
            let Some((here, present)) = found else { return Ok(None) };
            let is_audited = doing.is_some() && store.log.get().is_some();
            let mut is_done = !is_audited && present.import == counts;
            for name in &sent {
                is_done |= attempts.looked(store.has_made(&here, *name).await)?;
            }
            if is_done {
                return store.batch_row(&here, &present).await.map(Some);
            }
            let (carries, name) = attempts.looked(store.carried(&here, doing).await)?;
            sent.extend(name);
            let cql = "UPDATE campaign SET revision = ?, carries = ?, lines = ?, imported = ?, \
                       already_there = ?, rejected = ? WHERE campaign_id = ? AND batch_id = ? \
                       IF revision = ?";
            let ImportCounts { lines, imported, already_there, rejected } = counts;
            let counted = [lines, imported, already_there, rejected].map(signed);
            let [lines, imported, there, rejected] = counted;
            let (campaign, batch, revision) = (campaign.as_str(), batch.as_str(), here.revision);
            let next = revision + 1;
            let values =
                (next, carries, lines, imported, there, rejected, campaign, batch, revision);
            attempts.wrote(store.session.change(attempts.profile(), cql, values).await).await?;
        }
    }
}

enum LinePlan {
    /// Nothing more: this is its outcome.
    Done(ImportOutcome),
    /// Its row, then what the line says beyond it.
    Row(Box<EntryOfLine>),
    /// What it says beyond what was imported.
    Advance(Box<EntryOfLine>),
}

/// Lines with different codes.
struct ImportRound<'a> {
    store: &'a CqlStore,
    here: &'a CampaignHere,
    batch: &'a BatchId,
    run: &'a ImportRun,
    /// Whether the last line that was read was new.
    expects_new: AtomicBool,
}

impl ImportRound<'_> {
    /// `in_cold` has the coupons that earlier lines have read from cold.
    async fn lines(
        &self,
        lines: &[&ImportLine],
        in_cold: &mut HashMap<Code, CqlCoupon>,
    ) -> Result<Vec<ImportOutcome>> {
        // Before the rows: it postpones the seal of each day until long after they are written.
        let closing = self.enter_days(lines).await?;
        let looks = lines.iter().map(|line| self.look(line, &closing));
        let looks: Vec<LinePlan> = bounded_join(AT_ONCE, looks).await?;
        let mut rows = Vec::new();
        for (line, look) in lines.iter().zip(&looks) {
            if let LinePlan::Row(known) = look {
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
        let traces: Vec<CouponTrace> = bounded_join(AT_ONCE, traces).await?;
        let found = self.store.resolve(traces).await?;
        for located in found.iter().flatten().filter(|it| it.tier == Tier::Cold) {
            in_cold.insert(located.coupon.code().clone(), located.clone());
        }
        let ends = lines.iter().zip(looks).zip(found).map(|((line, look), found)| {
            let closed = &closed;
            async move {
                match look {
                    LinePlan::Done(outcome) => Ok(outcome),
                    LinePlan::Row(known) if closed.contains(&known.day) => {
                        Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
                    }
                    LinePlan::Row(known) => Ok(match self.advance(line, &known, found).await? {
                        // It was imported as an earlier file says, which this line contradicts.
                        refused @ ImportOutcome::Refused(_) => refused,
                        _ => ImportOutcome::Imported,
                    }),
                    // Its entry was won, then its partition was sealed.
                    LinePlan::Advance(_) if found.is_none() => {
                        Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
                    }
                    LinePlan::Advance(known) => self.advance(line, &known, found).await,
                }
            }
        });
        bounded_join(AT_ONCE, ends).await
    }

    /// Where the coupon of a line is that says more than was imported.
    async fn trace(
        &self,
        line: &ImportLine,
        look: &LinePlan,
        in_cold: &HashMap<Code, CqlCoupon>,
    ) -> Result<CouponTrace> {
        if let Some(located) = in_cold.get(&line.code) {
            return Ok(CouponTrace::Here(Box::new(located.clone())));
        }
        match look {
            LinePlan::Advance(known) => self.store.trace(known.day.into(), &line.code).await,
            LinePlan::Done(_) | LinePlan::Row(_) => Ok(CouponTrace::Nothing),
        }
    }

    /// Enters every partition that a line may bring a coupon to; returns those that are closing.
    async fn enter_days(&self, lines: &[&ImportLine]) -> Result<HashSet<Day>> {
        let days: BTreeSet<Day> =
            lines.iter().map(|line| Day::expiry_day_of(line.expires_at)).collect();
        // A file is read as it comes: nobody knows how many lines of a day follow.
        let coupons = lines.len() as u64;
        let mut closing = HashSet::new();
        for day in days {
            if !self.store.enter(day, &self.here.terms, None, coupons).await? {
                closing.insert(day);
            }
        }
        Ok(closing)
    }
}

impl CqlStore {
    /// From reads alone.
    async fn dry_run_line(
        &self,
        here: &CampaignHere,
        line: &ImportLine,
        run: &ImportRun,
    ) -> Result<ImportOutcome> {
        let look = match self.entry_row(&line.code).await? {
            Some(row) => Some(self.look_again(here, line, row).await?),
            None => None,
        };
        let outcome = match look {
            Some(LinePlan::Done(outcome)) => Some(outcome),
            Some(LinePlan::Advance(known)) => {
                let found = self.stored(known.day.into(), &line.code).await?;
                let run = run_of_line(line, run);
                found.map(|located| decide(line, &known, &located, &run).outcome)
            }
            None | Some(LinePlan::Row(_)) => {
                let day = Day::expiry_day_of(line.expires_at);
                let is_closing = self.plan_is(day, PlanRow::is_closing).await?;
                (!is_closing).then_some(ImportOutcome::Imported)
            }
        };
        Ok(outcome.unwrap_or(ImportOutcome::Refused(Refusal::ExpiryDayClosed)))
    }
}
