//! Notices before expiry: the only place that decides which holders to notify, and when.
//!
//! A coupon *reaches* a number of days, such as 30 or 7, so many days before its last day, in its own zone. A
//! *round* is about the time from the end of the round before it until its own: each coupon that has reached a
//! number of days within it is *due*. So every coupon is due in one round for each number, and nothing is
//! remembered of single coupons.
//! Absent on purpose: how notices reach people.

use std::collections::BTreeMap;

use coupon::calendar::Date;
use coupon::coupon::{Coupon, EventKind, Genesis, State};
use coupon::ids::UserId;
use coupon::time::{DAY_MS, Millis};
use hot::{CouponFilter, CouponSnapshot, ListOrder, ListPosition, ListQuery, ListScope, Span};

use crate::failure::Result;
use crate::pages::PAGE_MAX;
use crate::{Caller, Engine, Role};

/// Most days between a notice and the last day: a year.
pub const NOTICE_DAYS_MAX: u16 = 366;

/// The type of a notice, where events have theirs.
pub const NOTICE_TYPE: &str = "coupons.expiring";

/// Days by which a coupon's expiry can be later than its last day and the number of days: that day itself, and
/// clocks that are put back in between.
const SLACK_DAYS: u16 = 2;

/// What a round is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRange {
    /// When the round before it ended; `None` of the first: then only what a coupon reaches today counts.
    pub after: Option<Millis>,
    pub until: Millis,
    /// Paused campaigns (`spring`) and batches (`spring/b1`) that were left out of earlier rounds, and since when.
    pub waiting: BTreeMap<String, Millis>,
}

/// A coupon whose holder is to be notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCoupon {
    pub holder: UserId,
    /// Its code as people read it.
    pub code: String,
    /// The number of days that it has reached: of several, the last.
    pub days: u16,
    /// Days from today to its last day; fewer than `days` if a round was late.
    pub days_left: u16,
    pub snapshot: CouponSnapshot,
}

/// One page of such coupons, soonest expiry first.
#[derive(Clone, Debug)]
pub struct DuePage {
    /// There may be none although there is a next page.
    pub coupons: Vec<DueCoupon>,
    /// How many issued coupons were looked at.
    pub looked_at: usize,
    pub next: Option<ListPosition>,
}

impl Engine {
    /// Reads the issued coupons, of one holder or of all, that have reached one of `days` in the round and have not
    /// expired, behind `after`. Leaves out those of a paused campaign or batch, which goes to `waiting`: they are due
    /// when it is resumed.
    ///
    /// Reads a bounded number of rows. A coupon that is extended between two pages may come twice, with different
    /// last days.
    ///
    /// # Errors
    /// `Forbidden` for anybody but an admin.
    pub async fn due(
        &self,
        caller: &Caller,
        holder: Option<&UserId>,
        (days, range): (&[u16], &NoticeRange),
        after: Option<ListPosition>,
        waiting: &mut BTreeMap<String, Millis>,
    ) -> Result<DuePage> {
        caller.must_be(&[Role::Admin])?;
        let (most, now) = (days.iter().max().copied().unwrap_or(0), self.now());
        let expires =
            Span { from: Some(now.plus_ms(1)), before: Some(now.plus_days(most + SLACK_DAYS)) };
        let issued = Some("issued");
        let query = ListQuery {
            scope: holder.cloned().map_or(ListScope::Everybody, ListScope::Holder),
            filter: CouponFilter { state: issued, expires, ..CouponFilter::default() },
            order: ListOrder::Soonest,
            after,
            limit: PAGE_MAX,
            now,
        };
        let page = self.hot.list(query).await?;
        let looked_at = page.coupons.len();
        let due = page.coupons.into_iter().filter_map(|snapshot| {
            let paused = (snapshot.campaign.paused, snapshot.batch_paused);
            let after = since(snapshot.coupon.genesis(), paused, range, waiting)?;
            let State::Issued { holder } = snapshot.coupon.state() else { return None };
            let (days, days_left) = due(&snapshot.coupon, days, (after, range.until), now)?;
            let (holder, code) = (holder.clone(), self.printed_of(&snapshot));
            Some(DueCoupon { holder, code, days, days_left, snapshot })
        });
        Ok(DuePage { coupons: due.collect(), looked_at, next: page.next })
    }
}

/// The end of the last round that was about this coupon; nothing while its campaign or its batch is paused, and then
/// they wait.
fn since(
    genesis: &Genesis,
    (campaign_paused, batch_paused): (bool, bool),
    range: &NoticeRange,
    waiting: &mut BTreeMap<String, Millis>,
) -> Option<Option<Millis>> {
    let campaign = genesis.campaign.to_string();
    let batch = format!("{campaign}/{}", genesis.batch);
    let [campaign_waits, batch_waits] =
        [&campaign, &batch].map(|name| range.waiting.get(name).copied());
    let first = range.after.unwrap_or_else(|| range.until.plus_ms(-DAY_MS));
    if campaign_paused {
        waiting.insert(campaign, campaign_waits.unwrap_or(first));
    }
    // What waits for its campaign goes on waiting for its batch, and the other way round.
    let waits = campaign_waits.into_iter().chain(batch_waits).min();
    if batch_paused || (campaign_paused && batch_waits.is_some()) {
        waiting.insert(batch, waits.unwrap_or(first));
    }
    let is_paused = campaign_paused || batch_paused;
    (!is_paused).then(|| range.after.into_iter().chain(waits).min())
}

/// The number of days that an issued coupon has reached after one instant and until another, and the days that
/// are left now. Of several numbers, the last replaces the others.
fn due(
    coupon: &Coupon,
    days: &[u16],
    (after, until): (Option<Millis>, Millis),
    now: Millis,
) -> Option<(u16, u16)> {
    if coupon.is_expired(now) {
        return None;
    }
    let (zone, last) = (coupon.zone(), coupon.expires_on());
    let (today, end) = (Date::of(now, zone), Date::of(until, zone));
    let first = after.map_or(end, |after| Date::of(after, zone).plus_days(1));
    let first = first.max(Date::of(stands_since(coupon), zone));
    let reached = |days: &u16| (first.plus_days(*days)..=end.plus_days(*days)).contains(&last);
    let days = days.iter().copied().filter(reached).min()?;
    let days_left = (0..days).find(|left| today.plus_days(*left) >= last).unwrap_or(days);
    Some((days, days_left))
}

/// Since when its holder has it with this expiry. A number of days that it reached before does not count: whoever
/// issued or extended it told the holder the last day.
fn stands_since(coupon: &Coupon) -> Millis {
    let extended = coupon.events().iter().rev();
    let extended = extended.filter(|event| matches!(event.kind, EventKind::Extended { .. }));
    let extended = extended.map(|event| event.at).next();
    coupon.issued_at().max(extended).unwrap_or(coupon.genesis().created_at)
}

#[cfg(test)]
mod tests;
