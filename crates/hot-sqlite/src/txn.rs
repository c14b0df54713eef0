//! One transaction, or one read transaction, and what was looked up in it already. It names no
//! feature of the store.
//!
//! A transaction reads each campaign, batch and seal once, however many of their coupons it
//! changes. It forgets them at its end: other processes write the same file. It adds up counts in
//! memory and writes them once, before the commit.
//!
//! A reader remembers campaigns, batches and seals between read transactions. Triggers raise a
//! number in `setting` with every change of them, also by another process. A read transaction that
//! finds the same number has the same terms. So a look-up reads one small row instead of three
//! large ones.

pub(crate) mod audit;
mod counts;
mod dictionary;
pub(crate) mod events;
mod lookups;
mod offers;
mod seen;
mod told;
pub(crate) mod worth;

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use coupon::coupon::Coupon;
use coupon::time::Millis;
use hot::audit::{Act, AuditEvent, AuditKind};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};
use rusqlite::{Result as SqlResult, types::FromSql};

use crate::cold::{ColdKey, ColdRequest, Prefetched};
use crate::columns::unsigned;
use crate::failure::{ColdMiss, damaged, ours};
use counts::{CampaignShift, CountShifts};
pub(crate) use offers::SerialOffer;
pub(crate) use seen::CachedRows;
use seen::keep;

/// The setting with the number of changes of terms; none before the first change.
const TERMS_REVISION: &str = "terms_revision";

/// The largest sum of what redemptions cost: every reader of JSON has it exactly.
const SPENT_MAX: i64 = (1 << 53) - 1;

pub(crate) struct Txn<'a> {
    pub(crate) conn: &'a Connection,
    /// Shared by all jobs of the transaction.
    seen: &'a CachedRows,
    /// Whether what was seen is known to be true in this transaction.
    are_terms_checked: Cell<bool>,
    /// What this job has fetched from cold.
    prefetched: Option<&'a Prefetched>,
    /// What this job needs from cold and has not fetched.
    wanted: RefCell<Vec<ColdRequest>>,
}

/// Runs one of the statements around a transaction, which each connection prepares once.
pub(crate) fn bound(conn: &Connection, sql: &str) -> SqlResult<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Rolls a transaction back. SQLite may have done so by itself after an error.
pub(crate) fn roll_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = bound(conn, "ROLLBACK")
    {
        tracing::error!(error = %error, "a rollback failed");
    }
}

impl<'a> Txn<'a> {
    /// A transaction in which nothing that can change has been looked up yet.
    pub(crate) fn new(conn: &'a Connection, seen: &'a CachedRows) -> Txn<'a> {
        Txn::of_reader(conn, seen, true)
    }

    /// A read transaction of a reader that had others before.
    pub(crate) fn of_reader(
        conn: &'a Connection,
        seen: &'a CachedRows,
        are_terms_checked: bool,
    ) -> Txn<'a> {
        let are_terms_checked = Cell::new(are_terms_checked);
        Txn { conn, seen, are_terms_checked, prefetched: None, wanted: RefCell::default() }
    }

    /// The same transaction for a job that has fetched coupons from cold.
    pub(crate) fn with_prefetched<'b>(&'b self, prefetched: &'b Prefetched) -> Txn<'b> {
        let txn = Txn::of_reader(self.conn, self.seen, self.are_terms_checked());
        Txn { prefetched: Some(prefetched), ..txn }
    }

    pub(crate) fn are_terms_checked(&self) -> bool {
        self.are_terms_checked.get()
    }

    pub(crate) fn wanted(&self) -> Vec<ColdRequest> {
        self.wanted.take()
    }

    /// The error [`ColdMiss::Wanted`] if this job has not fetched the code yet.
    pub(crate) fn in_cold(&self, spot: ColdKey) -> SqlResult<Option<&'a Coupon>> {
        match self.prefetched.and_then(|prefetched| prefetched.coupon(&spot)) {
            Some(found) => Ok(found),
            None => {
                // The last one of a partition whose coupons were removed here; 0 before the first.
                let sql = "SELECT archive_commit FROM partition_plan WHERE expiry_day = ?1";
                let archive_commit = self.first(sql, [spot.0.0], |row| unsigned(row, 0))?;
                self.wanted.borrow_mut().push((spot, archive_commit.unwrap_or(0)));
                Err(ours(ColdMiss::Wanted))
            }
        }
    }

    pub(crate) fn statement(&self, sql: &str) -> SqlResult<CachedStatement<'_>> {
        self.seen.statements.fetch_add(1, Ordering::Relaxed);
        self.conn.prepare_cached(sql)
    }

    /// Runs a statement that has no rows.
    pub(crate) fn run(&self, sql: &str, values: impl Params) -> SqlResult<()> {
        self.change(sql, values).map(drop)
    }

    /// The same, and how many rows it changes.
    pub(crate) fn change(&self, sql: &str, values: impl Params) -> SqlResult<usize> {
        self.statement(sql)?.execute(values)
    }

    /// The number of the row that a statement inserts.
    pub(crate) fn insert(&self, sql: &str, values: impl Params) -> SqlResult<i64> {
        self.statement(sql)?.insert(values)
    }

    /// The one value that a statement finds.
    pub(crate) fn one<T: FromSql>(&self, sql: &str, values: impl Params) -> SqlResult<T> {
        self.statement(sql)?.query_row(values, |row| row.get(0))
    }

    pub(crate) fn first<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> SqlResult<T>,
    ) -> SqlResult<Option<T>> {
        self.statement(sql)?.query_row(values, read).optional()
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> SqlResult<T>,
    ) -> SqlResult<Vec<T>> {
        self.statement(sql)?.query_map(values, read)?.collect()
    }

    pub(crate) fn setting(&self, name: &str) -> SqlResult<Option<String>> {
        self.first("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0))
    }

    pub(crate) fn setting_number(&self, name: &str) -> SqlResult<Option<u64>> {
        let text = self.setting(name)?;
        text.map(|text| text.parse().map_err(|why| damaged(name, why))).transpose()
    }

    /// What was seen, without what is not true in this transaction.
    fn seen(&self) -> SqlResult<&'a CachedRows> {
        if !self.are_terms_checked.get() {
            let now = self.setting(TERMS_REVISION)?;
            if *self.seen.revision.borrow() != now {
                self.seen.forget();
                self.seen.revision.replace(now);
            }
            self.are_terms_checked.set(true);
        }
        Ok(self.seen)
    }

    /// What SQLite says of the file: a number.
    pub(crate) fn pragma(&self, name: &str) -> SqlResult<u64> {
        self.conn.pragma_query_value(None, name, |row| row.get(0)).map(i64::unsigned_abs)
    }

    /// To be called after a change of a campaign, a batch or a seal: later jobs must see it.
    pub(crate) fn forget_terms(&self) {
        self.seen.forget();
        self.forget_offers();
    }

    /// The number of the next new row of a batch: `first` the first time, and then one more each time.
    pub(crate) fn next_number(
        &self,
        batch: i64,
        first: impl FnOnce() -> SqlResult<i64>,
    ) -> SqlResult<i64> {
        let known = self.seen.next_numbers.borrow().get(&batch).copied();
        let number = known.map_or_else(first, Ok)?;
        keep(&self.seen.next_numbers, batch, &(number + 1));
        Ok(number)
    }

    pub(crate) fn counts(&self) -> &CountShifts {
        &self.seen.counts
    }

    /// Writes the counts, the cursors and the events: before the commit, and before they are read.
    pub(crate) fn flush(&self) -> SqlResult<()> {
        self.write_events()?;
        self.write_cursors()?;
        for (campaign, CampaignShift { stock, states, spent, at }) in self.seen.counts.shifts.take()
        {
            let ([issued, redeemed, void], cold) = (states.all, states.cold);
            self.run(
                "UPDATE campaign SET stock = stock + ?2, issued = issued + ?3, \
                 redeemed = redeemed + ?4, void = void + ?5, cold_issued = cold_issued + ?6, \
                 cold_redeemed = cold_redeemed + ?7, cold_void = cold_void + ?8, \
                 spent = max(min(spent + ?9, ?10), 0) WHERE number = ?1",
                params![
                    campaign, stock, issued, redeemed, void, cold[0], cold[1], cold[2], spent,
                    SPENT_MAX
                ],
            )?;
            // Only after a transaction that took more than it brought: else it was sold out before.
            if let Some(at) = at.filter(|_| stock < issued + redeemed + void) {
                self.tell_if_sold_out(campaign, at)?;
            }
        }
        for (batch, count) in self.seen.counts.arrivals.take() {
            let sql = "UPDATE batch SET count = count + ?2 WHERE number = ?1";
            self.run(sql, params![batch, count])?;
        }
        for (campaign, worth) in self.seen.counts.untold.take() {
            self.add_worth_of_all_time(campaign, &worth)?;
        }
        Ok(())
    }

    /// Runs a part of the transaction, and takes back what it wrote unless `is_kept` says so of its result. What other
    /// jobs of the group wrote stays. `body` may fail, or want coupons of cold, after it has written.
    pub(crate) fn part<T>(
        &self,
        body: impl FnOnce(&Self) -> SqlResult<T>,
        is_kept: impl FnOnce(&T) -> bool,
    ) -> SqlResult<T> {
        // What was collected so far is not of this part.
        self.flush()?;
        bound(self.conn, "SAVEPOINT part")?;
        let ended = body(self);
        if !ended.as_ref().is_ok_and(is_kept) {
            bound(self.conn, "ROLLBACK TO part")?;
            // Numbers that it gave to names are gone with it.
            self.seen.forget_all();
        }
        bound(self.conn, "RELEASE part")?;
        ended
    }

    /// What the live redemptions of a campaign cost, also those of earlier jobs of this group.
    pub(crate) fn spent(&self, campaign: i64) -> SqlResult<u64> {
        let written: i64 = self.one("SELECT spent FROM campaign WHERE number = ?1", [campaign])?;
        Ok((written + self.counts().spent(campaign)).max(0).unsigned_abs())
    }

    /// To be called after coupons of a campaign have left its stock.
    fn tell_if_sold_out(&self, campaign: i64, at: Millis) -> SqlResult<()> {
        let sql = "SELECT stock - issued - redeemed - void FROM campaign WHERE number = ?1";
        if self.first(sql, [campaign], |row| row.get::<_, i64>(0))? != Some(0) {
            return Ok(());
        }
        let id = self.campaign_at(campaign)?.terms.id.clone();
        let event = AuditEvent::of_campaign(AuditKind::CampaignSoldOut, &id, Vec::new());
        self.audit(&Act::of_system("store", at), &event)
    }
}
