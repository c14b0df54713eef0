//! The stock of a campaign: which coupon it offers next, and how far the serials of its batches are
//! gone.

use std::collections::BTreeMap;

use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::minted::CodeKey;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::protocol::{Left, is_on_offer};
use rusqlite::{Result as SqlResult, params};

use crate::columns::{signed, unsigned};
use crate::coupons::{SqliteCoupon, row_at, untouched_of};
use crate::rows::{CampaignHere, batch_of, before_first, minted_number, minted_run, numbers_of};
use crate::txn::{SerialOffer, Txn};
use crate::{directory, partitions};

/// Most serials that one transaction, or one read transaction of a dry run, looks at before others
/// may write. Codes that were voided or issued by name are skipped, at some 2 µs each.
const SKIP_MAX: u64 = 1_000;

/// Of a row: whether it is an imported coupon that nothing has happened to and that expires with its
/// batch. All other stock is in the index.
macro_rules! is_fresh {
    () => {
        "state = 0 AND history_full = 0 AND version = 1 AND expires_at IS NULL"
    };
}

/// The stock, as one process sees it.
pub(crate) struct StockSupply<'a> {
    pub(crate) keys: &'a [CodeKey],
    /// How far a dry run has seen serials to be gone; `None` for a transaction that writes it.
    pub(crate) walked: Option<&'a WalkedBatches>,
}

/// How far batches, by number, were seen to be gone.
#[derive(Default)]
pub(crate) struct WalkedBatches(BTreeMap<i64, u64>);

impl WalkedBatches {
    /// Notes that nothing before `cursor` is left.
    pub(crate) fn to(&mut self, cursor: &StockCursor) {
        self.0.insert(cursor.batch, cursor.next_offset);
    }
}

/// How far the serials or the imported coupons of a batch have been offered.
pub(crate) struct StockCursor {
    batch: i64,
    next_offset: u64,
}

impl StockCursor {
    /// Notes how far the batch is gone. It stays gone, so the next issue begins there.
    pub(crate) fn note(&self, txn: &Txn<'_>) {
        txn.note_cursor(self.batch, self.next_offset);
    }
}

pub(crate) enum Next {
    /// A coupon, and how far its batch is gone; `None` for a coupon that came back.
    Coupon(Box<SqliteCoupon>, Option<StockCursor>),
    /// Many in a row were gone; the cursor is written before the next try.
    Again(StockCursor),
    Nothing(Refusal),
}

pub(crate) struct Offer<'a> {
    pub(crate) supply: &'a StockSupply<'a>,
    pub(crate) campaign: &'a CampaignHere,
    pub(crate) at: Millis,
    pub(crate) looked_at: u64,
}

struct OpenBatch {
    number: i64,
    paused: bool,
    run: Option<MintedRun>,
    next_offset: u64,
}

impl OpenBatch {
    /// The run, while there are serials left in it.
    fn open_run(&self) -> Option<MintedRun> {
        self.run.filter(|run| self.next_offset < run.count)
    }
}

impl Offer<'_> {
    /// Whether anything of the batch could be handed out `at` a moment if it were not paused.
    fn has_left(&self, txn: &Txn<'_>, batch: &OpenBatch, at: Millis) -> SqlResult<bool> {
        let serials = batch.open_run().is_some() && at < self.campaign.terms.expires_at;
        Ok(serials || has_row(txn, batch, at)?)
    }

    /// The next available coupon, in the order of the batches. In each batch the coupons that have
    /// rows come first: they came back or were imported. Those that expire first come first, and of
    /// these the ones that nothing has happened to. Then come the serials.
    pub(crate) fn next(&mut self, txn: &Txn<'_>) -> SqlResult<Next> {
        if let Some(offer) = txn.serial_offer(self.campaign.number)
            && self.at < self.campaign.terms.expires_at
            && let Some(next) = self.next_serial(txn, &offer)?
        {
            return Ok(next);
        }
        // At the earliest instant nothing has expired: what is left at all.
        let (mut met, before_all) = (Left::default(), Millis(i64::MIN));
        for batch in batches(txn, self.campaign.number, self.supply.walked)? {
            if batch.paused {
                let left = self.has_left(txn, &batch, self.at)?;
                met.paused |= left;
                met.expired |= !left && self.has_left(txn, &batch, before_all)?;
                continue;
            }
            if let Some(next) = self.next_row(txn, &batch)? {
                return Ok(next);
            }
            let Some(run) = batch.open_run() else {
                met.expired |= self.has_left(txn, &batch, before_all)?;
                continue;
            };
            if self.at >= self.campaign.terms.expires_at {
                met.expired = true;
                continue;
            }
            let offer = SerialOffer { batch: batch.number, run, next_offset: batch.next_offset };
            if let Some(next) = self.next_serial(txn, &offer)? {
                txn.remember_offer(self.campaign.number, offer);
                return Ok(next);
            }
        }
        Ok(Next::Nothing(met.refusal()))
    }

    fn next_row(&self, txn: &Txn<'_>, batch: &OpenBatch) -> SqlResult<Option<Next>> {
        let back = came_back(txn, batch, self.at)?;
        let usual = txn.batch_at(batch.number)?.common.filter(|usual| usual.expires_at > self.at);
        if let Some(usual) = usual
            && batch.run.is_none()
            && back.is_none_or(|(expires_at, _)| expires_at >= usual.expires_at)
            && let Some(next) = next_import(txn, batch, self.at)?
        {
            return Ok(Some(next));
        }
        let Some((_, number)) = back else { return Ok(None) };
        let located = on_offer(txn, number, self.at)?;
        Ok(located.map(|located| Next::Coupon(Box::new(located), None)))
    }

    /// The next serial of the batch that nothing has happened to. `None` if its run has none left.
    fn next_serial(
        &mut self,
        txn: &Txn<'_>,
        &SerialOffer { batch, run, next_offset }: &SerialOffer,
    ) -> SqlResult<Option<Next>> {
        let Some(key) = self.supply.keys.iter().find(|key| key.id() == run.key) else {
            // Another process has minted with a key that this one has not read yet.
            tracing::error!(key = %run.key, "a batch was minted with a code key unknown here");
            return Ok(Some(Next::Nothing(Refusal::Paused)));
        };
        for offset in next_offset..run.count {
            let code = key.mint(run.day, run.first + offset);
            let cursor = StockCursor { batch, next_offset: offset + 1 };
            let number = minted_number(batch, offset);
            if !is_touched(txn, run.day, &code, number)? {
                let campaign = self.campaign.clone();
                let located = untouched_of(txn, code, campaign, number, run.day)?;
                return Ok(Some(Next::Coupon(Box::new(located), Some(cursor))));
            }
            self.looked_at += 1;
            // Also at the end of the run, so that the next issue need not walk there again.
            if self.looked_at >= SKIP_MAX || offset + 1 == run.count {
                return Ok(Some(Next::Again(cursor)));
            }
        }
        Ok(None)
    }
}

fn batches(
    txn: &Txn<'_>,
    campaign: i64,
    walked: Option<&WalkedBatches>,
) -> SqlResult<Vec<OpenBatch>> {
    txn.write_cursors()?;
    let sql = "SELECT number, paused, key_id, expiry_day, first_serial, count, next_offset \
               FROM batch WHERE campaign = ?1 ORDER BY number";
    txn.all(sql, [campaign], |row| {
        let (number, run) = (row.get(0)?, minted_run(row, 2)?);
        let walked = walked.and_then(|walked| walked.0.get(&number)).copied().unwrap_or(0);
        let next_offset = row.get::<_, Option<i64>>(6)?.unwrap_or(0).unsigned_abs().max(walked);
        Ok(OpenBatch { number, paused: row.get(1)?, run, next_offset })
    })
}

/// Whether the batch has a coupon with a row that is on offer `at` a moment. Says yes if it is not
/// among the next rows, of which there are many.
fn has_row(txn: &Txn<'_>, batch: &OpenBatch, at: Millis) -> SqlResult<bool> {
    if came_back(txn, batch, at)?.is_some() {
        return Ok(true);
    }
    let usual = txn.batch_at(batch.number)?.common.filter(|usual| usual.expires_at > at);
    Ok(usual.is_some() && batch.run.is_none() && may_have_import(txn, batch)?)
}

/// Whether one of the next rows is an imported coupon that nothing has happened to, or there are too
/// many to look at all.
fn may_have_import(txn: &Txn<'_>, batch: &OpenBatch) -> SqlResult<bool> {
    let after = before_first(batch.number) + signed(batch.next_offset);
    let sql = concat!(
        "SELECT count(*), coalesce(max(fresh), 0) FROM (SELECT ",
        is_fresh!(),
        " AS fresh FROM coupon NOT INDEXED \
         WHERE number > ?1 AND number <= ?2 ORDER BY number LIMIT ?3)"
    );
    let numbers = numbers_of(batch.number);
    let asked = params![after, numbers.end(), signed(SKIP_MAX)];
    let (looked_at, has_fresh): (u64, bool) =
        txn.statement(sql)?.query_row(asked, |row| Ok((unsigned(row, 0)?, row.get(1)?)))?;
    Ok(has_fresh || looked_at >= SKIP_MAX)
}

/// The coupon of the batch that is in the index of available ones, is on offer `at` a moment and
/// expires first: when, and the number of its row.
fn came_back(txn: &Txn<'_>, batch: &OpenBatch, at: Millis) -> SqlResult<Option<(Millis, i64)>> {
    // Those that expire with their batch, and those that have an expiry of their own.
    let usual = txn.batch_at(batch.number)?.common.map(|common| common.expires_at);
    let usual = match usual.filter(|expires_at| *expires_at > at) {
        None => None,
        Some(expires_at) => txn.first(
            "SELECT number FROM coupon INDEXED BY coupon_available \
             WHERE state = 0 AND history_full = 0 AND (version > 1 OR expires_at IS NOT NULL) \
             AND batch = ?1 AND expires_at IS NULL ORDER BY version LIMIT 1",
            [batch.number],
            |row| Ok((expires_at, row.get(0)?)),
        )?,
    };
    let own = txn.first(
        "SELECT expires_at, number FROM coupon INDEXED BY coupon_available \
         WHERE state = 0 AND history_full = 0 AND (version > 1 OR expires_at IS NOT NULL) \
         AND batch = ?1 AND expires_at > ?2 ORDER BY expires_at, version LIMIT 1",
        params![batch.number, at.0],
        |row| Ok((Millis(row.get(0)?), row.get(1)?)),
    )?;
    Ok(usual.into_iter().chain(own).min_by_key(|(expires_at, _)| *expires_at))
}

/// The next imported coupon of the batch that nothing has happened to and that expires with it.
fn next_import(txn: &Txn<'_>, batch: &OpenBatch, at: Millis) -> SqlResult<Option<Next>> {
    let before_first = before_first(batch.number);
    let offset = |number: i64| (number - before_first).unsigned_abs();
    let cursor = |number| StockCursor { batch: batch.number, next_offset: offset(number) };
    let mut statement = txn.statement(concat!(
        "SELECT number, ",
        is_fresh!(),
        " FROM coupon NOT INDEXED WHERE number > ?1 AND number <= ?2 ORDER BY number LIMIT ?3"
    ))?;
    let (after, end) = (before_first + signed(batch.next_offset), *numbers_of(batch.number).end());
    let mut found = statement.query(params![after, end, signed(SKIP_MAX)])?;
    let mut skipped = None;
    while let Some(row) = found.next()? {
        let number = row.get(0)?;
        if row.get(1)? {
            let located = on_offer(txn, number, at)?;
            return Ok(located.map(|it| Next::Coupon(Box::new(it), Some(cursor(number)))));
        }
        skipped = Some(number);
    }
    // Also at the end of the batch, so that the next issue need not walk there again.
    Ok(skipped.map(|number| Next::Again(cursor(number))))
}

fn on_offer(txn: &Txn<'_>, number: i64, at: Millis) -> SqlResult<Option<SqliteCoupon>> {
    let located = row_at(txn, number)?;
    debug_assert!(located.iter().all(|it| is_on_offer(it, at)));
    Ok(located)
}

/// Whether something has happened to a minted code of an open partition, whose row has this number: it has a row or
/// an archived marker, or was archived in a later partition.
pub(crate) fn is_touched(txn: &Txn<'_>, day: Day, code: &Code, number: i64) -> SqlResult<bool> {
    let has_row = txn.statement("SELECT 1 FROM coupon WHERE number = ?1")?.exists([number])?;
    Ok(has_row
        || partitions::archived_marker(txn, day, code)?.is_some()
        || txn.batch_at(batch_of(number))?.has_moved && directory::has(txn, code)?)
}
