//! What an order does with a coupon: check, hold and release, redeem and cancel.

use coupon::apply::Action;
use coupon::code::CodeText;
use coupon::coupon::Redemption;
use coupon::ids::{CampaignId, OrderRef, Reason, UserId};
use coupon::money::AMOUNT_MAX;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use coupon::worth::{OrderMoney, RedemptionWorth};
use hot::CouponSnapshot;
use router::Found;

use crate::campaigns::CampaignView;
use crate::coupon_view::CouponView;
use crate::failure::{Failure, Result, WriteResult, must_lie};
use crate::{Caller, Engine, Role};

/// How long a hold lasts if the caller does not say: a check-out.
pub const HOLD_SECONDS_DEFAULT: u32 = 900;

/// Longest hold: seven days.
pub const HOLD_SECONDS_MAX: u32 = 604_800;

const _: () = assert!(HOLD_SECONDS_MAX as i64 * 1000 == coupon::apply::HOLD_MAX_MS);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    pub order: OrderRef,
    pub until: Millis,
    /// What a redemption for this order would keep.
    pub worth: Option<RedemptionWorth>,
    pub coupon: CouponView,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckView {
    pub refusal: Option<Refusal>,
    /// What the redemption would keep, or keeps.
    pub worth: Option<RedemptionWorth>,
    /// The coupon; `None` if a shared code would issue one first.
    pub coupon: Option<CouponView>,
    pub campaign: CampaignView,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionView {
    /// The coupon's code as people read it.
    pub code: String,
    pub campaign: CampaignId,
    pub redemption: Redemption,
}

pub(crate) fn must_be_money(money: &OrderMoney) -> Result<()> {
    must_lie("order_amount", money.amount.map(|amount| amount.whole), 0, AMOUNT_MAX)?;
    must_lie("discount", money.discount, 0, AMOUNT_MAX)
}

/// Refuses also those of a user: what is kept is what the shop says, or anybody could say what a campaign has cost.
fn must_be_money_of_shop(caller: &Caller, money: &OrderMoney) -> Result<()> {
    let fields = [
        ("order_amount", money.amount.is_some()),
        ("currency", money.currency.is_some()),
        ("discount", money.discount.is_some()),
    ];
    if let (Role::User, Some((field, _))) = (caller.role, fields.iter().find(|it| it.1)) {
        let detail =
            "is said by the shop alone: redeem with a token of the shop, or without amounts";
        return Err(Failure::invalid(field, detail));
    }
    must_be_money(money)
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
        money: OrderMoney,
    ) -> Result<CheckView> {
        let by = caller.acts_for(user)?;
        must_be_money(&money)?;
        let found = self.find(text).await?;
        let change = self.change(caller, Action::Redeem { by: by.clone(), order, money });
        let applied = self.hot.dry_run(&found, change.clone()).await?;
        let (refusal, worth) = (applied.refusal(), applied.worth(&change));
        if refusal == Some(Refusal::NotFound) {
            return Err(Failure::refused(Refusal::NotFound));
        }
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
        Ok(CheckView { refusal, worth, coupon, campaign })
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

    pub async fn hold(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
        seconds: Option<u32>,
        money: OrderMoney,
    ) -> Result<WriteResult<HoldView>> {
        let by = caller.acts_for(user)?;
        let until = self.held_until(seconds)?;
        must_be_money_of_shop(caller, &money)?;
        let change = self.change(caller, Action::Hold { by, order: order.clone(), until, money });
        let found = self.find(text).await?;
        let applied = self.hot.apply(&found, change.clone()).await?;
        let worth = applied.worth(&change);
        Ok(self.settled(caller, applied)?.map(|snapshot| {
            let until = snapshot.coupon.hold().map_or(until, |hold| hold.until);
            HoldView { order, until, worth, coupon: self.view_at_least(caller, &snapshot) }
        }))
    }

    pub(crate) fn held_until(&self, seconds: Option<u32>) -> Result<Millis> {
        let seconds = seconds.unwrap_or(HOLD_SECONDS_DEFAULT);
        must_lie("seconds", Some(seconds.into()), 1, HOLD_SECONDS_MAX.into())?;
        Ok(self.now().plus_ms(i64::from(seconds) * 1000))
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

    /// Redeems a coupon for an order, once.
    pub async fn redeem(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: OrderRef,
        money: OrderMoney,
    ) -> Result<WriteResult<RedemptionView>> {
        let by = caller.acts_for(user)?;
        must_be_money_of_shop(caller, &money)?;
        let change = self.change(caller, Action::Redeem { by, order: order.clone(), money });
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
