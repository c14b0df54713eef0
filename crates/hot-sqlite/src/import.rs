//! Import: each line makes a row and a directory entry, or moves a coupon forward.

use std::cell::RefCell;
use std::sync::Arc;

use async_trait::async_trait;
use coupon::campaign::{Batch, ImportCounts};
use coupon::coupon::{Coupon, State};
use coupon::ids::{BatchId, CampaignId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::audit::{Act, AuditEvent};
use hot::protocol::{LineAdvance, NewEntry, advance_line, arrived, claimant, has_dates};
use hot::{HotError, ImportLine, ImportOutcome, Imports, Named};
use rusqlite::{Result as SqlResult, params};

use crate::activity::worth_since;
use crate::changes::write;
use crate::claims::EntrySlot;
use crate::cold::Prefetched;
use crate::columns::signed;
use crate::coupons::{RowNumber, SqliteCoupon, in_partition, numbered, writing};
use crate::directory::{EntryOfLine, Place};
use crate::failure::{ColdMiss, damaged, elsewhere};
use crate::last_line::LineState;
use crate::rows::CampaignHere;
use crate::txn::Txn;
use crate::{Result, SqliteHot, batches, claims, directory, orders, partitions, prefetch};

/// Most lines of one transaction. With its indexes a line costs some 10 to 20 µs, so other writers
/// wait a few milliseconds.
const LINES_MAX: usize = 200;

/// Fewest lines of one call for which the operation of the import gets a number, which takes some 50
/// bytes and saves 14 in each row.
const NUMBERED_MIN: usize = 16;

#[async_trait]
impl Imports for SqliteHot {
    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let (campaign, batch, act) = (campaign.clone(), batch.clone(), act.clone());
        let open = move |txn: &Txn<'_>| batches::make(txn, &campaign, &batch, None, &act);
        self.writer.run(open).await
    }

    fn import_lines_max(&self) -> usize {
        LINES_MAX
    }

    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        self.must_have_room().await?;
        let mut outcomes = vec![ImportOutcome::AlreadyThere; lines.len()];
        let mut left: Arc<Vec<_>> = Arc::new(lines.into_iter().enumerate().collect());
        let mut prefetched = Arc::new(Prefetched::default());
        // A line whose coupon is in cold is imported in a later transaction.
        while !left.is_empty() {
            let (campaign, batch, run) = (campaign.clone(), batch.clone(), run.clone());
            let (lines, here) = (Arc::clone(&left), Arc::clone(&prefetched));
            // A line without an outcome asks cold for its coupon, and has written nothing.
            let enter = move |txn: &Txn<'_>| {
                let txn = txn.with_prefetched(&here);
                let found = txn.batch(&campaign, &batch)?;
                let Some((campaign, batch)) = found else { return Ok(None) };
                if lines.len() >= NUMBERED_MIN {
                    txn.enter_operation(run.operation)?;
                }
                let target = ImportTarget { campaign, batch, run: &run, open: RefCell::default() };
                let outcomes = lines.iter().map(|(_, line)| match target.line(&txn, line) {
                    Err(error) if elsewhere(&error) == Some(&ColdMiss::Wanted) => Ok(None),
                    outcome => outcome.map(Some),
                });
                let outcomes = outcomes.collect::<SqlResult<Vec<_>>>()?;
                Ok(Some((outcomes, txn.wanted())))
            };
            let gone = || HotError::Damaged("the batch of an import is gone".into());
            let (imported, wanted) = self.writer.run(enter).await?.ok_or_else(gone)?;
            let mut in_cold = Vec::new();
            for ((at, line), outcome) in left.iter().zip(imported) {
                match outcome {
                    Some(outcome) => outcomes[*at] = outcome,
                    None => in_cold.push((*at, line.clone())),
                }
            }
            left = Arc::new(in_cold);
            prefetched = Arc::new(prefetched.and(wanted, &*self.archive).await?);
        }
        Ok(outcomes)
    }

    async fn dry_run_import(
        &self,
        campaign: &CampaignId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        let dry_run = |txn: &Txn<'_>| {
            let gone = || damaged("campaign", "the campaign of an import is gone");
            let campaign = txn.campaign(campaign)?.ok_or_else(gone)?;
            prefetch::all(lines.iter().map(|line| match decide(txn, &campaign, line, &run)? {
                Decided::Arrives(day) if partitions::is_closing(txn, day)? => {
                    Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
                }
                Decided::Arrives(_) => Ok(ImportOutcome::Imported),
                Decided::Done(outcome) => Ok(outcome),
                Decided::Advances { advance, .. } => Ok(advance.outcome),
            }))
        };
        self.look(dry_run).await
    }

    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
        ended: Option<&Act>,
    ) -> Result<Option<Batch>> {
        let (campaign, batch, ended) = (campaign.clone(), batch.clone(), ended.cloned());
        let close = move |txn: &Txn<'_>| {
            if let Some((_, number)) = txn.batch(&campaign, &batch)? {
                let ImportCounts { lines, imported, already_there, rejected } = counts;
                let [lines, imported, there, rejected] =
                    [lines, imported, already_there, rejected].map(signed);
                txn.run(
                    "UPDATE batch SET lines = ?2, imported = ?3, already_there = ?4, rejected = ?5 \
                     WHERE number = ?1",
                    params![number, lines, imported, there, rejected],
                )?;
                if let Some(act) = &ended {
                    txn.audit(act, &AuditEvent::batch_imported(&campaign, &batch, &counts))?;
                }
            }
            batches::batch(txn, &campaign, &batch)
        };
        self.writer.run(close).await
    }
}

enum Decided {
    /// Its code is new: it makes a coupon, unless the day is closing.
    Arrives(Day),
    /// Nothing: this is its outcome.
    Done(ImportOutcome),
    /// What it does to the coupon of its code.
    Advances { located: Box<SqliteCoupon>, advance: LineAdvance },
}

/// Asks cold, if it must, and writes nothing.
fn decide(
    txn: &Txn<'_>,
    campaign: &CampaignHere,
    line: &ImportLine,
    run: &ImportRun,
) -> SqlResult<Decided> {
    let (place, was) = match directory::known(txn, &line.code)? {
        None => return Ok(Decided::Arrives(Day::expiry_day_of(line.expires_at))),
        Some(EntryOfLine { campaign: of, line: Some((place, was)) })
            if of == campaign.number
                && has_dates(&campaign.terms, line, (was.valid_from, was.expires_at)) =>
        {
            (place, was.imported_state)
        }
        Some(_) => return Ok(Decided::Done(ImportOutcome::CodeTaken)),
    };
    if line.imported_state == ImportedState::Available {
        // Most lines: they say nothing new in any case, so no need to read the coupon.
        return Ok(Decided::Done(ImportOutcome::AlreadyThere));
    }
    let row = numbered(txn, RowNumber::OfEntry(place.number), &line.code)?;
    // What the earlier line said, if the directory does not have it.
    let was = was.unwrap_or_else(|| match &row {
        Some(located) => located.here.said.line(&located.coupon),
        None => ImportedState::Available,
    });
    if line.imported_state.adds_nothing_to(&was) {
        // Most others of a file that is sent again: no need to ask cold.
        return Ok(Decided::Done(ImportOutcome::AlreadyThere));
    }
    let found = row.map_or_else(|| in_partition(txn, place.day, &line.code), |it| Ok(Some(it)))?;
    let located = found.ok_or_else(|| damaged("directory", "an entry without its coupon"))?;
    let advance = advance_line(&located, &line.imported_state, &was, run, false);
    Ok(Decided::Advances { located: Box::new(located), advance })
}

struct ImportTarget<'a> {
    campaign: CampaignHere,
    batch: i64,
    run: &'a ImportRun,
    /// Days that these lines have entered: they stay open until the end of the transaction.
    open: RefCell<Vec<Day>>,
}

impl ImportTarget<'_> {
    fn line(&self, txn: &Txn<'_>, line: &ImportLine) -> SqlResult<ImportOutcome> {
        match decide(txn, &self.campaign, line, self.run)? {
            Decided::Arrives(day) => self.arrives(txn, line, day),
            Decided::Done(outcome) => Ok(outcome),
            Decided::Advances { located, advance } => {
                self.comes_again(txn, line, *located, advance)
            }
        }
    }

    fn arrives(&self, txn: &Txn<'_>, line: &ImportLine, day: Day) -> SqlResult<ImportOutcome> {
        if !self.open.borrow().contains(&day) {
            if partitions::enter(txn, day, &self.campaign.terms)?.is_err() {
                return Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed));
            }
            self.open.borrow_mut().push(day);
        }
        let (campaign, imported_state) = (self.campaign.number, &line.imported_state);
        let batch = txn.batch_at(self.batch)?.id;
        let coupon = arrived(&self.campaign.terms, batch, line, imported_state, self.run);
        let said = LineState::of(imported_state, &coupon);
        let indexed = match self.entry(txn, &coupon)? {
            Some(entry) => claims::enter(txn, campaign, &entry, day, &coupon)?,
            None => {
                coupon.holder().map_or(Ok(()), |user| claims::may_have(txn, user))?;
                true
            }
        };
        let number = writing::insert(txn, (self.batch, None), &coupon, &said, indexed, day)?;
        let (valid_from, expires_at) = (line.valid_from, line.expires_at);
        // The row has its state.
        let line =
            directory::Line { valid_from, expires_at, imported_state: &ImportedState::Available };
        directory::enter(txn, coupon.code(), &Place { day, number }, Some(&line))?;
        txn.counts().arrive(campaign, self.batch);
        txn.counts().change(campaign, &State::Available, &coupon);
        if txn.tells() {
            txn.counts().redeemed_untold(campaign, &worth_since(&coupon, 0));
            orders::enter_all(txn, &coupon)?;
        }
        Ok(ImportOutcome::Imported)
    }

    /// A line whose code an earlier line has brought, with the same dates.
    fn comes_again(
        &self,
        txn: &Txn<'_>,
        line: &ImportLine,
        mut located: SqliteCoupon,
        advance: LineAdvance,
    ) -> SqlResult<ImportOutcome> {
        if advance.raises {
            located.here.said = LineState::Other(Box::new(line.imported_state.clone()));
            let in_directory = match located.here.row {
                Some(_) => &ImportedState::Available,
                None => &line.imported_state,
            };
            directory::keep_line(txn, &line.code, in_directory)?;
        }
        match &advance.after {
            Some(after) => {
                let entry = if advance.has_new_holder { self.entry(txn, after)? } else { None };
                write(txn, &located, after, entry.as_ref(), &self.run.actor)?;
            }
            None if advance.raises && located.here.row.is_some() => {
                let indexed = located.here.indexed;
                writing::update(txn, &located, &located.coupon, indexed, located.day)?;
            }
            None => {}
        }
        Ok(advance.outcome)
    }

    /// The coupon of an imported holder counts towards the limit, and the limit does not refuse it.
    fn entry(&self, txn: &Txn<'_>, coupon: &Coupon) -> SqlResult<Option<NewEntry<EntrySlot>>> {
        let user = claimant(&self.campaign.terms, coupon);
        user.map(|user| claims::next_entry(txn, self.campaign.number, user, None)).transpose()
    }
}
