//! Notices before expiry: the only place that decides whose coupon is to be told of, and when.
//!
//! A *watch* is a number of days before the last day, 30 or 7, and the moment since when somebody
//! keeps it. A coupon *reaches* a watch on the day that lies so many days before its last day, in
//! its own zone; the notice is *due* from that day on, until it is told or the coupon has expired.
//! Who remembers what was told, and how it reaches people, is not decided here.

use coupon::calendar::{Date, Zone};
use coupon::coupon::{Coupon, EventKind, State};
use coupon::ids::UserId;
use coupon::time::Millis;
use hot::{CouponFilter, CouponSnapshot, ListOrder, ListPosition, ListQuery, ListScope, Span};

use crate::failure::Failure;
use crate::lists::PAGE_MAX;
use crate::{Caller, Engine, Role};

/// Most days that a notice comes before the last day: a year.
pub const NOTICE_DAYS_MAX: u16 = 366;

/// Days that a coupon's end may lie behind the last day it is looked for on: that day itself, and
/// a clock that was put back on the way.
const SLACK_DAYS: u16 = 2;

/// So many days before the last day, told since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The days.
    pub days: u16,
    /// The first run that knew of it: what was reached on an earlier day is not caught up.
    pub since: Millis,
}

/// A notice that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The watch that the coupon has reached.
    pub days: u16,
    /// Days from today to its last day; fewer than `days` where a run was missed.
    pub days_left: u16,
}

/// A coupon of which its holder is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCoupon {
    /// Its holder.
    pub user: UserId,
    /// Its code as people read it.
    pub code: String,
    /// The coupon.
    pub coupon: Coupon,
    /// What is due.
    pub due: Due,
}

/// One page of them, soonest expiry first.
#[derive(Clone, Debug)]
pub struct DuePage {
    /// The coupons; perhaps none, and yet there is a next page.
    pub coupons: Vec<DueCoupon>,
    /// How many coupons with holders were looked at.
    pub looked_at: usize,
    /// Where the next page begins.
    pub next: Option<ListPosition>,
}

impl Engine {
    /// Issued coupons that have reached a watch at `now` and have not expired, behind `after`.
    /// Those of a paused campaign or batch are left out: they are due when it is resumed.
    ///
    /// Looks at a bounded number of rows. A coupon that is extended between two pages may come
    /// twice, with different last days.
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

/// What is due for an issued coupon: the latest watch that it has reached. The earlier ones are
/// said by it, too.
fn due(coupon: &Coupon, watches: &[Watch], now: Millis) -> Option<Due> {
    if coupon.is_expired(now) {
        return None;
    }
    let (zone, last) = (coupon.zone(), coupon.expires_on());
    let (today, stands_since) = (Date::of(now, zone), Date::of(stands_since(coupon), zone));
    let reached = |watch: &&Watch| {
        let first = first_day(watch, zone).max(stands_since);
        (first.plus_days(watch.days)..=today.plus_days(watch.days)).contains(&last)
    };
    let days = watches.iter().filter(reached).map(|watch| watch.days).min()?;
    let days_left = (0..days).find(|left| today.plus_days(*left) >= last).unwrap_or(days);
    Some(Due { days, days_left })
}

fn first_day(watch: &Watch, zone: &Zone) -> Date {
    Date::of(watch.since, zone)
}

/// Since when its holder has it with this expiry. What it reached before was over when he got it,
/// and whoever gave it to him, or gave it more time, has told him of the new last day.
fn stands_since(coupon: &Coupon) -> Millis {
    let extended = coupon.events().iter().rev();
    let extended = extended.filter(|event| matches!(event.kind, EventKind::Extended { .. }));
    let extended = extended.map(|event| event.at).next();
    coupon.issued_at().max(extended).unwrap_or(coupon.genesis().created_at)
}

#[cfg(test)]
mod tests;
