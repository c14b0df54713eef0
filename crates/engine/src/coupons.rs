//! What a caller does with one coupon; here is what all of these actions share.

mod admin;
mod issue;
pub(crate) mod order;
mod read;

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::code::CodeText;
use coupon::ids::{CampaignId, OrderRef, UserId};
use coupon::refusal::Refusal;
use hot::{Applied, CouponSnapshot};
use router::Found;

use crate::failure::{Failure, Result, WriteResult};
use crate::{Caller, Engine, Role};

pub use admin::{AdminChange, NewExpiry};
pub use order::{CheckView, HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, HoldView, RedemptionView};
pub use read::NotFoundReason;

/// What a call with a shared code lacks, if the order alone does not say which coupon is meant.
const NEEDS_USER: &str =
    "is missing: everybody uses this code, so name the user whose coupon you mean";

impl Engine {
    async fn change_at(
        &self,
        caller: &Caller,
        text: &CodeText,
        change: Change,
    ) -> Result<WriteResult<CouponSnapshot>> {
        let found = self.find(text).await?;
        let applied = self.hot.apply(&found, change).await?;
        self.settled(caller, applied)
    }

    /// Applies a release or a cancellation, which name an order.
    async fn give_back(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: &OrderRef,
        action: Action,
    ) -> Result<WriteResult<CouponSnapshot>> {
        caller.must_be(&[Role::User, Role::Shop, Role::Admin])?;
        let found = self.find(text).await?;
        let (found, change) = self.giving_back(caller, found, user, order, action).await?;
        let applied = self.hot.apply(&found, change).await?;
        self.settled(caller, applied)
    }

    /// Which coupon the caller means, and the change of it.
    pub(crate) async fn giving_back(
        &self,
        caller: &Caller,
        mut found: Found,
        user: Option<UserId>,
        order: &OrderRef,
        action: Action,
    ) -> Result<(Found, Change)> {
        let mut change = self.change(caller, action);
        if user.is_some() || caller.role == Role::User {
            // The store then finds the user's coupon behind a shared code by itself.
            change.asker = Asker::User(caller.acts_for(user)?);
        } else if let Found::Shared { campaign } = &found {
            let snapshot = Box::pin(self.redeemed_behind(campaign, None, order)).await?;
            let snapshot = snapshot.ok_or_else(|| Failure::invalid("user_id", NEEDS_USER))?;
            found = self.find(&CodeText::from(snapshot.coupon.code().clone())).await?;
        }
        Ok((found, change))
    }

    /// The one coupon of a shared code that an order has redeemed, of this user or of anybody; `None` if there are
    /// none or several, or if the store does not keep what an order redeemed.
    async fn redeemed_behind(
        &self,
        campaign: &CampaignId,
        user: Option<&UserId>,
        order: &OrderRef,
    ) -> Result<Option<CouponSnapshot>> {
        let mut snapshots =
            self.redeemed_of_order(Some(campaign), order).await?.unwrap_or_default();
        snapshots.retain(|it| user.is_none() || it.coupon.holder() == user);
        let only = if snapshots.len() == 1 { snapshots.pop() } else { None };
        Ok(only)
    }

    /// The coupon after an accepted or replayed change.
    fn settled(&self, caller: &Caller, applied: Applied) -> Result<WriteResult<CouponSnapshot>> {
        match (applied.outcome, applied.snapshot) {
            (Outcome::Accepted(_), Some(snapshot)) => Ok(WriteResult::Created(snapshot)),
            (Outcome::Replayed, Some(snapshot)) => Ok(WriteResult::Same(snapshot)),
            (Outcome::Refused(refusal), snapshot) => {
                // Callers for whom there is no such coupon learn nothing about it.
                let hidden = matches!(refusal, Refusal::NotFound | Refusal::NotIssued);
                let snapshot = snapshot.filter(|_| !hidden);
                let seen = snapshot.and_then(|snapshot| self.view(caller, &snapshot));
                Err(Failure::Refused { refusal, coupon: seen.map(Box::new) })
            }
            (Outcome::Accepted(_) | Outcome::Replayed, None) => {
                Err(Failure::refused(Refusal::NotFound))
            }
        }
    }
}
