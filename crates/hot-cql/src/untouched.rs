//! Finds the serials of a run that are untouched, for lists of codes, which may have millions.
//!
//! Most codes have no row, so a *scan* does not read code by code: one statement reads the codes of
//! all rows of many buckets. What it found about later serials is kept for the next page. While a
//! partition closes, its rows are deleted, so each code is traced. If a partition has many more
//! rows than the caller has codes, each code is looked up.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::minted::{CodeKey, KeyId};
use coupon::time::Day;
use hot::bounded_join;
use hot::protocol::Promise;
use parking_lot::Mutex;
use scylla::response::PagingState;
use tokio::time::Instant;

use super::CqlStore;
use super::coupons::{BUCKETS_OF_A_READ, CouponTrace};
use super::partitions::PlanRow;
use super::values::{date, parsed};
use cql_session::{Result, StatementProfile};

const STATEMENTS_AT_ONCE: usize = 8;

const CODES_AT_ONCE: usize = 64;

/// Fewer codes than this are looked up one by one.
pub(super) const SCANNED_MIN: usize = 64;

/// Serials that the first scan of a list covers, ...
const AHEAD_FIRST: u64 = 1 << 16;

/// ... and later scans of a long list: each reads all rows of the partition, and keeps those that
/// it covers, some 16 bytes each.
const AHEAD_MAX: u64 = 1 << 20;

/// Rows that a scan may read for each serial that it covers; beyond it, looking up is cheaper.
const ROWS_A_SERIAL: u64 = 8;

/// How long the result of a scan is kept for the next page.
const WAITS: Duration = Duration::from_secs(10);

/// Lists that are read at a time; one more makes its scan again.
const LISTS_MAX: usize = 16;

#[derive(Debug)]
struct UntouchedScan {
    key: KeyId,
    day: Day,
    serials: Range<u64>,
    /// How many serials the scan covered.
    looked_at: u64,
    touched: HashSet<u64>,
    at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct ScanCache(Mutex<Vec<UntouchedScan>>);

impl ScanCache {
    /// Takes the result that is kept for a list that continues at `serial`. A list that begins
    /// there gets none: it has to read the present state.
    fn take(&self, run: &MintedRun, serial: u64) -> Option<UntouchedScan> {
        let mut all = self.0.lock();
        all.retain(|known| known.at.elapsed() < WAITS);
        let of = |it: &UntouchedScan| {
            it.key == run.key && it.day == run.day && it.serials.start == serial
        };
        let at = all.iter().position(of)?;
        Some(all.swap_remove(at))
    }

    fn put(&self, known: UntouchedScan) {
        let mut all = self.0.lock();
        if all.len() >= LISTS_MAX {
            all.remove(0);
        }
        all.push(known);
    }
}

impl CqlStore {
    /// The touched ones of these serials, from a scan; `None` if a scan does not pay.
    pub(super) async fn scanned(
        &self,
        key: &CodeKey,
        run: &MintedRun,
        serials: Range<u64>,
    ) -> Result<Option<HashSet<u64>>> {
        let waiting = self.ahead.take(run, serials.start);
        let before = waiting.as_ref().map_or(AHEAD_FIRST / 4, |known| known.looked_at);
        let known = match waiting.filter(|known| known.serials.end >= serials.end) {
            Some(known) => known,
            None => {
                let looked_at = (before * 4).min(AHEAD_MAX);
                let end = serials.end.max(serials.start.saturating_add(looked_at));
                let end = end.min(run.first + run.count);
                let window = serials.start..end;
                let Some(touched) = self.touched(key, run.day, &window).await? else {
                    return Ok(None);
                };
                let (key, day, at) = (run.key, run.day, Instant::now());
                UntouchedScan { key, day, serials: window, looked_at, touched, at }
            }
        };
        let touched = serials.clone().filter(|it| known.touched.contains(it)).collect();
        // Also if nothing is left of it: the next scan of this list is longer.
        if serials.end < run.first + run.count {
            let serials = serials.end..known.serials.end;
            self.ahead.put(UntouchedScan { serials, ..known });
        }
        Ok(Some(touched))
    }

    /// The serials of `window` whose codes have a row; `None` if rows may have been deleted, or
    /// there are too many.
    async fn touched(
        &self,
        key: &CodeKey,
        day: Day,
        window: &Range<u64>,
    ) -> Result<Option<HashSet<u64>>> {
        let Some(bits) = self.bits(day).await? else { return Ok(Some(HashSet::new())) };
        let buckets: Vec<i32> = (0..1_i32 << bits).collect();
        let mut groups = buckets.chunks(BUCKETS_OF_A_READ);
        let Some(first) = groups.next() else { return Ok(None) };
        let rows_max = (window.end - window.start).saturating_mul(ROWS_A_SERIAL);
        let rows_max = rows_max / buckets.len().div_ceil(BUCKETS_OF_A_READ) as u64;
        // The other groups have about as many: codes are spread evenly.
        let Some(mut touched) = self.touched_in(key, day, first, window, rows_max).await? else {
            return Ok(None);
        };
        let others = groups.map(|buckets| self.touched_in(key, day, buckets, window, u64::MAX));
        for some in bounded_join(STATEMENTS_AT_ONCE, others).await? {
            touched.extend(some.into_iter().flatten());
        }
        // Read after the rows: a partition that is not closing by now had lost none of them.
        Ok((!self.plan_is(day, PlanRow::is_closing).await?).then_some(touched))
    }

    async fn touched_in(
        &self,
        key: &CodeKey,
        day: Day,
        buckets: &[i32],
        window: &Range<u64>,
        rows_max: u64,
    ) -> Result<Option<HashSet<u64>>> {
        let cql = "SELECT code FROM coupon WHERE expiry_day = ? AND bucket IN ? AND code >= ''";
        let (mut touched, mut rows_read) = (HashSet::new(), 0_u64);
        let mut from = Some(PagingState::start());
        while let Some(state) = from {
            let values = (date(day), buckets);
            let (rows, next) = self.session.page::<(String,)>(cql, values, state).await?;
            rows_read += rows.len() as u64;
            if rows_read > rows_max {
                return Ok(None);
            }
            for (code,) in &rows {
                let code: Code = parsed("code", code)?;
                let minted = key.open(&code).filter(|minted| minted.day == day);
                touched.extend(minted.map(|it| it.serial).filter(|it| window.contains(it)));
            }
            from = next;
        }
        Ok(Some(touched))
    }

    /// One read for each code, and in a partition that is closing as many as it takes.
    pub(super) async fn looked_up(&self, run: &MintedRun, codes: Vec<Code>) -> Result<Vec<bool>> {
        let rows = codes.iter().map(|code| async move {
            let Some(bucket) = self.bucket(run.day, code).await? else { return Ok(false) };
            Ok(self.row_of(StatementProfile::Read, run.day, bucket, code).await?.is_some())
        });
        let touched: Vec<bool> = bounded_join(CODES_AT_ONCE, rows).await?;
        // Read after the rows, as above.
        if !self.plan_is(run.day, PlanRow::is_closing).await? {
            return Ok(touched.into_iter().map(|touched| !touched).collect());
        }
        let traces = codes.iter().map(|code| self.trace(run.day.into(), code));
        let traces: Vec<CouponTrace> = bounded_join(CODES_AT_ONCE, traces).await?;
        let mut untouched = Vec::with_capacity(codes.len());
        let mut in_cold = Vec::new();
        for (at, trace) in traces.into_iter().enumerate() {
            untouched.push(matches!(trace, CouponTrace::Nothing));
            // Without a row in a sealed bucket only cold knows. A marker needs no look.
            if let CouponTrace::InCold { archived_marker: None, promise: Promise::None, .. } =
                &trace
            {
                in_cold.push((at, trace));
            }
        }
        let (positions, traces): (Vec<usize>, Vec<CouponTrace>) = in_cold.into_iter().unzip();
        for (at, found) in positions.into_iter().zip(self.resolve(traces).await?) {
            untouched[at] = found.is_none();
        }
        Ok(untouched)
    }
}

/// The serials of `codes`, if each is one more than the one before it.
pub(super) fn in_a_row(key: &CodeKey, codes: &[Code]) -> Option<Range<u64>> {
    let first = key.open(codes.first()?)?.serial;
    let is_next = |(at, code): (usize, &Code)| {
        key.open(code).is_some_and(|minted| minted.serial == first + at as u64)
    };
    codes.iter().enumerate().all(is_next).then(|| first..first + codes.len() as u64)
}
