//! Coupons that people at the console give to customers, of the stock or by their codes: each person so many a day.

use coupon::calendar::Date;
use coupon::ids::UserId;
use engine::{CouponView, GiftLimit, GiftSource, WriteResult};

use crate::ConsoleSetup;
use crate::desk::PageContext;
use crate::roles::ConsoleAction;
use crate::trouble::{ConsoleError, ConsoleResult};

impl PageContext {
    fn gift_limit(&self) -> GiftLimit {
        let ConsoleSetup { zone, gifts_per_day, .. } = &self.console.setup;
        GiftLimit { per_day: *gifts_per_day, day: Date::of(self.now, zone) }
    }

    /// Gives a coupon to a customer, if the person has given fewer than they may.
    pub(crate) async fn give_coupon(
        &self,
        source: GiftSource,
        user: UserId,
    ) -> ConsoleResult<WriteResult<CouponView>> {
        let caller = self.caller(ConsoleAction::Issue)?;
        let given = self.engine().give(&caller, source, user, self.gift_limit()).await?;
        given.ok_or(ConsoleError::AllGiven)
    }

    /// How many coupons the person may still give today.
    pub(crate) async fn gifts_left(&self) -> ConsoleResult<u64> {
        let (caller, limit) = (self.caller(ConsoleAction::Issue)?, self.gift_limit());
        let given = self.engine().gifts_given(&caller, limit.day).await?;
        Ok(u64::from(limit.per_day).saturating_sub(given as u64))
    }
}
