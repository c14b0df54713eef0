//! Slices of index rows: those of a user, or those of a day, merged from its CQL partitions.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use hot::{ListOrder, ListPosition, ListQuery, bounded_join};
use scylla::value::{CqlDate, CqlTimestamp};

use crate::CqlStore;
use crate::spread::SpreadKey;
use crate::values::{date, day, instant, millis, parsed, signed};
use cql_session::{Result, StatementProfile};

/// Index rows that are read at a time from one CQL partition.
pub(super) const SLICE: i32 = 250;

/// CQL partitions of one day that are read at a time: most days have no more.
const PARTITIONS_AT_ONCE: usize = 16;

/// An expiry beyond any coupon's, in both directions.
const FAR: i64 = i64::MAX / 4;

/// Where a coupon may be, and its position in the list.
#[derive(Clone, Debug)]
pub(super) struct IndexRow {
    pub(super) expires_at: Millis,
    pub(super) tie: i64,
    pub(super) code: Code,
    pub(super) day: Day,
    pub(super) campaign: Option<String>,
}

type RawIndexRow = (CqlTimestamp, i64, String, CqlDate, Option<String>);

/// Open bounds of (expires_at, tie).
#[derive(Clone, Copy, Debug)]
pub(super) struct SliceBounds {
    pub(super) above: (Millis, i64),
    pub(super) below: (Millis, i64),
}

impl SliceBounds {
    pub(super) fn of(query: &ListQuery) -> SliceBounds {
        let span = &query.filter.expires;
        let above = span.from.map_or(Millis(-FAR), |from| from.plus_ms(-1));
        let below = span.before.unwrap_or(Millis(FAR));
        let mut bounds = SliceBounds { above: (above, i64::MAX), below: (below, i64::MIN) };
        bounds.behind(query.order, query.after.as_ref());
        bounds
    }

    pub(super) fn behind(&mut self, order: ListOrder, after: Option<&ListPosition>) {
        let Some(after) = after else { return };
        let at = (after.expires_at, signed(after.tie));
        match order {
            ListOrder::Soonest => self.above = self.above.max(at),
            ListOrder::Latest => self.below = self.below.min(at),
        }
    }

    /// Whether a coupon that expires on `on` can be inside.
    pub(super) fn touches(&self, on: Day) -> bool {
        on.end() >= self.above.0 && Day(on.0 - 1).end() < self.below.0
    }
}

impl CqlStore {
    pub(super) async fn wallet_slice(
        &self,
        user: &UserId,
        bounds: &SliceBounds,
        order: ListOrder,
    ) -> Result<Vec<IndexRow>> {
        let cql = match order {
            ListOrder::Soonest => {
                "SELECT expires_at, tie, code, expiry_day FROM wallet WHERE user_id = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at ASC, tie ASC, code ASC LIMIT ?"
            }
            ListOrder::Latest => {
                "SELECT expires_at, tie, code, expiry_day FROM wallet WHERE user_id = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at DESC, tie DESC, code DESC LIMIT ?"
            }
        };
        let SliceBounds { above: (from, above), below: (until, below) } = *bounds;
        let values = (user.as_str(), instant(from), above, instant(until), below, SLICE);
        let rows: Vec<(CqlTimestamp, i64, String, CqlDate)> =
            self.session.rows(StatementProfile::Read, cql, values).await?;
        let rows = rows.into_iter().map(|(at, tie, code, on)| (at, tie, code, on, None));
        rows.map(index_row).collect()
    }

    /// The next index rows of a day in their order, and whether they are the last.
    pub(super) async fn day_slice(
        &self,
        on: Day,
        bounds: &SliceBounds,
        order: ListOrder,
    ) -> Result<(Vec<IndexRow>, bool)> {
        let cql = match order {
            ListOrder::Soonest => {
                "SELECT expires_at, tie, code, expiry_day, campaign_id FROM expiring \
                 WHERE expires_on = ? AND shard = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at ASC, tie ASC, code ASC LIMIT ?"
            }
            ListOrder::Latest => {
                "SELECT expires_at, tie, code, expiry_day, campaign_id FROM expiring \
                 WHERE expires_on = ? AND shard = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at DESC, tie DESC, code DESC LIMIT ?"
            }
        };
        let SliceBounds { above: (from, above), below: (until, below) } = *bounds;
        let (from, until) = (instant(from), instant(until));
        let partitions = self.cql_partitions(&SpreadKey::Expiring { on }).await?;
        let rows_max = slice_of(partitions.len());
        let slices = partitions.into_iter().map(|partition| {
            let values = (date(on), partition, from, above, until, below, rows_max);
            self.session.rows::<RawIndexRow>(StatementProfile::Read, cql, values)
        });
        let slices: Vec<Vec<RawIndexRow>> = bounded_join(PARTITIONS_AT_ONCE, slices).await?;
        merged(slices, rows_max, order)
    }
}

/// Merges slices of `rows_max` rows at most; whether none of them was cut.
fn merged(
    slices: Vec<Vec<RawIndexRow>>,
    rows_max: i32,
    order: ListOrder,
) -> Result<(Vec<IndexRow>, bool)> {
    let mut merged: BTreeMap<(Millis, i64, Code), IndexRow> = BTreeMap::new();
    // A slice that is full may not have all rows: its CQL partition may have more after its end.
    let mut until: Option<(Millis, i64)> = None;
    for slice in slices {
        if slice.len() == rows_max as usize
            && let Some((at, tie, ..)) = slice.last()
        {
            let end = (millis(*at), *tie);
            until = Some(match (until, order) {
                (None, _) => end,
                (Some(other), ListOrder::Soonest) => other.min(end),
                (Some(other), ListOrder::Latest) => other.max(end),
            });
        }
        for row in slice {
            let index_row = index_row(row)?;
            merged.insert((index_row.expires_at, index_row.tie, index_row.code.clone()), index_row);
        }
    }
    let inside = |index_row: &IndexRow| {
        let at = (index_row.expires_at, index_row.tie);
        until.is_none_or(|until| match order {
            ListOrder::Soonest => at <= until,
            ListOrder::Latest => at >= until,
        })
    };
    let mut index_rows: Vec<IndexRow> = merged.into_values().filter(inside).collect();
    if order == ListOrder::Latest {
        index_rows.reverse();
    }
    Ok((index_rows, until.is_none()))
}

/// Rows that are read at a time from each of so many CQL partitions: the more there are the fewer,
/// since all of them are merged in memory.
fn slice_of(partitions: usize) -> i32 {
    let many = i32::try_from(partitions / PARTITIONS_AT_ONCE).unwrap_or(i32::MAX);
    (SLICE / many.max(1)).clamp(8, SLICE)
}

fn index_row((at, tie, code, on, campaign): RawIndexRow) -> Result<IndexRow> {
    let code = parsed("code", &code)?;
    Ok(IndexRow { expires_at: millis(at), tie, code, day: day(on), campaign })
}

pub(super) fn position(index_row: &IndexRow) -> ListPosition {
    ListPosition { expires_at: index_row.expires_at, tie: index_row.tie.unsigned_abs() }
}
