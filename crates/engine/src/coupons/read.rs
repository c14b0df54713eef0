//! Reads one coupon.

use coupon::code::CodeText;
use coupon::ids::{CampaignId, UserId};
use hot::{CouponFilter, CouponSnapshot, ListOrder, ListScope};
use router::Found;

use super::view::CouponView;
use crate::failure::{Failure, found};
use crate::lists::PAGE_MAX;
use crate::pages::PageQuery;
use crate::{Caller, Engine, Role};

impl Engine {
    /// Reads one coupon. A shared code stands for the caller's own coupon behind it.
    ///
    /// # Errors
    /// `NotFound`, also for somebody else's coupon.
    pub async fn coupon(
        &self,
        caller: &Caller,
        text: &CodeText,
        user: Option<UserId>,
    ) -> Result<CouponView, Failure> {
        if caller.role == Role::User && user.is_some() {
            // The answer would say whether another user holds a bearer code that they know.
            return Err(Failure::invalid("user_id", "users ask for themselves: leave it out"));
        }
        let snapshot = match self.find(text).await? {
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
    ) -> Result<Option<CouponSnapshot>, Failure> {
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
