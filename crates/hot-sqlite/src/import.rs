//! Import: each line makes a row and a directory entry, or moves a coupon forward.

use std::cell::RefCell;

use coupon::campaign::ImportCounts;
use coupon::coupon::{Coupon, State};
use coupon::ids::{BatchId, CampaignId};
use coupon::imported::{ImportRun, ImportedState};
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::protocol::{LineAdvance, advance_line, arrived, claimant, has_dates};
use hot::{ImportLine, ImportOutcome};
use rusqlite::params;

use crate::changes::write;
use crate::columns::signed;
use crate::coupons::{Located, in_partition, row_at_place, writing};
use crate::directory::{EntryOfLine, Place};
use crate::failure::{Elsewhere, damaged, elsewhere};
use crate::last_line::Said;
use crate::rows::CampaignHere;
use crate::txn::Txn;
use crate::{claims, directory, orders, partitions, prefetch};

/// Most lines of one transaction. With its indexes a line costs some 10 to 20 µs, so other writers
/// wait a few milliseconds.
pub(crate) const LINES_MAX: usize = 200;

/// Fewest lines of one call for which the operation of the import gets a number, which takes some 50
/// bytes and saves 14 in each row.
const NUMBERED_MIN: usize = 16;

/// The outcome of each line. A line has none if cold must be asked for its coupon; it has written
/// nothing then. `None` if the batch is gone.
pub(crate) fn lines(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    batch: &BatchId,
    lines: &[NumberedLine],
    run: &ImportRun,
) -> rusqlite::Result<Option<Vec<Option<ImportOutcome>>>> {
    let Some((campaign, batch)) = txn.batch(campaign, batch)? else { return Ok(None) };
    if lines.len() >= NUMBERED_MIN {
        txn.enter_operation(run.operation)?;
    }
    let target = Target { campaign, batch, run, open: RefCell::default() };
    let outcomes = lines.iter().map(|(_, line)| match target.line(txn, line) {
        // A line asks cold before its first write.
        Err(error) if elsewhere(&error) == Some(&Elsewhere::Wanted) => Ok(None),
        outcome => outcome.map(Some),
    });
    outcomes.collect::<rusqlite::Result<Vec<_>>>().map(Some)
}

/// The outcomes that lines would have: decided as by [`lines`], and nothing is written.
pub(crate) fn dry_run(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    lines: &[ImportLine],
    run: &ImportRun,
) -> rusqlite::Result<Vec<ImportOutcome>> {
    let gone = || damaged("campaign", "the campaign of an import is gone");
    let campaign = txn.campaign(campaign)?.ok_or_else(gone)?;
    prefetch::all(lines.iter().map(|line| match decide(txn, &campaign, line, run)? {
        Decided::Arrives(day) if partitions::is_closing(txn, day)? => {
            Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
        }
        Decided::Arrives(_) => Ok(ImportOutcome::Imported),
        Decided::Done(outcome) => Ok(outcome),
        Decided::Advances { advance, .. } => Ok(advance.outcome),
    }))
}

enum Decided {
    /// Its code is new: it makes a coupon, unless the day is closing.
    Arrives(Day),
    /// Nothing: this is its outcome.
    Done(ImportOutcome),
    /// What it does to the coupon of its code.
    Advances { located: Box<Located>, advance: LineAdvance, place: Place },
}

/// Asks cold, if it must, and writes nothing.
fn decide(
    txn: &Txn<'_>,
    campaign: &CampaignHere,
    line: &ImportLine,
    run: &ImportRun,
) -> rusqlite::Result<Decided> {
    let (place, was) = match directory::known(txn, &line.code)? {
        None => return Ok(Decided::Arrives(Day::expiry_day_of(line.expires_at))),
        Some(EntryOfLine { campaign: of, line: Some((place, was)) })
            if of == campaign.number && has_dates(line, was.valid_from, was.expires_at) =>
        {
            (place, was.imported_state)
        }
        Some(_) => return Ok(Decided::Done(ImportOutcome::CodeTaken)),
    };
    if line.imported_state == ImportedState::Available {
        // Most lines: they say nothing new in any case, so no need to read the coupon.
        return Ok(Decided::Done(ImportOutcome::AlreadyThere));
    }
    let row = row_at_place(txn, &place, &line.code)?;
    // What the earlier line said, if the directory does not have it.
    let was = was.unwrap_or_else(|| match &row {
        Some(located) => located.here.said.line(&located.coupon),
        None => ImportedState::Available,
    });
    if line.imported_state.adds_nothing_to(&was) {
        // Most others of a file that is sent again: no need to ask cold.
        return Ok(Decided::Done(ImportOutcome::AlreadyThere));
    }
    let Some(located) = (match row {
        Some(located) => Some(located),
        None => in_partition(txn, place.day, &line.code)?,
    }) else {
        return Err(damaged("directory", "an entry without its coupon"));
    };
    let advance = advance_line(&located, &line.imported_state, &was, run, false);
    Ok(Decided::Advances { located: Box::new(located), advance, place })
}

/// A line and its index among the lines of one call.
pub(crate) type NumberedLine = (usize, ImportLine);

struct Target<'a> {
    campaign: CampaignHere,
    batch: i64,
    run: &'a ImportRun,
    /// Days that these lines have entered: they stay open until the end of the transaction.
    open: RefCell<Vec<Day>>,
}

impl Target<'_> {
    fn line(&self, txn: &Txn<'_>, line: &ImportLine) -> rusqlite::Result<ImportOutcome> {
        match decide(txn, &self.campaign, line, self.run)? {
            Decided::Arrives(day) => self.arrives(txn, line, day),
            Decided::Done(outcome) => Ok(outcome),
            Decided::Advances { located, advance, place } => {
                self.comes_again(txn, line, *located, advance, &place)
            }
        }
    }

    fn arrives(
        &self,
        txn: &Txn<'_>,
        line: &ImportLine,
        day: Day,
    ) -> rusqlite::Result<ImportOutcome> {
        if !self.open.borrow().contains(&day) {
            if partitions::enter(txn, day, &self.campaign.terms)?.is_err() {
                return Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed));
            }
            self.open.borrow_mut().push(day);
        }
        let (campaign, imported_state) = (self.campaign.number, &line.imported_state);
        let batch = txn.batch_at(self.batch)?.id;
        let coupon = arrived(&self.campaign.terms, batch, line, imported_state, self.run);
        let said = Said::of(imported_state, &coupon);
        let number = writing::insert(txn, self.batch, &coupon, &said, day)?;
        let (valid_from, expires_at) = (line.valid_from, line.expires_at);
        // The row has its state.
        let line =
            directory::Line { valid_from, expires_at, imported_state: &ImportedState::Available };
        directory::enter(txn, coupon.code(), &Place { day, number }, Some(&line))?;
        txn.counts().arrive(campaign, self.batch);
        txn.counts().change(campaign, &State::Available, &coupon);
        self.claim(txn, &coupon, day)?;
        if txn.tells() {
            orders::enter_all(txn, &coupon)?;
        }
        Ok(ImportOutcome::Imported)
    }

    /// A line whose code an earlier line has brought, with the same dates.
    fn comes_again(
        &self,
        txn: &Txn<'_>,
        line: &ImportLine,
        mut located: Located,
        advance: LineAdvance,
        place: &Place,
    ) -> rusqlite::Result<ImportOutcome> {
        if advance.raises {
            located.here.said = Said::Other(Box::new(line.imported_state.clone()));
            let in_directory = match located.here.row {
                Some(_) => &ImportedState::Available,
                None => &line.imported_state,
            };
            directory::keep_line(txn, &line.code, in_directory)?;
        }
        match &advance.after {
            Some(after) => {
                if advance.has_new_holder {
                    self.claim(txn, after, place.day)?;
                }
                write(txn, &located, after, None, &self.run.actor)?;
            }
            None if advance.raises && located.here.row.is_some() => {
                writing::update(txn, &located, &located.coupon, located.day)?;
            }
            None => {}
        }
        Ok(advance.outcome)
    }

    /// The coupon of an imported holder counts towards the limit, and the limit does not refuse it.
    fn claim(&self, txn: &Txn<'_>, coupon: &Coupon, day: Day) -> rusqlite::Result<()> {
        let Some(user) = claimant(&self.campaign.terms, coupon) else { return Ok(()) };
        let entry = claims::next_entry(txn, self.campaign.number, user, None)?;
        claims::enter(txn, self.campaign.number, &entry, day, coupon)
    }
}

pub(crate) fn close(txn: &Txn<'_>, batch: i64, counts: &ImportCounts) -> rusqlite::Result<()> {
    txn.run(
        "UPDATE batch SET lines = ?2, imported = ?3, already_there = ?4, rejected = ?5 \
         WHERE number = ?1",
        params![
            batch,
            signed(counts.lines),
            signed(counts.imported),
            signed(counts.already_there),
            signed(counts.rejected)
        ],
    )
}
