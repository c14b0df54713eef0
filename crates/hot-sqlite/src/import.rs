//! Lines of an import: each wins its directory entry, then its row.

use std::cell::RefCell;

use coupon::campaign::ImportCounts;
use coupon::code::Code;
use coupon::coupon::{Coupon, Genesis, State};
use coupon::ids::{BatchId, CampaignId};
use coupon::imported::{Advance, ImportRun, ImportedState, advance, arrive};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use rusqlite::{OptionalExtension, params};

use super::claims;
use super::coupons::{Here, Located, in_partition, insert, signed, write};
use super::failure::{Elsewhere, elsewhere};
use super::partitions;
use super::rows;
use super::txn::{CampaignHere, Txn};
use hot::protocol::claimant;
use hot::{ImportLine, ImportOutcome, RejectedLine, Tier, imported_state_text};

/// Lines of one transaction at the most. With its indexes a line costs some 10 to 20 µs, so other
/// writers wait a few milliseconds.
pub(super) const LINES_MAX: usize = 200;

/// What the directory says of a code, as an import reads it.
struct EntryOfLine {
    campaign: i64,
    /// `None` for a shared word and for a minted code that was moved.
    line: Option<ImportedAs>,
    day: Option<Day>,
}

struct ImportedAs {
    valid_from: Millis,
    expires_at: Millis,
    imported_state: ImportedState,
}

/// What came of lines that have places in the file; of one whose coupon lies in cold nothing, and
/// it is asked for. `None` when the batch is gone.
pub(super) fn lines(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    batch: &BatchId,
    lines: &[NumberedLine],
    run: &ImportRun,
) -> rusqlite::Result<Option<Vec<Option<ImportOutcome>>>> {
    let Some(campaign) = txn.campaign(campaign)? else { return Ok(None) };
    let Some(batch) = txn.batch_number(campaign.number, batch)? else { return Ok(None) };
    let into = Into { campaign, batch, run, open: RefCell::default() };
    let outcomes = lines.iter().map(|(_, line)| match into.line(txn, line) {
        // Said before this line has written anything.
        Err(error) if elsewhere(&error) == Some(&Elsewhere::Wanted) => Ok(None),
        outcome => outcome.map(Some),
    });
    outcomes.collect::<rusqlite::Result<Vec<_>>>().map(Some)
}

/// A line and its place among those that came with it.
pub(super) type NumberedLine = (usize, ImportLine);

struct Into<'a> {
    campaign: CampaignHere,
    batch: i64,
    run: &'a ImportRun,
    /// Days that these lines have come to already: open until the end of the transaction.
    open: RefCell<Vec<Day>>,
}

impl Into<'_> {
    fn line(&self, txn: &Txn<'_>, line: &ImportLine) -> rusqlite::Result<ImportOutcome> {
        match known(txn, &line.code)? {
            None => self.arrives(txn, line),
            Some(EntryOfLine { campaign, line: Some(was), day: Some(day) })
                if campaign == self.campaign.number
                    && was.valid_from == line.valid_from
                    && was.expires_at == line.expires_at =>
            {
                self.comes_again(txn, line, &was.imported_state, day)
            }
            Some(_) => Ok(ImportOutcome::CodeTaken),
        }
    }

    fn arrives(&self, txn: &Txn<'_>, line: &ImportLine) -> rusqlite::Result<ImportOutcome> {
        let day = Day::expiry_day_of(line.expires_at);
        if !self.open.borrow().contains(&day) {
            if partitions::enter(txn, day, &self.campaign.terms)?.is_err() {
                return Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed));
            }
            self.open.borrow_mut().push(day);
        }
        txn.statement(
            "INSERT INTO directory \
             (code, kind, campaign, batch, expiry_day, valid_from, expires_at, imported_state) \
             VALUES (?1, 'coupon', ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            line.code.as_str(),
            self.campaign.number,
            self.batch,
            day.0,
            line.valid_from.0,
            line.expires_at.0,
            imported_state_text::to_json(&line.imported_state),
        ])?;
        let batch = txn.batch_at(self.batch)?;
        let genesis = Genesis {
            code: line.code.clone(),
            campaign: self.campaign.terms.id.clone(),
            batch: batch.id,
            valid_from: line.valid_from,
            expires_at: line.expires_at,
            zone: self.campaign.terms.zone.clone(),
            created_at: self.run.at,
        };
        let coupon = arrive(genesis, &line.imported_state, self.run);
        let here = Here { campaign: self.campaign.clone(), batch: self.batch, row: None };
        let (batch_paused, tier) = (batch.paused, Tier::Hot);
        let located = Located { coupon, batch_paused, day, tier, frozen: false, here };
        insert(txn, &located, &located.coupon, day)?;
        txn.count_arrivals(self.campaign.number, self.batch, 1);
        txn.count_change(self.campaign.number, &State::Available, located.coupon.state());
        self.claim(txn, &located.coupon, day)?;
        Ok(ImportOutcome::Imported)
    }

    fn comes_again(
        &self,
        txn: &Txn<'_>,
        line: &ImportLine,
        was: &ImportedState,
        day: Day,
    ) -> rusqlite::Result<ImportOutcome> {
        if line.imported_state.adds_nothing_to(was) {
            // Most lines of a file that is sent again: the coupon need not be looked at.
            return Ok(ImportOutcome::AlreadyThere);
        }
        let Some(located) = in_partition(txn, day, &line.code)? else {
            return Err(super::failure::damaged("directory", "an entry without its coupon"));
        };
        let advanced = advance(&located.coupon, was, &line.imported_state, self.run);
        match &advanced {
            Advance::Contradicts(refusal) => return Ok(ImportOutcome::Refused(*refusal)),
            Advance::Forward(_) if located.frozen => {
                return Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed));
            }
            Advance::Forward(_) | Advance::AlreadyThere => {}
        }
        // Also where the coupon got there by itself: the same line must say nothing new again,
        // whatever becomes of the coupon in between.
        if line.imported_state.is_past(was) {
            txn.statement("UPDATE directory SET imported_state = ?2 WHERE code = ?1")?.execute(
                params![line.code.as_str(), imported_state_text::to_json(&line.imported_state)],
            )?;
        }
        let Advance::Forward(after) = advanced else {
            return Ok(ImportOutcome::AlreadyThere);
        };
        if located.coupon.holder() != after.holder() {
            self.claim(txn, &after, day)?;
        }
        write(txn, &located, &after, None)?;
        Ok(ImportOutcome::Imported)
    }

    /// An imported holder counts towards their limit and is not refused by it.
    fn claim(&self, txn: &Txn<'_>, coupon: &Coupon, day: Day) -> rusqlite::Result<()> {
        let Some(user) = claimant(&self.campaign.terms, coupon) else { return Ok(()) };
        let entry = claims::entry_behind_all(txn, self.campaign.number, user, None)?;
        claims::enter(txn, self.campaign.number, &entry, day, coupon)
    }
}

fn known(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<EntryOfLine>> {
    txn.statement(
        "SELECT campaign, expiry_day, valid_from, expires_at, imported_state FROM directory \
         WHERE code = ?1",
    )?
    .query_row([code.as_str()], |row| {
        let line = match row.get_ref(4)?.as_str_or_null()? {
            None => None,
            Some(imported_state) => Some(ImportedAs {
                valid_from: Millis(row.get(2)?),
                expires_at: Millis(row.get(3)?),
                imported_state: rows::imported_state_from_json(imported_state)?,
            }),
        };
        Ok(EntryOfLine { campaign: row.get(0)?, line, day: row.get::<_, Option<i32>>(1)?.map(Day) })
    })
    .optional()
}

pub(super) fn keep_rejected(
    txn: &Txn<'_>,
    batch: i64,
    lines: &[RejectedLine],
    now: Millis,
) -> rusqlite::Result<()> {
    let mut statement = txn.statement(
        "INSERT OR REPLACE INTO rejected_line (batch, line, text, word, detail, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for line in lines {
        statement.execute(params![
            batch,
            signed(line.line),
            line.text,
            line.word,
            line.detail,
            now.0
        ])?;
    }
    Ok(())
}

pub(super) fn rejected(
    txn: &Txn<'_>,
    batch: i64,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<RejectedLine>> {
    let mut statement = txn.statement(
        "SELECT line, text, word, detail FROM rejected_line \
         WHERE batch = ?1 AND line > ?2 ORDER BY line LIMIT ?3",
    )?;
    let lines = statement.query_map(params![batch, signed(after), limit as i64], |row| {
        Ok(RejectedLine {
            line: row.get::<_, i64>(0)?.unsigned_abs(),
            text: row.get(1)?,
            word: row.get(2)?,
            detail: row.get(3)?,
        })
    })?;
    lines.collect()
}

/// Forgets up to `limit` lines of a batch that were kept before `before`; how many.
pub(super) fn forget_rejected_of(
    txn: &Txn<'_>,
    batch: i64,
    before: Millis,
    limit: usize,
) -> rusqlite::Result<usize> {
    txn.statement(
        "DELETE FROM rejected_line WHERE batch = ?1 AND line IN \
         (SELECT line FROM rejected_line WHERE batch = ?1 AND at < ?2 LIMIT ?3)",
    )?
    .execute(params![batch, before.0, limit as i64])
}

/// Forgets up to `limit` lines kept before `before`; how many.
pub(super) fn forget_rejected(
    txn: &Txn<'_>,
    before: Millis,
    limit: usize,
) -> rusqlite::Result<usize> {
    txn.statement(
        "DELETE FROM rejected_line WHERE (batch, line) IN \
         (SELECT batch, line FROM rejected_line WHERE at < ?1 LIMIT ?2)",
    )?
    .execute(params![before.0, limit as i64])
}

pub(super) fn close(txn: &Txn<'_>, batch: i64, counts: &ImportCounts) -> rusqlite::Result<()> {
    txn.statement(
        "UPDATE batch SET lines = ?2, imported = ?3, already_there = ?4, rejected = ?5 \
         WHERE number = ?1",
    )?
    .execute(params![
        batch,
        signed(counts.lines),
        signed(counts.imported),
        signed(counts.already_there),
        signed(counts.rejected)
    ])?;
    Ok(())
}
