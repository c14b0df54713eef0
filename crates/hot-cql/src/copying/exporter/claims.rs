//! Entries of claims as items of a copy: those that came to something.

use std::collections::BTreeMap;

use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::time::Day;
use hot::copying::{CopiedClaim, Item, Page};
use scylla::DeserializeRow;

use super::{AT_ONCE, ByToken, by_token, limit_of};
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::claims::EntryValue;
use crate::copying::Position;
use crate::coupons::Located;
use crate::session::{Result, StatementProfile};
use crate::values::parsed;

impl Store {
    pub(crate) async fn copied_claims(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(campaign_id, user_id) AS at_token, campaign_id, user_id, claimed \
                   FROM claim WHERE token(campaign_id, user_id) > ? LIMIT ?";
        // A row has several entries.
        let limit = (limit / 4).max(2);
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<ClaimsRow> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit);
        let mut wanted = Vec::new();
        for row in &rows {
            let owner: (CampaignId, UserId) =
                (parsed("campaign_id", &row.campaign_id)?, parsed("user_id", &row.user_id)?);
            for (slot, value) in row.claimed.iter().flatten() {
                wanted.push((owner.clone(), *slot, value));
            }
        }
        let traces = wanted.iter().map(|(_, _, value)| self.trace_entry(value));
        let traces = bounded_join(AT_ONCE, traces).await?;
        let coupons = self.resolve(traces).await?;
        let mut items = Vec::with_capacity(wanted.len());
        for (((campaign, user), slot, value), coupon) in wanted.into_iter().zip(coupons) {
            let Some(day) = happened_on(value, coupon, &user) else { continue };
            items.push(Item::Claim(CopiedClaim {
                campaign,
                user,
                slot: i64::from(slot),
                day,
                code: parsed("claim.code", &value.code)?,
                reference: value.reference.as_deref().map(IssueRef::stored),
                issue: value.issue.map(i64::from),
            }));
        }
        Ok(Page { items, next })
    }
}

/// The partition in which the coupon of an entry is by now, if the entry came to something: an
/// issue that was not finished was answered to no user.
pub(super) fn happened_on(
    value: &EntryValue,
    coupon: Option<Located>,
    user: &UserId,
) -> Option<Day> {
    let happened = |it: &Located| value.intent().happened(&it.coupon, user);
    coupon.filter(happened).map(|located| located.day)
}

#[derive(DeserializeRow)]
struct ClaimsRow {
    at_token: i64,
    campaign_id: String,
    user_id: String,
    claimed: Option<BTreeMap<i32, EntryValue>>,
}

impl ByToken for ClaimsRow {
    fn token(&self) -> i64 {
        self.at_token
    }
}
