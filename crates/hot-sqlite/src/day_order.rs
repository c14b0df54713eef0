//! The rows and archived markers of one partition in the order of their codes, as the compactor and
//! `verify` read them.
//!
//! No index has rows in this order. They are collected once, when the reading of a partition begins, and
//! sorted. A row that comes later is not among them; one that is gone is skipped. So nothing is missed in a sealed
//! partition, where no rows come, and a `verify` sees an open one as it was.
//!
//! A coupon without an expiry of its own is in the partition of its batch, whatever its column
//! `expiry_day` says: `verify` finds that the column is wrong. All others are found by that column, since
//! a coupon may expire before its partition ends.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use coupon::time::Day;
use parking_lot::Mutex;
use rusqlite::{Result as SqlResult, params};

use crate::columns::unsigned;
use crate::rows::{batch_of, before_first, numbers_of};
use crate::sorted_rows::{SortedEntry, SortedRows, UnsortedRows};
use crate::txn::Txn;

/// Rows that one transaction walks over: some 20 ms.
const WALK_MAX: i64 = 20_000;

/// How long an order is kept for a reader who does not come back.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// Most orders that are kept. Each may have some 11 MB in memory and a file; a reader whose order is not
/// kept collects the rows again.
const KEPT_MAX: usize = 8;

/// What a partition has of a code.
#[derive(Clone, Copy)]
pub(crate) enum PartitionEntry {
    /// A row that was there when rows were collected, and may be gone or elsewhere.
    Row(i64),
    ArchivedMarker(u64),
}

pub(crate) type OfCode = (String, PartitionEntry);

/// The next batch from `from` on that expires on the day. Midnight belongs to the day before.
pub(crate) fn next_batch(txn: &Txn<'_>, day: Day, from: i64) -> SqlResult<Option<i64>> {
    txn.one(
        "SELECT min(number) FROM batch WHERE number >= ?1 AND expires_at > ?2 AND expires_at <= ?3",
        params![from, day.start().0, day.end().0],
    )
}

pub(crate) fn count_rows(txn: &Txn<'_>, day: Day) -> SqlResult<u64> {
    let sql = "SELECT count(*) FROM coupon INDEXED BY coupon_by_day WHERE expires_at IS NOT NULL \
               AND expiry_day = ?1";
    let mut count: i64 = txn.one(sql, [day.0])?;
    let mut from = 0;
    while let Some(batch) = next_batch(txn, day, from)? {
        let numbers = numbers_of(batch);
        let sql = "SELECT count(*) FROM coupon NOT INDEXED \
                   WHERE number BETWEEN ?1 AND ?2 AND expires_at IS NULL";
        count += txn.one::<i64>(sql, [numbers.start(), numbers.end()])?;
        from = batch + 1;
    }
    Ok(count.unsigned_abs())
}

enum Next {
    /// Those that expire with their batch, after this number.
    OfBatches(i64),
    /// Those that have an expiry of their own, after this number.
    OwnExpiry(i64),
}

struct RowWalk {
    day: Day,
    next: Next,
}

impl RowWalk {
    fn of(day: Day) -> RowWalk {
        RowWalk { day, next: Next::OfBatches(0) }
    }

    /// Shows the next rows to `see`, and returns whether there may be more.
    fn walk(&mut self, txn: &Txn<'_>, see: &mut dyn FnMut(&str, i64)) -> SqlResult<bool> {
        match self.next {
            Next::OfBatches(after) => self.walk_batches(txn, after, see).map(|()| true),
            Next::OwnExpiry(after) => self.walk_own(txn, after, see),
        }
    }

    fn walk_batches(
        &mut self,
        txn: &Txn<'_>,
        after: i64,
        see: &mut dyn FnMut(&str, i64),
    ) -> SqlResult<()> {
        let Some(batch) = next_batch(txn, self.day, batch_of(after))? else {
            self.next = Next::OwnExpiry(0);
            return Ok(());
        };
        let end = *numbers_of(batch).end();
        let mut statement = txn.statement(
            "SELECT number, code, expires_at IS NULL FROM coupon NOT INDEXED \
             WHERE number > ?1 AND number <= ?2 ORDER BY number LIMIT ?3",
        )?;
        let from = after.max(before_first(batch));
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
        after: i64,
        see: &mut dyn FnMut(&str, i64),
    ) -> SqlResult<bool> {
        let mut statement = txn.statement(
            "SELECT number, code FROM coupon INDEXED BY coupon_by_day WHERE expires_at IS NOT NULL \
             AND expiry_day = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
        )?;
        let mut found = statement.query(params![self.day.0, after, WALK_MAX])?;
        let mut looked_at = 0;
        while let Some(row) = found.next()? {
            let number = row.get(0)?;
            looked_at += 1;
            self.next = Next::OwnExpiry(number);
            see(row.get_ref(1)?.as_str()?, number);
        }
        Ok(looked_at == WALK_MAX)
    }
}

/// The numbers of rows of a partition that have these codes, wherever the directory leads. Reads all rows of the
/// partition.
pub(crate) fn rows_with(
    txn: &Txn<'_>,
    day: Day,
    codes: &HashSet<&str>,
) -> SqlResult<Vec<(String, i64)>> {
    let (mut rows, mut found) = (RowWalk::of(day), Vec::new());
    let mut see = |code: &str, number| {
        if codes.contains(code) {
            found.push((code.to_owned(), number));
        }
    };
    while rows.walk(txn, &mut see)? {}
    Ok(found)
}

/// Rows of a partition, while they are collected.
pub(crate) struct Collecting {
    left: RowWalk,
    /// To be relieved outside of transactions.
    pub(crate) rows: UnsortedRows,
    is_of_sealed: Option<bool>,
    begun: Instant,
}

impl Collecting {
    pub(crate) fn begin(day: Day, folder: &Path) -> Collecting {
        let (left, rows) = (RowWalk::of(day), UnsortedRows::new(folder));
        Collecting { left, rows, is_of_sealed: None, begun: Instant::now() }
    }

    /// Collects the next rows, and returns whether there may be more.
    pub(crate) fn collect(&mut self, txn: &Txn<'_>) -> SqlResult<bool> {
        let Collecting { left, rows, is_of_sealed, .. } = self;
        if is_of_sealed.is_none() {
            *is_of_sealed = Some(txn.is_sealed(left.day)?);
        }
        left.walk(txn, &mut |code, number| rows.push((code.to_owned(), number)))
    }

    pub(crate) fn sorted(self, after: &str) -> io::Result<DayOrder> {
        let mut sorted = self.rows.sorted()?;
        let mut ahead = VecDeque::new();
        while let Some(entry) = sorted.next()? {
            if entry.0.as_str() > after {
                ahead.push_back(entry);
                break;
            }
        }
        let (day, is_of_sealed) = (self.left.day, self.is_of_sealed == Some(true));
        let (after, begun) = (after.to_owned(), self.begun);
        Ok(DayOrder { day, is_of_sealed, begun, after, sorted, ahead })
    }
}

pub(crate) struct DayOrder {
    day: Day,
    /// Whether the partition was sealed when its rows were collected. Then none came later.
    is_of_sealed: bool,
    begun: Instant,
    /// The last code of the last page.
    pub(crate) after: String,
    sorted: SortedRows,
    /// The next ones of `sorted`.
    ahead: VecDeque<SortedEntry>,
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
    /// has both. `None` if the partition was sealed after its rows were collected: rows that came in between
    /// are missing, and the compactor would remove them without a copy.
    pub(crate) fn page(&mut self, txn: &Txn<'_>, limit: usize) -> SqlResult<Option<Vec<OfCode>>> {
        if !self.is_of_sealed && txn.is_sealed(self.day)? {
            return Ok(None);
        }
        let asked = params![self.day.0, self.after, limit as i64];
        let rows = self.ahead.iter().take(limit);
        let row = |(code, number): &SortedEntry| (code.clone(), PartitionEntry::Row(*number));
        let mut found: Vec<OfCode> = rows.map(row).collect();
        found.extend(txn.all(
            "SELECT code, version FROM archived_marker \
             WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
            asked,
            |row| Ok((row.get(0)?, PartitionEntry::ArchivedMarker(unsigned(row, 1)?))),
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
        Ok(Some(found))
    }
}

/// Orders between two pages, and since when each is kept.
#[derive(Default)]
pub(crate) struct DayOrders(Mutex<VecDeque<(Instant, DayOrder)>>);

impl DayOrders {
    /// The order of a reader who has read up to `after`.
    ///
    /// Several readers may have come as far. The first who comes back gets the order whose rows were collected
    /// last: it lacks nothing that its own has. The others could only get older ones, so they get none.
    pub(crate) fn take(&self, day: Day, after: &str) -> Option<DayOrder> {
        let mut kept = self.0.lock();
        kept.retain(|(since, _)| since.elapsed() < KEPT);
        let is_here = |(_, it): &(Instant, DayOrder)| it.day == day && it.after == after;
        let (here, others): (VecDeque<_>, _) = kept.drain(..).partition(is_here);
        *kept = others;
        here.into_iter().map(|(_, it)| it).max_by_key(|it| it.begun)
    }

    pub(crate) fn keep(&self, order: DayOrder) {
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((Instant::now(), order));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An order of no rows, of a reader who has read up to `after`.
    fn order(folder: &Path, day: i32, after: &str) -> DayOrder {
        Collecting::begin(Day(day), folder).sorted(after).expect("no rows")
    }

    #[test]
    fn nobody_gets_an_older_order_than_his_own() {
        let (folder, orders) = (tempfile::tempdir().expect("a folder"), DayOrders::default());
        let folder = folder.path();
        let (old, new) = (order(folder, 1, "M"), order(folder, 1, "M"));
        let begun = new.begun;
        orders.keep(new);
        // It came later, and is of an earlier reader.
        orders.keep(old);
        orders.keep(order(folder, 1, "N"));
        orders.keep(order(folder, 2, "M"));
        let taken = orders.take(Day(1), "M").expect("there are two");
        assert_eq!(taken.begun, begun, "the one that was collected last");
        assert!(orders.take(Day(1), "M").is_none(), "the other would be too old for its reader");
        assert!(orders.take(Day(1), "N").is_some(), "another place");
        assert!(orders.take(Day(2), "M").is_some(), "another partition");
    }

    #[test]
    fn readers_who_do_not_come_back_leave_few_orders() {
        let (folder, orders) = (tempfile::tempdir().expect("a folder"), DayOrders::default());
        for day in 0..20 {
            orders.keep(order(folder.path(), day, "M"));
        }
        let kept = (0..20).filter(|day| orders.take(Day(*day), "M").is_some());
        let newest: Vec<i32> = (20 - KEPT_MAX as i32..20).collect();
        assert_eq!(kept.collect::<Vec<i32>>(), newest);
    }
}
