//! Reads one coupon.

use coupon::code::CodeText;
use coupon::coupon::State;
use coupon::ids::{CampaignId, OrderRef, UserId};
use hot::{CouponFilter, CouponSnapshot, ListOrder, ListScope};
use router::{Found, Unknown};

use super::NEEDS_USER;
use crate::coupon_view::CouponView;
use crate::failure::{Failure, Result, found};
use crate::pages::{PAGE_MAX, PageQuery};
use crate::{Caller, Engine, Role};

/// Why a code was answered with `NotFound`, for people who look why it was refused. The caller is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFoundReason {
    /// The coupon exists, and nobody has it.
    NotIssued,
    /// The coupon exists, and somebody else has it, has held it or has redeemed it.
    OfAnotherUser,
    NoCoupon(Unknown),
}

impl NotFoundReason {
    pub fn as_str(self) -> &'static str {
        match self {
            NotFoundReason::NotIssued => "not_issued",
            NotFoundReason::OfAnotherUser => "of_another_user",
            NotFoundReason::NoCoupon(unknown) => unknown.as_str(),
        }
    }

    pub fn is_coupon(self) -> bool {
        !matches!(self, NotFoundReason::NoCoupon(_))
    }
}

impl Engine {
    /// Why a code was answered with `NotFound`. One read, and 0.1 ms for each key if no coupon has the code.
    ///
    /// # Errors
    /// Those of the stores: then nothing is known.
    pub async fn not_found_reason(&self, text: &CodeText) -> Result<NotFoundReason> {
        let found = match self.router.find(text, self.hot.as_ref()).await? {
            Some(Found::Coupon(address)) => self.hot.read(&address).await?,
            // Everybody may use a shared code; what was not found is a coupon behind it.
            Some(Found::Shared { .. }) => return Ok(NotFoundReason::NotIssued),
            None => None,
        };
        Ok(match found {
            None => NotFoundReason::NoCoupon(self.router.unknown(text)),
            Some(it) if *it.coupon.state() == State::Available => NotFoundReason::NotIssued,
            Some(_) => NotFoundReason::OfAnotherUser,
        })
    }

    /// Reads one coupon. A shared code stands for the caller's own coupon behind it.
    ///
    /// # Errors
    /// `NotFound`, also for somebody else's coupon.
    pub async fn coupon(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
    ) -> Result<CouponView> {
        users_name_nobody(caller, user.as_ref())?;
        let found_at = self.find(text).await?;
        self.coupon_at(caller, found_at, user).await
    }

    /// Reads one coupon that must belong to a user or to an order, if they are named. With a shared code, a shop names
    /// one of them.
    ///
    /// # Errors
    /// `NotFound`, also for somebody else's coupon; `Invalid` for a shared code if nobody says whose coupon is meant.
    pub async fn coupon_of(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
        order: Option<OrderRef>,
    ) -> Result<CouponView> {
        users_name_nobody(caller, user.as_ref())?;
        let found_at = self.find(text).await?;
        if let (Found::Shared { campaign }, true) = (&found_at, caller.role != Role::User) {
            if let Some(order) = &order {
                let redeemed = Box::pin(self.redeemed_behind(campaign, user.as_ref(), order));
                if let Some(snapshot) = redeemed.await? {
                    return found(self.view(caller, &snapshot));
                }
            }
            if user.is_none() {
                return Err(Failure::invalid("user_id", NEEDS_USER));
            }
        }
        let view = self.coupon_at(caller, found_at, user).await?;
        let is_wanted = order.as_ref().is_none_or(|order| {
            let redeemed = view.coupon.redemption_of(order).is_some();
            view.in_full && (redeemed || view.order.as_ref() == Some(order))
        });
        found(Some(view).filter(|_| is_wanted))
    }

    async fn coupon_at(
        &self,
        caller: &Caller,
        found_at: Found,
        user: Option<UserId>,
    ) -> Result<CouponView> {
        let snapshot = match found_at {
            Found::Coupon(address) => self.hot.read(&address).await?,
            // The future of a page over both tiers has 10 KB. Boxed, it is not moved around in
            // calls that ask for one coupon.
            Found::Shared { campaign } => {
                Box::pin(self.newest_of(caller, user.clone(), campaign)).await?
            }
        };
        let named =
            |snapshot: &CouponSnapshot| user.is_none() || snapshot.coupon.holder() == user.as_ref();
        let seen = snapshot.filter(named).and_then(|snapshot| self.view(caller, &snapshot));
        found(seen)
    }

    async fn newest_of(
        &self,
        caller: &Caller,
        user: Option<UserId>,
        campaign: CampaignId,
    ) -> Result<Option<CouponSnapshot>> {
        let holder = match caller.role {
            Role::User => Some(caller.subject.clone()),
            Role::Shop | Role::Operator | Role::Admin => user,
        };
        let Some(holder) = holder else { return Ok(None) };
        let query = PageQuery {
            scope: ListScope::Holder(holder),
            filter: CouponFilter { campaign: Some(campaign), ..CouponFilter::default() },
            order: ListOrder::Latest,
            after: None,
            limit: PAGE_MAX,
        };
        // Of the coupons with the latest expiry, the one issued last: each tier orders coupons of
        // one expiry in its own way.
        let snapshots = self.page(query).await?.snapshots;
        let newest =
            |snapshot: &CouponSnapshot| (snapshot.coupon.expires_at(), snapshot.coupon.issued_at());
        Ok(snapshots.into_iter().max_by_key(newest))
    }
}

/// Refuses a user who names one, before anything is read: the answer would say whether another user holds a bearer code
/// that they know.
fn users_name_nobody(caller: &Caller, user: Option<&UserId>) -> Result<()> {
    if caller.role == Role::User && user.is_some() {
        return Err(Failure::invalid("user_id", "users ask for themselves: leave it out"));
    }
    Ok(())
}
