//! Redeems a coupon, and cancels a redemption.

use coupon::apply::Action;
use coupon::code::CodeText;
use coupon::coupon::Redemption;
use coupon::ids::{CampaignId, OrderRef, Reason, UserId};
use coupon::refusal::Refusal;
use hot::CouponSnapshot;

use crate::coupon_view::CouponView;
use crate::failure::{Failure, Result, WriteResult};
use crate::{Caller, Engine};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionView {
    /// The coupon's code as people read it.
    pub code: String,
    pub campaign: CampaignId,
    pub redemption: Redemption,
}

impl Engine {
    /// Redeems a coupon for an order, once.
    pub async fn redeem(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
    ) -> Result<WriteResult<RedemptionView>> {
        let by = caller.acts_for(user)?;
        let change = self.change(caller, Action::Redeem { by, order: order.clone() });
        let done = self.change_at(caller, text, change).await?;
        self.redemption_view(done, &order)
    }

    /// Cancels the redemption that an order made: with a `user`, only if it is theirs. With a shared code, finds
    /// the coupon by the user, or by the order if it has redeemed one coupon of the code.
    pub async fn cancel_redemption(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
        reason: Option<Reason>,
    ) -> Result<WriteResult<(RedemptionView, CouponView)>> {
        let action = Action::CancelRedemption { order: order.clone(), reason };
        let done = self.give_back(caller, text, user, &order, action).await?;
        let (WriteResult::Created(snapshot) | WriteResult::Same(snapshot)) = &done;
        let coupon = self.view_at_least(caller, snapshot);
        Ok(self.redemption_view(done, &order)?.map(|redemption| (redemption, coupon)))
    }

    fn redemption_view(
        &self,
        done: WriteResult<CouponSnapshot>,
        order: &OrderRef,
    ) -> Result<WriteResult<RedemptionView>> {
        let (WriteResult::Created(snapshot) | WriteResult::Same(snapshot)) = &done;
        let redemption = snapshot.coupon.redemption_of(order);
        let redemption = redemption.ok_or(Failure::refused(Refusal::NotRedeemed))?;
        let view = RedemptionView {
            code: self.printed_of(snapshot),
            campaign: snapshot.campaign.id.clone(),
            redemption,
        };
        Ok(done.map(|_| view))
    }
}
