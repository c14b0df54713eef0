//! The rows and archived markers of one partition in the order of their codes, as the compactor and
//! `verify` read them.
//!
//! An index has coupons of minted batches in this order. It does not have those of imported batches:
//! their rows are collected once, when the reading of a partition begins, and sorted. A row that comes
//! later is not among them; one that is gone is passed over. So nothing is missed in a sealed partition,
//! where no rows come, and a `verify` sees an open one as it was.
//!
//! An imported coupon is in the partition of its expiry, or of that of its batch: the column
//! `expiry_day` is not read. So a row in which one of them is wrong is found, too.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coupon::time::{Day, Millis};
use rusqlite::params;

use crate::columns::unsigned;
use crate::rows::{self, batch_of, first_number, numbers_of};
use crate::sorted_rows::{Entry, Sorted, Unsorted};
use crate::txn::Txn;

/// Rows that one transaction walks over: some 20 ms.
const WALK_MAX: i64 = 20_000;

/// How long an order is kept for a reader who does not come back.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// What a partition has of a code.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// A row by its number.
    Row(i64),
    /// A row that was there when rows were collected, and may be gone or elsewhere.
    Collected(i64),
    /// An archived marker by its version.
    ArchivedMarker(u64),
}

/// A code, and what its partition has of it.
pub(crate) type OfCode = (String, Found);

/// The instants after which, and until which, the coupons of a partition expire: midnight belongs to
/// the day before.
pub(crate) fn expiries(day: Day) -> (Millis, Millis) {
    (day.start(), day.end())
}

/// The next imported batch from `from` on that expires on the day.
fn next_import(txn: &Txn<'_>, day: Day, from: i64) -> rusqlite::Result<Option<i64>> {
    let (after, until) = expiries(day);
    txn.first(
        "SELECT min(number) FROM batch WHERE number >= ?1 AND key_id IS NULL \
         AND expires_at > ?2 AND expires_at <= ?3",
        params![from, after.0, until.0],
        |row| row.get(0),
    )
    .map(Option::flatten)
}

/// How many rows of imported batches a partition has.
pub(crate) fn count_imported(txn: &Txn<'_>, day: Day) -> rusqlite::Result<u64> {
    let (after, until) = expiries(day);
    let mut count = txn
        .statement(
            "SELECT count(*) FROM coupon INDEXED BY coupon_by_expiry WHERE expires_at IS NOT NULL \
             AND expires_at > ?1 AND expires_at <= ?2 AND number & 34359738368 <> 0",
        )?
        .query_row([after.0, until.0], |row| unsigned(row, 0))?;
    let mut from = 0;
    while let Some(batch) = next_import(txn, day, from)? {
        let numbers = numbers_of(batch);
        count += txn
            .statement(
                "SELECT count(*) FROM coupon NOT INDEXED \
                 WHERE number BETWEEN ?1 AND ?2 AND expires_at IS NULL",
            )?
            .query_row([numbers.start(), numbers.end()], |row| unsigned(row, 0))?;
        from = batch + 1;
    }
    Ok(count)
}

/// Which rows of imported batches come next.
enum Next {
    /// Those that expire with their batch, after this number.
    OfBatches(i64),
    /// Those that have an expiry of their own, after this one and this number.
    OwnExpiry(Millis, i64),
}

/// A walk over the rows of imported batches of a partition.
struct Imported {
    day: Day,
    next: Next,
}

impl Imported {
    fn of(day: Day) -> Imported {
        Imported { day, next: Next::OfBatches(0) }
    }

    /// Shows the next rows to `see`, and returns whether there may be more.
    fn walk(&mut self, txn: &Txn<'_>, see: &mut dyn FnMut(&str, i64)) -> rusqlite::Result<bool> {
        match self.next {
            Next::OfBatches(after) => self.walk_batches(txn, after, see).map(|()| true),
            Next::OwnExpiry(expires_at, number) => self.walk_own(txn, expires_at, number, see),
        }
    }

    fn walk_batches(
        &mut self,
        txn: &Txn<'_>,
        after: i64,
        see: &mut dyn FnMut(&str, i64),
    ) -> rusqlite::Result<()> {
        let Some(batch) = next_import(txn, self.day, batch_of(after))? else {
            let (expires_after, _) = expiries(self.day);
            self.next = Next::OwnExpiry(expires_after, i64::MAX);
            return Ok(());
        };
        let end = *numbers_of(batch).end();
        let mut statement = txn.statement(
            "SELECT number, code, expires_at IS NULL FROM coupon NOT INDEXED \
             WHERE number > ?1 AND number <= ?2 ORDER BY number LIMIT ?3",
        )?;
        let from = after.max(first_number(batch, true));
        let mut found = statement.query(params![from, end, WALK_MAX])?;
        let (mut looked_at, mut last) = (0, from);
        while let Some(row) = found.next()? {
            (looked_at, last) = (looked_at + 1, row.get(0)?);
            if row.get(2)? {
                see(row.get_ref(1)?.as_str()?, last);
            }
        }
        // The end of the batch leads to the next one.
        self.next = Next::OfBatches(if looked_at == WALK_MAX { last } else { end + 1 });
        Ok(())
    }

    fn walk_own(
        &mut self,
        txn: &Txn<'_>,
        expires_at: Millis,
        number: i64,
        see: &mut dyn FnMut(&str, i64),
    ) -> rusqlite::Result<bool> {
        let (_, until) = expiries(self.day);
        let mut statement = txn.statement(
            "SELECT expires_at, number, code FROM coupon INDEXED BY coupon_by_expiry \
             WHERE expires_at IS NOT NULL AND (expires_at, number) > (?1, ?2) \
             AND expires_at <= ?3 ORDER BY expires_at, number LIMIT ?4",
        )?;
        let mut found = statement.query(params![expires_at.0, number, until.0, WALK_MAX])?;
        let mut looked_at = 0;
        while let Some(row) = found.next()? {
            let number = row.get(1)?;
            looked_at += 1;
            self.next = Next::OwnExpiry(Millis(row.get(0)?), number);
            if rows::is_imported(number) {
                see(row.get_ref(2)?.as_str()?, number);
            }
        }
        Ok(looked_at == WALK_MAX)
    }
}

/// The numbers of imported rows of a partition that have these codes, wherever the directory leads. Reads
/// all imported rows of the partition.
pub(crate) fn imported_rows(
    txn: &Txn<'_>,
    day: Day,
    codes: &HashSet<&str>,
) -> rusqlite::Result<Vec<(String, i64)>> {
    let (mut rows, mut found) = (Imported::of(day), Vec::new());
    let mut see = |code: &str, number| {
        if codes.contains(code) {
            found.push((code.to_owned(), number));
        }
    };
    while rows.walk(txn, &mut see)? {}
    Ok(found)
}

/// Rows of imported batches of a partition, while they are collected.
pub(crate) struct Collecting {
    left: Imported,
    rows: Unsorted,
}

impl Collecting {
    pub(crate) fn begin(day: Day, folder: &Path) -> Collecting {
        Collecting { left: Imported::of(day), rows: Unsorted::new(folder) }
    }

    /// Collects the next rows, and returns whether there may be more.
    pub(crate) fn collect(&mut self, txn: &Txn<'_>) -> rusqlite::Result<bool> {
        let Collecting { left, rows } = self;
        left.walk(txn, &mut |code, number| rows.push((code.to_owned(), number)))
    }

    /// Makes room in memory. To be called outside of transactions.
    pub(crate) fn relieve(&mut self) -> io::Result<()> {
        self.rows.relieve()
    }

    /// The order after the code `after`.
    pub(crate) fn sorted(self, after: &str) -> io::Result<DayOrder> {
        let mut sorted = self.rows.sorted()?;
        let mut ahead = VecDeque::new();
        while let Some(entry) = sorted.next()? {
            if entry.0.as_str() > after {
                ahead.push_back(entry);
                break;
            }
        }
        Ok(DayOrder { day: self.left.day, after: after.to_owned(), sorted, ahead })
    }
}

/// A partition in the order of its codes.
pub(crate) struct DayOrder {
    day: Day,
    /// The last code of the last page.
    after: String,
    sorted: Sorted,
    /// The next ones of `sorted`.
    ahead: VecDeque<Entry>,
}

impl DayOrder {
    /// Reads ahead for a page of `limit`. To be called outside of transactions.
    pub(crate) fn read_ahead(&mut self, limit: usize) -> io::Result<()> {
        while self.ahead.len() < limit
            && let Some(entry) = self.sorted.next()?
        {
            self.ahead.push_back(entry);
        }
        Ok(())
    }

    /// The next page: `limit` rows and archived markers, fewer at the end, and one more if the last code
    /// has both.
    pub(crate) fn page(&mut self, txn: &Txn<'_>, limit: usize) -> rusqlite::Result<Vec<OfCode>> {
        let asked = params![self.day.0, self.after, limit as i64];
        let mut found: Vec<OfCode> = txn.all(
            concat!(
                "SELECT code, number FROM coupon INDEXED BY coupon_by_code WHERE ",
                rows::is_minted!(),
                " AND expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3"
            ),
            asked,
            |row| Ok((row.get(0)?, Found::Row(row.get(1)?))),
        )?;
        let imported = self.ahead.iter().take(limit);
        found.extend(imported.map(|(code, number)| (code.clone(), Found::Collected(*number))));
        found.extend(txn.all(
            "SELECT code, version FROM archived_marker \
             WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
            asked,
            |row| Ok((row.get(0)?, Found::ArchivedMarker(unsigned(row, 1)?))),
        )?);
        // A row before an archived marker of the same code.
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let Some((last, _)) = limit.checked_sub(1).and_then(|last| found.get(last)) {
            // At most `limit` of all together, so that no code before the last one is left out.
            let last = last.clone();
            found.retain(|(code, _)| *code <= last);
        }
        if let Some((last, _)) = found.last() {
            self.after.clone_from(last);
            while self.ahead.front().is_some_and(|(code, _)| *code <= self.after) {
                self.ahead.pop_front();
            }
        }
        Ok(found)
    }
}

/// Orders between two pages.
#[derive(Default)]
pub(crate) struct DayOrders(Mutex<Vec<(Instant, DayOrder)>>);

impl DayOrders {
    /// The order of a reader who has read up to `after`.
    pub(crate) fn take(&self, day: Day, after: &str) -> Option<DayOrder> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(since, _)| since.elapsed() < KEPT);
        let at = kept.iter().position(|(_, it)| it.day == day && it.after == after)?;
        Some(kept.swap_remove(at).1)
    }

    pub(crate) fn keep(&self, order: DayOrder) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((Instant::now(), order));
    }
}
