//! Checks what redeem would answer, without a write.

use coupon::apply::{Action, Outcome};
use coupon::code::CodeText;
use coupon::ids::{OrderRef, UserId};
use coupon::refusal::Refusal;
use hot::CouponSnapshot;
use router::Found;

use crate::campaigns::CampaignView;
use crate::coupon_view::CouponView;
use crate::failure::{Failure, Result};
use crate::{Caller, Engine};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckView {
    pub refusal: Option<Refusal>,
    /// The coupon; `None` if a shared code would issue one first.
    pub coupon: Option<CouponView>,
    /// Its campaign; `None` if the caller may not know about it.
    pub campaign: Option<CampaignView>,
}

impl Engine {
    /// Checks what redeem would answer. Writes nothing.
    ///
    /// # Errors
    /// `NotFound`; any other refusal is the answer.
    pub async fn check(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
    ) -> Result<CheckView> {
        let by = caller.acts_for(user)?;
        let found = self.find(text).await?;
        let change = self.change(caller, Action::Redeem { by: by.clone(), order });
        let applied = self.hot.dry_run(&found, change).await?;
        let refusal = match applied.outcome {
            Outcome::Accepted(_) | Outcome::Replayed => None,
            Outcome::Refused(Refusal::NotFound) => {
                return Err(Failure::refused(Refusal::NotFound));
            }
            Outcome::Refused(refusal) => Some(refusal),
        };
        // The dry run has the coupon as it would be; the answer shows it as it is.
        let snapshot = match (&found, &applied.snapshot) {
            (Found::Coupon(address), _) => self.hot.read(address).await?,
            (Found::Shared { .. }, Some(snapshot)) => self.as_it_is(snapshot, &by).await?,
            (Found::Shared { .. }, None) => None,
        };
        let id = match &found {
            Found::Coupon(address) => address.owner.campaign.clone(),
            Found::Shared { campaign } => campaign.clone(),
        };
        let shown = refusal != Some(Refusal::NotIssued);
        let coupon = snapshot.filter(|_| shown).and_then(|snapshot| self.view(caller, &snapshot));
        let campaign = self.campaign(caller, &id).await?;
        Ok(CheckView { refusal, coupon, campaign: Some(campaign) })
    }

    /// The coupon that a dry run found behind a shared code, as it is: the user's own, or `None` if
    /// the dry run took it from the stock.
    async fn as_it_is(
        &self,
        snapshot: &CouponSnapshot,
        by: &UserId,
    ) -> Result<Option<CouponSnapshot>> {
        let text = CodeText::from(snapshot.coupon.code().clone());
        let Found::Coupon(address) = self.find(&text).await? else { return Ok(None) };
        let snapshot = self.hot.read(&address).await?;
        Ok(snapshot.filter(|snapshot| snapshot.coupon.holder() == Some(by)))
    }
}
