//! What an order does with several coupons at once: with all of them, or with none.

use coupon::apply::{Action, Change, Outcome};
use coupon::code::CodeText;
use coupon::coupon::Redemption;
use coupon::ids::{CampaignId, OrderRef, Reason, UserId};
use coupon::money::Currency;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use coupon::worth::{OrderMoney, RedemptionWorth};
use hot::{Applied, CouponSnapshot, OrderDiscounts};
use router::Found;

use crate::coupons::order::must_be_money;
use crate::failure::{Failure, Result, WriteResult};
use crate::{Caller, Engine, Role};

/// Most coupons of one order: their changes are one write, for which others wait.
pub const ORDER_COUPONS_MAX: usize = 20;

/// The coupons of an order, in the order in which they are applied.
#[derive(Clone, Debug)]
pub struct OrderRequest {
    pub order: OrderRef,
    pub user: Option<UserId>,
    /// As the caller wrote them, each with what it reads as.
    pub codes: Vec<(String, Option<CodeText>)>,
    pub money: OrderMoney,
}

coupon::words! {
    /// What a coupon is to an order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum OrderCouponState {
        Refused = "refused",
        /// The order could redeem it now.
        Redeemable = "redeemable",
        Held = "held",
        Redeemed = "redeemed",
        /// The order has redeemed it, and given it back.
        Cancelled = "cancelled",
        /// The order has begun to redeem its coupons, and not come to this one.
        Missing = "missing",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderCoupon {
    /// As people read it.
    pub code: String,
    pub campaign: Option<CampaignId>,
    pub state: OrderCouponState,
    pub refusal: Option<Refusal>,
    /// What the redemption keeps, or would keep.
    pub worth: Option<RedemptionWorth>,
    pub held_until: Option<Millis>,
    pub redemption: Option<Redemption>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    pub order: OrderRef,
    pub coupons: Vec<OrderCoupon>,
}

impl OrderView {
    /// Whether no coupon is refused or missing.
    pub fn is_complete(&self) -> bool {
        use OrderCouponState::{Missing, Refused};
        !self.coupons.iter().any(|it| matches!(it.state, Refused | Missing))
    }

    /// The amounts of the order: its discount is that of all coupons which are not cancelled. `None` if nobody said any,
    /// or in several currencies.
    pub fn worth(&self) -> Option<RedemptionWorth> {
        let counted = self.coupons.iter().filter(|it| it.state != OrderCouponState::Cancelled);
        let all: Vec<RedemptionWorth> = counted.filter_map(|it| it.worth).collect();
        let currency: Option<Currency> = all.first().map(|it| it.currency);
        if all.iter().any(|it| Some(it.currency) != currency) {
            return None;
        }
        let order_amount = all.iter().filter_map(|it| it.order_amount).max();
        let discounts = all.iter().filter_map(|it| it.discount);
        let discount = discounts.reduce(|sum, discount| sum.saturating_add(discount));
        RedemptionWorth::of(currency, order_amount, discount)
    }
}

/// One coupon that a request names, and the change of it; `None` if there is no such coupon.
struct AskedCoupon {
    text: String,
    change: Option<(Found, Change)>,
}

impl Engine {
    /// Checks what [`Engine::redeem_order`] would answer. Refusals are a part of the answer.
    ///
    /// # Errors
    /// [`Failure::OrderRefused`] if a coupon does not exist, or is not the user's.
    pub async fn check_order(&self, caller: &Caller, request: OrderRequest) -> Result<OrderView> {
        let by = acts_in_order(caller, &request)?;
        let action = Action::Redeem { by, order: request.order.clone(), money: request.money };
        let asked = self.asked(caller, &request, &action).await?;
        let applied = self.hot.dry_run_all(changes_of(&asked)).await?;
        let view = self.order_view(request.order, asked, applied, OrderCouponState::Redeemable);
        match view.coupons.iter().any(|it| it.refusal == Some(Refusal::NotFound)) {
            true => Err(refused(view)),
            false => Ok(view),
        }
    }

    /// Holds all coupons for the order.
    ///
    /// # Errors
    /// [`Failure::OrderRefused`]: none is held by this call.
    pub async fn hold_order(
        &self,
        caller: &Caller,
        request: OrderRequest,
        seconds: Option<u32>,
    ) -> Result<WriteResult<OrderView>> {
        let by = acts_in_order(caller, &request)?;
        let (until, order) = (self.held_until(seconds)?, request.order.clone());
        let action = Action::Hold { by, order, until, money: request.money };
        let asked = self.asked(caller, &request, &action).await?;
        self.apply_order(request.order, asked, OrderCouponState::Held).await
    }

    /// Redeems all coupons for the order, each of them once.
    ///
    /// # Errors
    /// [`Failure::OrderRefused`]: none is redeemed by this call.
    pub async fn redeem_order(
        &self,
        caller: &Caller,
        request: OrderRequest,
    ) -> Result<WriteResult<OrderView>> {
        let by = acts_in_order(caller, &request)?;
        let action = Action::Redeem { by, order: request.order.clone(), money: request.money };
        let asked = self.asked(caller, &request, &action).await?;
        self.apply_order(request.order, asked, OrderCouponState::Redeemed).await
    }

    /// Cancels what the order has redeemed: the coupons that are named, or all.
    ///
    /// # Errors
    /// [`Failure::OrderRefused`]: none is cancelled by this call. `NotFound`: the order has redeemed nothing.
    pub async fn cancel_order(
        &self,
        caller: &Caller,
        request: OrderRequest,
        reason: Option<Reason>,
    ) -> Result<WriteResult<OrderView>> {
        caller.must_be(&[Role::Shop, Role::Admin])?;
        must_be_few(request.codes.len(), 0)?;
        let order = request.order.clone();
        let cancel = Action::CancelRedemption { order: order.clone(), reason };
        let mut asked = self.asked(caller, &request, &cancel).await?;
        if request.codes.is_empty() {
            let found = self.coupons_of_order(&order).await?;
            let OrderCoupons { redeemed, missing } = found.ok_or_else(|| {
                let detail = "are missing: this store keeps no list of what an order redeemed";
                Failure::invalid("coupons", detail)
            })?;
            let release = Action::Release { order: order.clone() };
            // First what is not redeemed: a call that is still under way then redeems no more.
            let all = missing.iter().map(|it| (it, &release));
            for (snapshot, action) in all.chain(redeemed.iter().map(|it| (it, &cancel))) {
                if request.user.is_some() && snapshot.coupon.holder() != request.user.as_ref() {
                    continue;
                }
                let found = self.find(&snapshot.coupon.code().clone().into()).await?;
                let change = Some((found, self.change(caller, action.clone())));
                asked.push(AskedCoupon { text: self.printed_of(snapshot), change });
            }
            if asked.is_empty() {
                return Err(Failure::refused(Refusal::NotFound));
            }
            // By single calls it may have redeemed any number.
            must_be_few(asked.len(), 1)?;
        }
        for it in &mut asked {
            if let Some((found, Change { action, .. })) = it.change.take() {
                let user = request.user.clone();
                it.change = Some(self.giving_back(caller, found, user, &order, action).await?);
            }
        }
        self.apply_order(order, asked, OrderCouponState::Cancelled).await
    }

    /// What an order has redeemed, and what it has begun to. `None`: the store does not keep that.
    ///
    /// # Errors
    /// `NotFound`: the order has redeemed nothing.
    pub async fn order(&self, caller: &Caller, order: OrderRef) -> Result<Option<OrderView>> {
        caller.must_be(&[Role::Shop, Role::Operator, Role::Admin])?;
        let Some(found) = self.coupons_of_order(&order).await? else { return Ok(None) };
        let OrderCoupons { redeemed, missing } = found;
        if redeemed.is_empty() {
            return Err(Failure::refused(Refusal::NotFound));
        }
        let coupon = |snapshot: &CouponSnapshot| {
            let redemption = snapshot.coupon.redemption_of(&order);
            OrderCoupon {
                code: self.printed_of(snapshot),
                campaign: Some(snapshot.campaign.id.clone()),
                state: match &redemption {
                    None => OrderCouponState::Missing,
                    Some(redemption) if redemption.cancelled_at.is_some() => {
                        OrderCouponState::Cancelled
                    }
                    Some(_) => OrderCouponState::Redeemed,
                },
                refusal: None,
                worth: redemption.as_ref().and_then(|it| it.worth),
                held_until: None,
                redemption,
            }
        };
        let mut coupons: Vec<OrderCoupon> = redeemed.iter().map(coupon).collect();
        coupons.extend(missing.iter().map(coupon));
        Ok(Some(OrderView { order, coupons }))
    }

    /// The coupons that a request names, each once.
    async fn asked(
        &self,
        caller: &Caller,
        request: &OrderRequest,
        action: &Action,
    ) -> Result<Vec<AskedCoupon>> {
        let mut asked: Vec<AskedCoupon> = Vec::with_capacity(request.codes.len());
        for (at, (text, code)) in request.codes.iter().enumerate() {
            let found = match code {
                Some(code) => self.router.find(code, self.hot.as_ref()).await?,
                None => None,
            };
            let is_same = |it: &AskedCoupon| match (&it.change, &found) {
                (Some((one, _)), Some(other)) => is_one(one, other),
                _ => false,
            };
            if let Some(first) = asked.iter().position(is_same) {
                let detail = format!("is the coupon of coupons[{first}]: name each once");
                return Err(Failure::invalid(&format!("coupons[{at}]"), detail));
            }
            let change = found.map(|found| (found, self.change(caller, action.clone())));
            asked.push(AskedCoupon { text: text.clone(), change });
        }
        Ok(asked)
    }

    async fn apply_order(
        &self,
        order: OrderRef,
        asked: Vec<AskedCoupon>,
        done: OrderCouponState,
    ) -> Result<WriteResult<OrderView>> {
        let changes = changes_of(&asked);
        let applied = match asked.iter().all(|it| it.change.is_some()) {
            true => self.hot.apply_all(&order, changes).await?,
            // It is refused; this says what else would be.
            false => self.hot.dry_run_all(changes).await?,
        };
        let is_new = applied.iter().any(|it| matches!(it.outcome, Outcome::Accepted(_)));
        let view = self.order_view(order, asked, applied, done);
        match view.is_complete() {
            true if is_new => Ok(WriteResult::Created(view)),
            true => Ok(WriteResult::Same(view)),
            false => Err(refused(view)),
        }
    }

    /// What came of the changes; `done` is the state of a coupon that was not refused.
    fn order_view(
        &self,
        order: OrderRef,
        asked: Vec<AskedCoupon>,
        applied: Vec<Applied>,
        done: OrderCouponState,
    ) -> OrderView {
        let (mut applied, mut discounts) = (applied.into_iter(), OrderDiscounts::default());
        let mut coupons: Vec<OrderCoupon> = Vec::with_capacity(asked.len());
        for AskedCoupon { text, change } in asked {
            let came_of_it =
                change.and_then(|(_, change)| Some((discounts.before(&change), applied.next()?)));
            let Some((change, applied)) = came_of_it else {
                coupons.push(OrderCoupon::refused(text, Refusal::NotFound));
                continue;
            };
            discounts.add(&change, &applied);
            if let Some(refusal) = applied.refusal() {
                coupons.push(OrderCoupon::refused(text, refusal));
            } else if let Some(snapshot) = &applied.snapshot {
                let coupon = OrderCoupon {
                    code: self.printed_of(snapshot),
                    campaign: Some(snapshot.campaign.id.clone()),
                    state: done,
                    refusal: None,
                    worth: applied.worth(&change),
                    held_until: snapshot.coupon.hold().map(|hold| hold.until),
                    redemption: snapshot
                        .coupon
                        .redemption_of(&order)
                        .filter(|_| done != OrderCouponState::Redeemable),
                };
                // A shared code may stand for a coupon that the order has named.
                if coupons.iter().all(|it| it.code != coupon.code) {
                    coupons.push(coupon);
                }
            }
        }
        OrderView { order, coupons }
    }

    async fn coupons_of_order(&self, order: &OrderRef) -> Result<Option<OrderCoupons>> {
        let Some(mut redeemed) = self.redeemed_of_order(None, order).await? else {
            return Ok(None);
        };
        let mut missing = Vec::new();
        for code in self.hot.unfinished_order(order).await? {
            let Some(Found::Coupon(address)) =
                self.router.find(&code.into(), self.hot.as_ref()).await?
            else {
                continue;
            };
            let Some(snapshot) = self.hot.read(&address).await? else { continue };
            let is_known = |it: &CouponSnapshot| it.coupon.code() == snapshot.coupon.code();
            if snapshot.coupon.redemption_of(order).is_none() {
                missing.push(snapshot);
            } else if !redeemed.iter().any(is_known) {
                redeemed.push(snapshot);
            }
        }
        redeemed.sort_by_key(|it| it.coupon.redemption_of(order).map(|redemption| redemption.at));
        let is_live = |it: &CouponSnapshot| {
            it.coupon.redemption_of(order).is_some_and(|it| it.cancelled_at.is_none())
        };
        if !redeemed.iter().any(is_live) {
            // All or none: what was begun was undone.
            missing.clear();
        }
        Ok(Some(OrderCoupons { redeemed, missing }))
    }
}

/// What an order has redeemed, cancelled or not, oldest first, and the rest of it if it has redeemed a part.
struct OrderCoupons {
    redeemed: Vec<CouponSnapshot>,
    missing: Vec<CouponSnapshot>,
}

impl OrderCoupon {
    fn refused(code: String, refusal: Refusal) -> OrderCoupon {
        OrderCoupon {
            code,
            campaign: None,
            state: OrderCouponState::Refused,
            refusal: Some(refusal),
            worth: None,
            held_until: None,
            redemption: None,
        }
    }
}

fn acts_in_order(caller: &Caller, request: &OrderRequest) -> Result<UserId> {
    caller.must_be(&[Role::Shop, Role::Admin])?;
    must_be_money(&request.money)?;
    must_be_few(request.codes.len(), 1)?;
    caller.acts_for(request.user.clone())
}

fn must_be_few(coupons: usize, least: usize) -> Result<()> {
    if (least..=ORDER_COUPONS_MAX).contains(&coupons) {
        return Ok(());
    }
    let detail = format!("are {coupons} coupons, want {least} to {ORDER_COUPONS_MAX}");
    Err(Failure::invalid("coupons", detail))
}

fn changes_of(asked: &[AskedCoupon]) -> Vec<(Found, Change)> {
    asked.iter().filter_map(|it| it.change.clone()).collect()
}

fn is_one(one: &Found, other: &Found) -> bool {
    match (one, other) {
        (Found::Coupon(one), Found::Coupon(other)) => one.code == other.code,
        (Found::Shared { campaign: one }, Found::Shared { campaign: other }) => one == other,
        _ => false,
    }
}

fn refused(view: OrderView) -> Failure {
    let refused = view.coupons.into_iter().filter_map(|it| Some((it.code, it.refusal?)));
    Failure::OrderRefused(refused.collect())
}
