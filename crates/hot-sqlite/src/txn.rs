//! One transaction, or one snapshot, and what has been looked up in it already.
//!
//! Campaigns, batches and seals are read once in a transaction, however many coupons of theirs it
//! changes, and forgotten with it: other processes write the same file. Counts are added up in
//! memory and written once, before the commit.
//!
//! Readers remember them from one snapshot to the next. Triggers raise a number in `setting` with
//! every change of them, whoever makes it, and a snapshot with the same number has the same terms:
//! so a look-up reads one small row instead of three large ones.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use coupon::campaign::Campaign;
use coupon::coupon::{Coupon, State};
use coupon::ids::{BatchId, CampaignId};
use coupon::time::{Day, Millis};
use router::Owner;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::accounts;
use super::failure::Elsewhere;
use super::prefetch::{Prefetched, Spot, Wanted};
use super::rows;

/// A campaign and its number in this file.
#[derive(Clone, Debug)]
pub(super) struct CampaignHere {
    pub(super) number: i64,
    pub(super) terms: Arc<Campaign>,
}

/// What a coupon needs of its batch.
#[derive(Clone)]
pub(super) struct BatchHere {
    pub(super) id: BatchId,
    pub(super) paused: bool,
    pub(super) created_at: Millis,
}

#[derive(Clone, Copy, Default)]
struct Shift {
    stock: i64,
    issued: i64,
    redeemed: i64,
    void: i64,
    cold_issued: i64,
    cold_redeemed: i64,
    cold_void: i64,
}

/// The row of `setting` with the number of changes of terms; none before the first.
const TERMS_REVISION: &str = "terms_revision";

/// Most campaigns that are remembered, and most batches and days: with the largest metadata some
/// eight megabytes in all readers together.
const SEEN_MAX: usize = 200;

pub(super) struct Txn<'a> {
    pub(super) conn: &'a Connection,
    /// Of the whole transaction, whichever job it is that looks.
    seen: &'a Seen,
    /// Whether what was seen is known to be what stands in this transaction.
    is_checked: Cell<bool>,
    /// What this job was told of cold.
    prefetched: Option<&'a Prefetched>,
    wanted: RefCell<Vec<Wanted>>,
}

/// What was looked up: in one transaction, or by one reader so far.
#[derive(Default)]
pub(super) struct Seen {
    /// Of terms, when they were looked up.
    revision: RefCell<Option<String>>,
    campaigns: RefCell<HashMap<i64, CampaignHere>>,
    batches: RefCell<HashMap<i64, BatchHere>>,
    sealed: RefCell<HashMap<Day, bool>>,
    // What a number stands for never changes.
    numbers: RefCell<HashMap<CampaignId, i64>>,
    owners: RefCell<HashMap<i64, Owner>>,
    shifts: RefCell<BTreeMap<i64, Shift>>,
    arrivals: RefCell<BTreeMap<i64, i64>>,
    /// Statements run by the whole store.
    statements: Arc<AtomicU64>,
}

impl Seen {
    /// Nothing yet; `statements` counts what is run.
    pub(super) fn counting(statements: &Arc<AtomicU64>) -> Seen {
        Seen { statements: Arc::clone(statements), ..Seen::default() }
    }

    fn forget(&self) {
        self.campaigns.borrow_mut().clear();
        self.batches.borrow_mut().clear();
        self.sealed.borrow_mut().clear();
    }
}

fn keep<K: Eq + Hash, V: Clone>(seen: &RefCell<HashMap<K, V>>, key: K, value: &V) {
    let mut seen = seen.borrow_mut();
    if seen.len() >= SEEN_MAX {
        seen.clear();
    }
    seen.insert(key, value.clone());
}

/// One of the statements around a transaction, which each connection prepares once.
pub(super) fn bound(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Ends a transaction without a trace. SQLite may have ended it by itself where something failed.
pub(super) fn roll_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = bound(conn, "ROLLBACK")
    {
        tracing::error!(error = %error, "a rollback failed");
    }
}

impl<'a> Txn<'a> {
    /// A transaction in which nothing has been looked up yet.
    pub(super) fn new(conn: &'a Connection, seen: &'a Seen) -> Txn<'a> {
        let is_checked = Cell::new(true);
        Txn { conn, seen, is_checked, prefetched: None, wanted: RefCell::default() }
    }

    /// One more snapshot of a reader that has seen others.
    pub(super) fn after_others(conn: &'a Connection, seen: &'a Seen) -> Txn<'a> {
        Txn { is_checked: Cell::new(false), ..Txn::new(conn, seen) }
    }

    /// The same transaction for a job that was told something of cold.
    pub(super) fn knowing<'b>(&'b self, prefetched: &'b Prefetched) -> Txn<'b> {
        let is_checked = self.is_checked.clone();
        Txn { is_checked, prefetched: Some(prefetched), ..Txn::new(self.conn, self.seen) }
    }

    /// What this job could not do without.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        self.wanted.take()
    }

    /// The coupon in cold, or the error that asks for it.
    pub(super) fn in_cold(&self, spot: Spot) -> rusqlite::Result<Option<&'a Coupon>> {
        match self.prefetched.and_then(|prefetched| prefetched.coupon(&spot)) {
            Some(found) => Ok(found),
            None => {
                let archive_commit = super::partitions::archive_commit(self, spot.0)?;
                self.wanted.borrow_mut().push((spot, archive_commit));
                Err(Elsewhere::Wanted.into())
            }
        }
    }

    pub(super) fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.seen.statements.fetch_add(1, Ordering::Relaxed);
        self.conn.prepare_cached(sql)
    }

    /// What was seen, as it stands in this transaction.
    fn seen(&self) -> rusqlite::Result<&'a Seen> {
        if !self.is_checked.get() {
            let now = accounts::setting(self, TERMS_REVISION)?;
            if *self.seen.revision.borrow() != now {
                self.seen.forget();
                self.seen.revision.replace(now);
            }
            self.is_checked.set(true);
        }
        Ok(self.seen)
    }

    /// Another number whenever another process has written.
    pub(super) fn commits_of_others(&self) -> rusqlite::Result<u64> {
        let version = self.conn.pragma_query_value(None, "data_version", |row| row.get(0));
        version.map(i64::unsigned_abs)
    }

    pub(super) fn campaign(&self, id: &CampaignId) -> rusqlite::Result<Option<CampaignHere>> {
        let known = self.seen.numbers.borrow().get(id).copied();
        if let Some(number) = known {
            return self.campaign_at(number).map(Some);
        }
        let number = self
            .statement("SELECT number FROM campaign WHERE campaign_id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        let Some(number) = number else { return Ok(None) };
        keep(&self.seen.numbers, id.clone(), &number);
        self.campaign_at(number).map(Some)
    }

    pub(super) fn campaign_at(&self, number: i64) -> rusqlite::Result<CampaignHere> {
        let seen = self.seen()?;
        if let Some(campaign) = seen.campaigns.borrow().get(&number) {
            return Ok(campaign.clone());
        }
        let sql = concat!("SELECT ", rows::campaign_columns!(), " FROM campaign WHERE number = ?1");
        let terms = self.statement(sql)?.query_row([number], rows::campaign)?;
        let campaign = CampaignHere { number, terms: Arc::new(terms) };
        keep(&seen.campaigns, number, &campaign);
        Ok(campaign)
    }

    pub(super) fn batch_at(&self, number: i64) -> rusqlite::Result<BatchHere> {
        let seen = self.seen()?;
        if let Some(batch) = seen.batches.borrow().get(&number) {
            return Ok(batch.clone());
        }
        let batch = self
            .statement("SELECT batch_id, paused, created_at FROM batch WHERE number = ?1")?
            .query_row([number], |row| {
                Ok(BatchHere {
                    id: rows::parsed(row, 0)?,
                    paused: row.get(1)?,
                    created_at: Millis(row.get(2)?),
                })
            })?;
        keep(&seen.batches, number, &batch);
        Ok(batch)
    }

    /// Whose coupons those of a batch are.
    pub(super) fn owner_at(&self, batch: i64) -> rusqlite::Result<Owner> {
        if let Some(owner) = self.seen.owners.borrow().get(&batch) {
            return Ok(owner.clone());
        }
        let owner = self
            .statement(
                "SELECT campaign.campaign_id, batch.batch_id FROM batch \
                 JOIN campaign ON campaign.number = batch.campaign WHERE batch.number = ?1",
            )?
            .query_row([batch], |row| {
                Ok(Owner { campaign: rows::parsed(row, 0)?, batch: rows::parsed(row, 1)? })
            })
            .optional()?
            .ok_or_else(|| super::failure::damaged("batch", format!("{batch} is gone")))?;
        keep(&self.seen.owners, batch, &owner);
        Ok(owner)
    }

    pub(super) fn batch_number(
        &self,
        campaign: i64,
        id: &BatchId,
    ) -> rusqlite::Result<Option<i64>> {
        self.statement("SELECT number FROM batch WHERE campaign = ?1 AND batch_id = ?2")?
            .query_row(params![campaign, id.as_str()], |row| row.get(0))
            .optional()
    }

    /// Whether nothing in the partition can change any more.
    pub(super) fn is_sealed(&self, day: Day) -> rusqlite::Result<bool> {
        let seen = self.seen()?;
        if let Some(sealed) = seen.sealed.borrow().get(&day) {
            return Ok(*sealed);
        }
        let sealed = self
            .statement("SELECT sealed FROM partition_plan WHERE expiry_day = ?1")?
            .query_row([day.0], |row| row.get(0))
            .optional()?;
        let sealed = sealed.unwrap_or(false);
        keep(&seen.sealed, day, &sealed);
        Ok(sealed)
    }

    /// After a change of a campaign's or a batch's terms, or a seal, so that the jobs behind this one
    /// see it.
    pub(super) fn forget_terms(&self) {
        self.seen.forget();
    }

    /// A coupon of `campaign` goes from one state to another.
    pub(super) fn count_change(&self, campaign: i64, from: &State, to: &State) {
        let mut shifts = self.seen.shifts.borrow_mut();
        let shift = shifts.entry(campaign).or_default();
        for (state, by) in [(from, -1), (to, 1)] {
            match state {
                State::Available => {}
                State::Issued { .. } => shift.issued += by,
                State::Redeemed { .. } => shift.redeemed += by,
                State::Void { .. } => shift.void += by,
            }
        }
    }

    /// A coupon of `campaign` in this state lies in cold from now on.
    pub(super) fn count_moved(&self, campaign: i64, state: &str) {
        let mut shifts = self.seen.shifts.borrow_mut();
        let shift = shifts.entry(campaign).or_default();
        match state {
            "issued" => shift.cold_issued += 1,
            "redeemed" => shift.cold_redeemed += 1,
            "void" => shift.cold_void += 1,
            // What is available is not counted: it is what is left of the stock.
            _ => {}
        }
    }

    /// `count` coupons come into `batch`.
    pub(super) fn count_arrivals(&self, campaign: i64, batch: i64, count: i64) {
        self.seen.shifts.borrow_mut().entry(campaign).or_default().stock += count;
        *self.seen.arrivals.borrow_mut().entry(batch).or_default() += count;
    }

    /// Writes the counts that have come together; before the commit, and before they are read.
    pub(super) fn flush(&self) -> rusqlite::Result<()> {
        for (campaign, shift) in self.seen.shifts.take() {
            self.statement(
                "UPDATE campaign SET stock = stock + ?2, issued = issued + ?3, \
                 redeemed = redeemed + ?4, void = void + ?5, cold_issued = cold_issued + ?6, \
                 cold_redeemed = cold_redeemed + ?7, cold_void = cold_void + ?8 \
                 WHERE number = ?1",
            )?
            .execute(params![
                campaign,
                shift.stock,
                shift.issued,
                shift.redeemed,
                shift.void,
                shift.cold_issued,
                shift.cold_redeemed,
                shift.cold_void
            ])?;
        }
        for (batch, count) in self.seen.arrivals.take() {
            self.statement("UPDATE batch SET count = count + ?2 WHERE number = ?1")?
                .execute(params![batch, count])?;
        }
        Ok(())
    }
}
