//! The archived coupons of a page.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use cold::ScanFilter;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use hot::{HotError, ListOrder, ListScope};

use super::{CursorPosition, PageQuery, TieBreaker};
use crate::Engine;
use crate::archive::in_time;
use crate::failure::{Failure, Result};

/// Most archived coupons that one page may read, by the statistics of their files: some seconds. The coupons of one
/// holder have a table of their own.
pub(crate) const ARCHIVED_MAX: u64 = 10_000_000;

/// Archived coupons of one holder that are looked up at a time.
const LOOKED_UP: usize = 64;

pub(super) struct ArchivedCoupon {
    pub(super) position: CursorPosition,
    pub(super) day: Day,
    pub(super) coupon: Coupon,
}

#[derive(Default)]
pub(super) struct ArchivedPage {
    pub(super) coupons: Vec<ArchivedCoupon>,
    /// How far cold was read, if there is more after it.
    pub(super) next: Option<CursorPosition>,
}

impl ArchivedPage {
    /// The first of what was found. If more was found, there is a next page.
    fn of(mut found: Vec<ArchivedCoupon>, query: &PageQuery) -> ArchivedPage {
        let is_more = found.len() > query.limit;
        keep_first(&mut found, query.limit, query.order);
        let next = found.last().filter(|_| is_more).map(|last| last.position.clone());
        ArchivedPage { coupons: found, next }
    }
}

fn keep_first(found: &mut Vec<ArchivedCoupon>, limit: usize, order: ListOrder) {
    found.sort_by(|one, other| one.position.order(&other.position, order));
    found.truncate(limit);
}

impl Engine {
    pub(super) async fn archived(&self, query: &PageQuery, now: Millis) -> Result<ArchivedPage> {
        if !in_time(&self.cold, 0, self.has_cold()).await? {
            return Ok(ArchivedPage::default());
        }
        match &query.scope {
            ListScope::Holder(holder) => self.archived_of(holder, query, now).await,
            ListScope::Campaign(campaign) => {
                let filter = ScanFilter { campaign: Some(campaign.clone()), ..scan(query) };
                self.archived_by(filter, query, now).await
            }
            ListScope::Everybody => self.archived_by(scan(query), query, now).await,
        }
    }

    /// Those of one holder. An index has most of them whole, in one place; those that it does not
    /// have yet are looked up by their codes.
    async fn archived_of(
        &self,
        holder: &UserId,
        query: &PageQuery,
        now: Millis,
    ) -> Result<ArchivedPage> {
        // No coupon expires later than its partition.
        let from = scan(query).expires_from.map(Day::expiry_day_of);
        let mut entries = in_time(&self.cold, 0, self.cold.of_holder(holder, from)).await?;
        entries.retain(|entry| {
            let position = archived_at(entry.expires_at, &entry.code);
            query.filter.expires.holds(Some(entry.expires_at)) && is_behind(&position, query)
        });
        entries.sort_by(|one, other| {
            let [one, other] = [one, other].map(|it| archived_at(it.expires_at, &it.code));
            one.order(&other, query.order)
        });
        let mut found = Vec::new();
        for some in entries.chunks_mut(LOOKED_UP) {
            let mut by_day: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
            let mut here = Vec::new();
            for entry in some {
                match entry.coupon.take() {
                    Some(coupon) => here.push((entry.day, *coupon)),
                    None => by_day.entry(entry.day).or_default().push(entry.code.clone()),
                }
            }
            for (day, codes) in by_day {
                let found = self.cold.find(day, &codes);
                let coupons = in_time(&self.cold, codes.len(), found).await?;
                for (code, coupon) in codes.iter().zip(coupons) {
                    here.push((day, coupon.ok_or_else(|| not_there(day, code))?));
                }
            }
            let wanted = here.into_iter().filter(|(_, coupon)| {
                coupon.holder() == Some(holder) && query.filter.holds(coupon, now)
            });
            found.extend(wanted.map(|(day, coupon)| archived(day, coupon)));
            if found.len() > query.limit {
                break;
            }
        }
        Ok(ArchivedPage::of(found, query))
    }

    async fn archived_by(
        &self,
        filter: ScanFilter,
        query: &PageQuery,
        now: Millis,
    ) -> Result<ArchivedPage> {
        // The time limit is for each step: a page may read millions while they keep coming.
        let mut scan = in_time(&self.cold, 0, self.cold.scan(filter)).await?;
        let mut found = Vec::new();
        while let Some(chunk) = in_time(&self.cold, 0, scan.next()).await? {
            found.extend(chunk.into_iter().filter_map(|(day, coupon)| {
                let archived = archived(day, coupon);
                let is_wanted = is_behind(&archived.position, query)
                    && query.filter.holds(&archived.coupon, now);
                is_wanted.then_some(archived)
            }));
            keep_first(&mut found, query.limit + 1, query.order);
        }
        Ok(ArchivedPage::of(found, query))
    }
}

fn archived_at(expires_at: Millis, code: &Code) -> CursorPosition {
    CursorPosition { expires_at, tie: TieBreaker::Cold(code.clone()) }
}

fn archived(day: Day, coupon: Coupon) -> ArchivedCoupon {
    ArchivedCoupon { position: archived_at(coupon.expires_at(), coupon.code()), day, coupon }
}

/// The side table is built from the partitions, so a code of the one has to be in the other.
fn not_there(day: Day, code: &Code) -> Failure {
    let why = format!("{code} is somebody's and is not in its partition {day}");
    Failure::Store(HotError::Cold(why.into()))
}

fn is_behind(position: &CursorPosition, query: &PageQuery) -> bool {
    query.after.as_ref().is_none_or(|after| position.order(after, query.order) == Ordering::Greater)
}

fn scan(query: &PageQuery) -> ScanFilter {
    // Earlier pages have what lies before the position.
    let (mut from, mut before) = (query.filter.expires.from, query.filter.expires.before);
    if let Some(after) = &query.after {
        match query.order {
            ListOrder::Soonest => from = from.max(Some(after.expires_at)),
            ListOrder::Latest => {
                let end = after.expires_at.plus_ms(1);
                before = Some(before.map_or(end, |before| before.min(end)));
            }
        }
    }
    ScanFilter {
        expires_from: from,
        expires_before: before,
        rows_max: Some(ARCHIVED_MAX),
        ..ScanFilter::default()
    }
}
