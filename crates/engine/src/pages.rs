//! Pages of coupons over both tiers.
//!
//! Invariants: a coupon that is archived between two pages is on one of them at least; of two
//! versions of a code, the higher one is the coupon.
//!
//! For that, a page reads hot first and cold after it. Among coupons with one expiry, those of hot
//! come before those of cold: a coupon that is archived between two pages may be on both, but never
//! on none. A coupon that was copied to cold and not yet evicted from hot is listed where hot has
//! it, and only there.

pub(crate) mod archived;
mod position;
mod snapshots;

use std::collections::HashMap;

use coupon::code::Code;
use coupon::time::Millis;
use hot::{CouponFilter, CouponSnapshot, ListOrder, ListQuery, ListScope, ListedPage, Tier};

use crate::Engine;
use crate::failure::Result;
use archived::ArchivedPage;
pub use position::{CursorPosition, TieBreaker};

/// Most items of a page: some 500 KB of JSON.
pub const PAGE_MAX: usize = 1_000;

pub(crate) struct PageQuery {
    pub(crate) scope: ListScope,
    pub(crate) filter: CouponFilter,
    pub(crate) order: ListOrder,
    pub(crate) after: Option<CursorPosition>,
    pub(crate) limit: usize,
}

pub(crate) struct SnapshotPage {
    pub(crate) snapshots: Vec<CouponSnapshot>,
    pub(crate) next: Option<CursorPosition>,
}

impl Engine {
    pub(crate) async fn page(&self, query: PageQuery) -> Result<SnapshotPage> {
        let now = self.now();
        let in_hot = ListQuery {
            scope: query.scope.clone(),
            filter: query.filter.clone(),
            order: query.order,
            after: query.after.as_ref().map(|after| after.in_hot(query.order)),
            limit: query.limit,
            now,
        };
        let hot = self.hot.list(in_hot).await?;
        let cold = match may_be_archived(&query, now) {
            true => self.archived(&query, now).await?,
            false => ArchivedPage::default(),
        };
        // What lies after `end` has not been read in one of the two tiers.
        let ends = [hot.next.as_ref().map(CursorPosition::from), cold.next];
        let end = ends.into_iter().flatten().min_by(|one, other| one.order(other, query.order));
        let cold = self.not_in_hot(cold.coupons, |it| (it.day, &it.coupon)).await?;
        let cold = cold.into_iter().map(|it| (it.position, it.coupon, Tier::Cold)).collect();
        let cold = self.snapshots_of(cold).await?;
        let (mut snapshots, mut next) = (Vec::with_capacity(query.limit), None);
        for (position, snapshot) in newest(hot, cold, query.order, end.as_ref()) {
            if snapshots.len() == query.limit {
                return Ok(SnapshotPage { snapshots, next });
            }
            snapshots.push(snapshot);
            next = Some(position);
        }
        // A page can be short and still not be the last: a store reads a bounded number of rows
        // for it.
        Ok(SnapshotPage { snapshots, next: end })
    }
}

/// Whether a coupon that passes the filter can be archived. Available and issued coupons of the
/// cold tier have expired, so the most frequent list, that of a wallet, need not read cold.
fn may_be_archived(query: &PageQuery, now: Millis) -> bool {
    let CouponFilter { state, expired, expires, .. } = &query.filter;
    let unredeemed = matches!(state, Some("available" | "issued"));
    let unexpired = *expired == Some(false) || expires.from.is_some_and(|from| from > now);
    !(unredeemed && unexpired)
}

/// The coupons of both tiers in one order, up to `end`, each code once in its highest version.
fn newest(
    hot: ListedPage,
    cold: Vec<(CursorPosition, CouponSnapshot)>,
    order: ListOrder,
    end: Option<&CursorPosition>,
) -> Vec<(CursorPosition, CouponSnapshot)> {
    let mut all: Vec<(CursorPosition, CouponSnapshot)> =
        hot.positions.iter().map(CursorPosition::from).zip(hot.coupons).chain(cold).collect();
    all.retain(|(position, _)| end.is_none_or(|end| position.order(end, order).is_le()));
    all.sort_by(|one, other| one.0.order(&other.0, order));
    let mut newest: HashMap<Code, u64> = HashMap::new();
    for (_, snapshot) in &all {
        let version = newest.entry(snapshot.coupon.code().clone()).or_default();
        *version = snapshot.coupon.version().max(*version);
    }
    // Of two equal versions the first stays: that of hot.
    all.retain(|(_, snapshot)| {
        let code = snapshot.coupon.code();
        let is_newest = newest.get(code) == Some(&snapshot.coupon.version());
        is_newest && newest.remove(code).is_some()
    });
    all
}
