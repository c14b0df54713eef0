//! Notices before expiry: the only place that decides which holders to notify, and when.
//!
//! A *watch* is a number of days before the last day, such as 30 or 7, and the time since when
//! there has been this watch. A coupon *reaches* a watch so many days before its last day, in its
//! own zone. From that day on its notice is *due*, until it is delivered or the coupon has expired.
//! Absent on purpose: what was delivered, and how notices reach people.

use coupon::calendar::Date;
use coupon::coupon::{Coupon, EventKind, State};
use coupon::ids::UserId;
use coupon::time::Millis;
use hot::{CouponFilter, CouponSnapshot, ListOrder, ListPosition, ListQuery, ListScope, Span};

use crate::failure::Failure;
use crate::lists::PAGE_MAX;
use crate::{Caller, Engine, Role};

/// Most days between a notice and the last day: a year.
pub const NOTICE_DAYS_MAX: u16 = 366;

/// The type of a notice, where events have theirs.
pub const NOTICE_TYPE: &str = "coupons.expiring";

/// Days by which a coupon's expiry can be later than the last day of its watch: that day itself,
/// and clocks that are put back in between.
const SLACK_DAYS: u16 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    pub days: u16,
    /// The first run with this watch: coupons that reached it on an earlier day get no notice.
    pub since: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The watch that the coupon has reached.
    pub days: u16,
    /// Days from today to its last day; fewer than `days` if a run was missed.
    pub days_left: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCoupon {
    pub user: UserId,
    /// Its code as people read it.
    pub code: String,
    pub coupon: Coupon,
    pub due: Due,
}

/// One page of such coupons, soonest expiry first.
#[derive(Clone, Debug)]
pub struct DuePage {
    /// The coupons; there may be none although there is a next page.
    pub coupons: Vec<DueCoupon>,
    /// How many coupons with holders were looked at.
    pub looked_at: usize,
    pub next: Option<ListPosition>,
}

impl Engine {
    /// Reads the issued coupons that have reached a watch at `now` and have not expired, after
    /// `after`. Leaves out those of a paused campaign or batch: they are due when it is resumed.
    ///
    /// Reads a bounded number of rows. A coupon that is extended between two pages may come twice,
    /// with different last days.
    ///
    /// # Errors
    /// `Forbidden` for anybody but an admin.
    pub async fn due(
        &self,
        caller: &Caller,
        watches: &[Watch],
        now: Millis,
        after: Option<ListPosition>,
    ) -> Result<DuePage, Failure> {
        caller.must_be(&[Role::Admin])?;
        let days = watches.iter().map(|watch| watch.days).max().unwrap_or(0);
        let expires =
            Span { from: Some(now.plus_ms(1)), before: Some(now.plus_days(days + SLACK_DAYS)) };
        let issued = Some("issued");
        let query = ListQuery {
            scope: ListScope::Everybody,
            filter: CouponFilter { state: issued, expires, ..CouponFilter::default() },
            order: ListOrder::Soonest,
            after,
            limit: PAGE_MAX,
            now,
        };
        let page = self.hot.list(query).await?;
        let due = page.coupons.iter().filter_map(|snapshot| self.due_of(snapshot, watches, now));
        Ok(DuePage { coupons: due.collect(), looked_at: page.coupons.len(), next: page.next })
    }

    fn due_of(
        &self,
        snapshot: &CouponSnapshot,
        watches: &[Watch],
        now: Millis,
    ) -> Option<DueCoupon> {
        if snapshot.campaign.paused || snapshot.batch_paused {
            return None;
        }
        let State::Issued { holder } = snapshot.coupon.state() else { return None };
        Some(DueCoupon {
            due: due(&snapshot.coupon, watches, now)?,
            user: holder.clone(),
            code: self.printed_of(snapshot),
            coupon: snapshot.coupon.clone(),
        })
    }
}

/// The notice that is due for an issued coupon: that of the last watch that it has reached. It
/// replaces those of earlier watches.
fn due(coupon: &Coupon, watches: &[Watch], now: Millis) -> Option<Due> {
    if coupon.is_expired(now) {
        return None;
    }
    let (zone, last) = (coupon.zone(), coupon.expires_on());
    let (today, stands_since) = (Date::of(now, zone), Date::of(stands_since(coupon), zone));
    let reached = |watch: &&Watch| {
        let first = Date::of(watch.since, zone).max(stands_since);
        (first.plus_days(watch.days)..=today.plus_days(watch.days)).contains(&last)
    };
    let days = watches.iter().filter(reached).map(|watch| watch.days).min()?;
    let days_left = (0..days).find(|left| today.plus_days(*left) >= last).unwrap_or(days);
    Some(Due { days, days_left })
}

/// Since when its holder has it with this expiry. A watch that it reached before does not count:
/// whoever issued or extended it told the holder the last day.
fn stands_since(coupon: &Coupon) -> Millis {
    let extended = coupon.events().iter().rev();
    let extended = extended.filter(|event| matches!(event.kind, EventKind::Extended { .. }));
    let extended = extended.map(|event| event.at).next();
    coupon.issued_at().max(extended).unwrap_or(coupon.genesis().created_at)
}

#[cfg(test)]
mod tests;
