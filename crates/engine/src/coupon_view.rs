//! What a caller sees of a coupon.

use coupon::campaign::Handout;
use coupon::coupon::Coupon;
use coupon::ids::{OrderRef, UserId};
use coupon::time::Millis;
use hot::{CouponSnapshot, Tier};

use crate::{Caller, Engine, Role};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponView {
    /// The code as people read it.
    pub code: String,
    pub coupon: Coupon,
    pub expired: bool,
    /// Whether its campaign or its batch is paused.
    pub paused: bool,
    pub held_until: Option<Millis>,
    /// The order of its live redemption, or of its present hold.
    pub order: Option<OrderRef>,
    pub tier: Tier,
    /// Whether holder, order and history are shown. They are hidden from callers who only know the
    /// code of a bearer coupon.
    pub in_full: bool,
    /// The user who looks, if it is one: a user sees only a part of the history.
    pub user: Option<UserId>,
}

impl Engine {
    /// `None` if the caller may not know about the coupon.
    pub(crate) fn view(&self, caller: &Caller, snapshot: &CouponSnapshot) -> Option<CouponView> {
        let in_full = match caller.role {
            Role::Shop | Role::Operator | Role::Admin => true,
            Role::User => snapshot.coupon.holder() == Some(&caller.subject),
        };
        let shown = in_full || snapshot.campaign.handout == Handout::Bearer;
        shown.then(|| self.view_of(caller, snapshot, in_full))
    }

    pub(crate) fn view_of(
        &self,
        caller: &Caller,
        snapshot: &CouponSnapshot,
        in_full: bool,
    ) -> CouponView {
        let (coupon, now) = (&snapshot.coupon, self.now());
        let hold = coupon.running_hold(now);
        let order = coupon.redemption().map(|redemption| &redemption.order);
        CouponView {
            code: self.printed_of(snapshot),
            coupon: coupon.clone(),
            expired: coupon.is_expired(now),
            paused: snapshot.campaign.paused || snapshot.batch_paused,
            held_until: hold.map(|hold| hold.until),
            order: order.or(hold.map(|hold| &hold.order)).cloned(),
            tier: snapshot.tier,
            in_full,
            user: (caller.role == Role::User).then(|| caller.subject.clone()),
        }
    }

    /// The view for a caller who may know about the coupon in any case, such as the user who holds
    /// it for an order.
    pub(super) fn view_at_least(&self, caller: &Caller, snapshot: &CouponSnapshot) -> CouponView {
        let view = self.view(caller, snapshot);
        view.unwrap_or_else(|| self.view_of(caller, snapshot, false))
    }
}
