//! Lists of coupons: which lists a caller may ask for. A list that would read every coupon is
//! refused.

use coupon::calendar::{Date, Zone};
use coupon::ids::{CampaignId, UserId};
use coupon::time::DAY_MS;
use hot::{CouponFilter, ListOrder, ListScope, Span};

use crate::coupon_view::CouponView;
use crate::failure::must_lie;
use crate::failure::{Failure, Result};
use crate::pages::{CursorPosition, PAGE_MAX, PageQuery};
use crate::{Caller, Engine, Role};

/// Items of a page if the caller does not say.
pub const PAGE_DEFAULT: usize = 50;

/// Longest span of `expires_at` in a list of everybody's coupons, in days: a month.
pub const SPAN_DAYS_MAX: i64 = 31;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Users always list their own.
    pub user: Option<UserId>,
    pub campaign: Option<CampaignId>,
    pub filter: CouponFilter,
    /// Only those whose last day this is, in this zone.
    pub expires_on: Option<(Date, Zone)>,
    pub order: ListOrder,
    pub after: Option<CursorPosition>,
    /// [`PAGE_DEFAULT`] by default.
    pub limit: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct ListView {
    pub coupons: Vec<CouponView>,
    pub next: Option<CursorPosition>,
}

impl Engine {
    /// Reads one page of the coupons that have an event or were imported. A minted coupon without
    /// an event has no row and is in no list.
    ///
    /// # Errors
    /// `Invalid` if the list would have to read every coupon.
    pub async fn list(&self, caller: &Caller, request: ListRequest) -> Result<ListView> {
        let mut filter = request.filter;
        if let Some((on, zone)) = &request.expires_on {
            if filter.expires != Span::default() {
                return Err(Failure::invalid(
                    "expires_on",
                    "stands beside expires_from or expires_before: give one of them",
                ));
            }
            // The last millisecond lies on the day, so the exclusive expiry is one later.
            filter.expires = Span {
                from: Some(on.first_instant(zone).plus_ms(1)),
                before: Some(on.end(zone).plus_ms(1)),
            };
        }
        must_lie("limit", request.limit, 1, PAGE_MAX as u64)?;
        let scope = scope(caller, request.user, request.campaign, &mut filter)?;
        if let ListScope::Campaign(id) = &scope {
            self.handout(id).await?;
        }
        let limit = request.limit.map_or(PAGE_DEFAULT, |limit| limit as usize);
        let query = PageQuery { scope, filter, order: request.order, after: request.after, limit };
        let page = Box::pin(self.page(query)).await?;
        let coupons =
            page.snapshots.iter().filter_map(|snapshot| self.view(caller, snapshot)).collect();
        Ok(ListView { coupons, next: page.next })
    }
}

fn scope(
    caller: &Caller,
    user: Option<UserId>,
    campaign: Option<CampaignId>,
    filter: &mut CouponFilter,
) -> Result<ListScope> {
    let holder = match caller.role {
        Role::User => Some(caller.acts_for(user)?),
        Role::Shop if user.is_none() => {
            return Err(Failure::invalid("user_id", "is missing: say whose"));
        }
        Role::Shop | Role::Operator | Role::Admin => user,
    };
    match (holder, campaign) {
        (Some(user), campaign) => {
            filter.campaign = campaign;
            Ok(ListScope::Holder(user))
        }
        (None, Some(campaign)) => Ok(ListScope::Campaign(campaign)),
        (None, None) => match (filter.expires.from, filter.expires.before) {
            (Some(from), Some(before)) if before.0 - from.0 <= SPAN_DAYS_MAX * DAY_MS => {
                Ok(ListScope::Everybody)
            }
            _ => {
                let detail = format!(
                    "this would look at every coupon: name user_id or campaign_id, or give \
                     expires_on, or expires_from and expires_before at most {SPAN_DAYS_MAX} days \
                     apart"
                );
                Err(Failure::invalid("user_id", detail))
            }
        },
    }
}
