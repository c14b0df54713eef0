//! Lists: one index and a bounded number of rows; the filter is applied to each row that was read.

use coupon::time::Millis;
use hot::{
    CouponSnapshot, Instant, ListOrder, ListPosition, ListQuery, ListScope, ListedPage, Predicate,
};
use rusqlite::{Row, ToSql};

use crate::columns::signed;
use crate::coupons::checked;
use crate::rows;
use crate::txn::Txn;

/// Most rows that one page reads: some 20 ms. So a page may have fewer coupons than its limit.
const SCAN_MAX: usize = 5_000;

pub(crate) fn page(txn: &Txn<'_>, query: &ListQuery) -> rusqlite::Result<ListedPage> {
    let Some((sql, values)) = select(txn, query)? else {
        return Ok(ListedPage { coupons: Vec::new(), positions: Vec::new(), next: None });
    };
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let mut statement = txn.statement(&sql)?;
    let mut found = statement.query(&*values)?;
    let (mut coupons, mut positions, mut looked_at) = (Vec::new(), Vec::new(), 0);
    while let Some(row) = found.next()? {
        looked_at += 1;
        let position = position(row)?;
        if let Some(snapshot) = matching(txn, row, query)? {
            coupons.push(snapshot);
            positions.push(position.clone());
        }
        if coupons.len() == query.limit || looked_at == SCAN_MAX {
            // One more row shows whether there is a next page.
            let next = found.next()?.is_some().then_some(position);
            return Ok(ListedPage { coupons, positions, next });
        }
    }
    Ok(ListedPage { coupons, positions, next: None })
}

type Value = Box<dyn ToSql>;

/// The statement for a scope, its span of expiry and its position; `None` for a campaign that
/// does not exist.
fn select(txn: &Txn<'_>, query: &ListQuery) -> rusqlite::Result<Option<(String, Vec<Value>)>> {
    let mut wheres: Vec<&str> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    match &query.scope {
        ListScope::Holder(user) => {
            wheres.push("holder = ?");
            values.push(Box::new(user.to_string()));
        }
        ListScope::Campaign(id) => {
            let Some(campaign) = txn.campaign(id)? else { return Ok(None) };
            wheres.push("campaign = ?");
            values.push(Box::new(campaign.number));
        }
        ListScope::Everybody => {}
    }
    // SQLite would begin its scan at a bound that the position implies, and not at the position.
    let (is_past_from, is_past_before) = match (&query.after, query.order) {
        (Some(_), ListOrder::Soonest) => (true, false),
        (Some(_), ListOrder::Latest) => (false, true),
        (None, _) => (false, false),
    };
    if let Some(from) = query.filter.expires.from.filter(|_| !is_past_from) {
        wheres.push("expires_at >= ?");
        values.push(Box::new(from.0));
    }
    if let Some(before) = query.filter.expires.before.filter(|_| !is_past_before) {
        wheres.push("expires_at < ?");
        values.push(Box::new(before.0));
    }
    if let Some(after) = &query.after {
        wheres.push(match query.order {
            ListOrder::Latest => "(expires_at, number) < (?, ?)",
            ListOrder::Soonest => "(expires_at, number) > (?, ?)",
        });
        values.push(Box::new(after.expires_at.0));
        values.push(Box::new(signed(after.tie)));
    }
    let wheres = if wheres.is_empty() { "1".into() } else { wheres.join(" AND ") };
    let order = match query.order {
        ListOrder::Latest => "expires_at DESC, number DESC",
        ListOrder::Soonest => "expires_at, number",
    };
    let select = rows::select_coupon!(" FROM coupon");
    let sql = format!("{select} WHERE {wheres} ORDER BY {order}");
    Ok(Some((sql, values)))
}

fn position(row: &Row<'_>) -> rusqlite::Result<ListPosition> {
    let tie = row.get::<_, i64>("number")?.unsigned_abs();
    Ok(ListPosition { expires_at: Millis(row.get("expires_at")?), tie })
}

/// The coupon of a row that the filter admits. The filter looks at columns alone, so that a damaged
/// row which it does not admit does not fail the list.
fn matching(
    txn: &Txn<'_>,
    row: &Row<'_>,
    query: &ListQuery,
) -> rusqlite::Result<Option<CouponSnapshot>> {
    for predicate in query.filter.predicates(query.now).iter() {
        if !holds(txn, row, predicate)? {
            return Ok(None);
        }
    }
    Ok(Some(checked(txn, row)?.snapshot()))
}

fn holds(txn: &Txn<'_>, row: &Row<'_>, predicate: Predicate<'_>) -> rusqlite::Result<bool> {
    match predicate {
        Predicate::Campaign(id) => Ok(txn.campaign_at(row.get("campaign")?)?.terms.id == *id),
        Predicate::State(state) => Ok(row.get_ref("state")?.as_str()? == state),
        Predicate::Within(instant, span) => {
            let at = row.get::<_, Option<i64>>(column(instant))?;
            Ok(span.holds(at.map(Millis)))
        }
    }
}

fn column(instant: Instant) -> &'static str {
    match instant {
        Instant::ValidFrom => "valid_from",
        Instant::ExpiresAt => "expires_at",
        Instant::IssuedAt => "issued_at",
        Instant::RedeemedAt => "redeemed_at",
        Instant::CreatedAt => "created_at",
        Instant::ModifiedAt => "modified_at",
    }
}
