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

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::{
    CouponFilter, CouponSnapshot, ListOrder, ListPosition, ListQuery, ListScope, ListedPage, Tier,
};

use crate::Engine;
use crate::failure::Result;
use archived::ArchivedPage;

/// Most items of a page: some 500 KB of JSON.
pub const PAGE_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorPosition {
    pub expires_at: Millis,
    /// Orders coupons with one expiry.
    pub tie: TieBreaker,
}

/// The order of what has one instant, coupons with one expiry or redemptions: first that of hot, then that of cold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TieBreaker {
    /// By the number that the hot store gives each row.
    Hot(u64),
    Cold(Code),
}

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

    /// Leaves out those of whose coupons hot still has rows: hot lists them, at another position. `of` names the
    /// partition and the coupon of each.
    pub(crate) async fn not_in_hot<T>(
        &self,
        mut found: Vec<T>,
        of: impl Fn(&T) -> (Day, &Coupon),
    ) -> Result<Vec<T>> {
        let mut by_day: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
        for (day, coupon) in found.iter().map(&of) {
            by_day.entry(day).or_default().push(coupon.code().clone());
        }
        let mut versions: HashMap<Code, u64> = HashMap::new();
        for (day, mut codes) in by_day {
            codes.sort_unstable();
            codes.dedup();
            let rows = self.hot.coupons_of(day, codes).await?;
            versions.extend(rows.iter().map(|coupon| (coupon.code().clone(), coupon.version())));
        }
        found.retain(|it| {
            let (_, coupon) = of(it);
            versions.get(coupon.code()).is_none_or(|version| *version < coupon.version())
        });
        Ok(found)
    }

    /// Each coupon with its terms, beside what belongs to it. Leaves out coupons of campaigns that a restored hot store
    /// does not know.
    pub(crate) async fn snapshots_of<T>(
        &self,
        coupons: Vec<(T, Coupon, Tier)>,
    ) -> Result<Vec<(T, CouponSnapshot)>> {
        let mut known = HashMap::new();
        let mut snapshots = Vec::with_capacity(coupons.len());
        for (beside, coupon, tier) in coupons {
            let genesis = coupon.genesis();
            let key = (genesis.campaign.clone(), genesis.batch.clone());
            if !known.contains_key(&key) {
                let campaign = self.hot.campaign(&key.0, self.now()).await?;
                let batch = self.hot.batch(&key.0, &key.1).await?;
                let both = campaign.map(|row| row.campaign).zip(batch.map(|batch| batch.paused));
                known.insert(key.clone(), both);
            }
            if let Some(Some((campaign, batch_paused))) = known.get(&key).cloned() {
                snapshots.push((beside, CouponSnapshot { coupon, campaign, batch_paused, tier }));
            }
        }
        Ok(snapshots)
    }
}

impl CursorPosition {
    fn order(&self, other: &CursorPosition, order: ListOrder) -> Ordering {
        let by_expiry = match order {
            ListOrder::Soonest => self.expires_at.cmp(&other.expires_at),
            ListOrder::Latest => other.expires_at.cmp(&self.expires_at),
        };
        by_expiry.then_with(|| self.tie.order(&other.tie, order))
    }

    /// The position in hot after which everything lies that is after this one.
    fn in_hot(&self, order: ListOrder) -> ListPosition {
        ListPosition { expires_at: self.expires_at, tie: self.tie.in_hot(order) }
    }
}

impl TieBreaker {
    pub(crate) fn order(&self, other: &TieBreaker, order: ListOrder) -> Ordering {
        match (self, other, order) {
            (TieBreaker::Hot(one), TieBreaker::Hot(other), ListOrder::Latest) => other.cmp(one),
            (one, other, _) => one.cmp(other),
        }
    }

    /// The number in hot behind which everything lies that is behind this tie.
    pub(crate) fn in_hot(&self, order: ListOrder) -> u64 {
        match (self, order) {
            (TieBreaker::Hot(tie), _) => *tie,
            // The pages so far have all of hot's rows of this instant.
            (TieBreaker::Cold(_), ListOrder::Soonest) => u64::MAX >> 1,
            (TieBreaker::Cold(_), ListOrder::Latest) => 0,
        }
    }
}

impl From<&ListPosition> for CursorPosition {
    fn from(position: &ListPosition) -> CursorPosition {
        CursorPosition { expires_at: position.expires_at, tie: TieBreaker::Hot(position.tie) }
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
