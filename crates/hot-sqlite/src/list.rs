//! Lists: a bounded number of rows, in the order of expiry; the filter is applied to each row that was
//! read.
//!
//! Most coupons expire with their batch, so no index has their expiry. They come batch by batch, in the
//! order in which the batches expire. Coupons with an expiry of their own have an index. A page merges
//! the two.

mod source;

use hot::{CouponSnapshot, ListPosition, ListQuery, ListedPage, Predicate};
use rusqlite::Result as SqlResult;

use crate::coupons::checked;
use crate::rows::{self, batch_of};
use crate::txn::Txn;
use source::{ExpiryKey, ListSources, NextRow};

/// Most rows and batches that one page looks at: some 40 ms. So a page may be short.
const SCAN_MAX: usize = 5_000;

pub(crate) fn page(txn: &Txn<'_>, query: &ListQuery) -> SqlResult<ListedPage> {
    let mut sources = ListSources::of(txn, query)?;
    let (mut coupons, mut positions, mut looked_at) = (Vec::new(), Vec::new(), 0);
    while let Some(next) = sources.next(txn)? {
        looked_at += 1;
        let position = position(next.key());
        if let NextRow::Row((_, number)) = next
            && let Some(snapshot) = matching(txn, query, number)?
        {
            coupons.push(snapshot);
            positions.push(position.clone());
        }
        if coupons.len() == query.limit || looked_at == SCAN_MAX {
            let next = rest(txn, &mut sources, looked_at)?.then_some(position);
            return Ok(ListedPage { coupons, positions, next });
        }
    }
    Ok(ListedPage { coupons, positions, next: None })
}

/// Whether there is a next page: one more row shows it.
fn rest(txn: &Txn<'_>, sources: &mut ListSources<'_>, looked_at: usize) -> SqlResult<bool> {
    for _ in looked_at..SCAN_MAX {
        match sources.next(txn)? {
            Some(NextRow::Row(_)) => return Ok(true),
            Some(NextRow::Nothing(_)) => {}
            None => return Ok(false),
        }
    }
    Ok(sources.next(txn)?.is_some())
}

fn position((expires_at, number): ExpiryKey) -> ListPosition {
    ListPosition { expires_at, tie: number.unsigned_abs() }
}

fn matching(txn: &Txn<'_>, query: &ListQuery, number: i64) -> SqlResult<Option<CouponSnapshot>> {
    let mut statement = txn.statement(rows::select_coupon!(" FROM coupon WHERE number = ?1"))?;
    let mut found = statement.query([number])?;
    let Some(row) = found.next()? else { return Ok(None) };
    // A damaged row of another campaign or state does not fail the list.
    for predicate in query.filter.predicates(query.now) {
        let may_hold = match predicate {
            Predicate::Campaign(id) => {
                let campaign = txn.batch_at(batch_of(number))?.campaign;
                txn.campaign_at(campaign)?.terms.id == *id
            }
            Predicate::State(state) => rows::state_name(row.get("state")?) == state,
            Predicate::Within(..) => true,
        };
        if !may_hold {
            return Ok(None);
        }
    }
    let snapshot = checked(txn, row)?.snapshot();
    Ok(query.filter.holds(&snapshot.coupon, query.now).then_some(snapshot))
}
