//! Holds a coupon for one order, and releases the hold.

use coupon::apply::Action;
use coupon::code::CodeText;
use coupon::ids::{OrderRef, UserId};
use coupon::time::Millis;

use crate::coupon_view::CouponView;
use crate::failure::must_lie;
use crate::failure::{Result, WriteResult};
use crate::{Caller, Engine};

/// How long a hold lasts if the caller does not say: a check-out.
pub const HOLD_SECONDS_DEFAULT: u32 = 900;

/// Longest hold: seven days.
pub const HOLD_SECONDS_MAX: u32 = 604_800;

const _: () = assert!(HOLD_SECONDS_MAX as i64 * 1000 == coupon::apply::HOLD_MAX_MS);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    pub order: OrderRef,
    pub until: Millis,
    pub coupon: CouponView,
}

impl Engine {
    pub async fn hold(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
        seconds: Option<u32>,
    ) -> Result<WriteResult<HoldView>> {
        let by = caller.acts_for(user)?;
        let seconds = seconds.unwrap_or(HOLD_SECONDS_DEFAULT);
        must_lie("seconds", Some(seconds.into()), 1, HOLD_SECONDS_MAX.into())?;
        let until = self.now().plus_ms(i64::from(seconds) * 1000);
        let change = self.change(caller, Action::Hold { by, order: order.clone(), until });
        let done = self.change_at(caller, text, change).await?;
        Ok(done.map(|snapshot| {
            let until = snapshot.coupon.hold().map_or(until, |hold| hold.until);
            HoldView { order, until, coupon: self.view_at_least(caller, &snapshot) }
        }))
    }

    /// Releases the hold of an order: with a `user`, only if it is theirs. A shared code needs the user.
    pub async fn release(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
    ) -> Result<WriteResult<CouponView>> {
        let action = Action::Release { order: order.clone() };
        let done = self.give_back(caller, text, user, &order, action).await?;
        Ok(done.map(|snapshot| self.view_at_least(caller, &snapshot)))
    }
}
