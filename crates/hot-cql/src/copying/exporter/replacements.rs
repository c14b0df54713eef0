//! Replacements as items of a copy: those for which another coupon was issued.

use std::collections::BTreeMap;

use coupon::ids::UserId;
use hot::copying::{CopiedReplacement, Item, Page};
use scylla::DeserializeRow;

use super::claims::happened_on;
use super::{ByToken, by_token, limit_of};
use crate::Store;
use crate::claims::EntryValue;
use crate::copying::Position;
use crate::session::{Result, StatementProfile};
use crate::values::parsed;

impl Store {
    pub(crate) async fn copied_replacements(
        &self,
        at: &Position<'_>,
        limit: usize,
    ) -> Result<Page> {
        let cql = "SELECT token(replaced) AS at_token, replaced, campaign_id, user_id, reference, \
                   issue FROM replacement WHERE token(replaced) > ? LIMIT ?";
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<ReplacementRow> =
            self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit.max(2));
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            if !self.was_replaced(&row).await? {
                continue;
            }
            items.push(Item::Replacement(CopiedReplacement {
                replaced: parsed("replaced", &row.replaced)?,
                user: row.user_id.unwrap_or_default(),
                issue: row.issue.map(i64::from),
            }));
        }
        Ok(Page { items, next })
    }

    /// Whether another coupon was issued: the replacement is won before that.
    pub(super) async fn was_replaced(&self, row: &ReplacementRow) -> Result<bool> {
        let (Some(campaign), Some(user), Some(name)) =
            (&row.campaign_id, &row.user_id, &row.reference)
        else {
            return Ok(true);
        };
        if row.issue == Some(hot::protocol::ANY_ISSUE) || name.is_empty() {
            return Ok(true);
        }
        let cql = "SELECT claimed FROM claim WHERE campaign_id = ? AND user_id = ?";
        let claim: Option<(Option<BTreeMap<i32, EntryValue>>,)> = self
            .session
            .row(StatementProfile::Read, cql, (campaign.as_str(), user.as_str()))
            .await?;
        let entries = claim.and_then(|(entries,)| entries).unwrap_or_default();
        let named = entries.values().find(|entry| entry.reference.as_ref() == Some(name));
        let Some(value) = named else { return Ok(false) };
        let trace = self.trace_entry(value).await?;
        let coupon = self.resolve(vec![trace]).await?.pop().flatten();
        let user: UserId = parsed("user_id", user)?;
        Ok(happened_on(value, coupon, &user).is_some())
    }
}

#[derive(DeserializeRow)]
pub(super) struct ReplacementRow {
    at_token: i64,
    replaced: String,
    campaign_id: Option<String>,
    user_id: Option<String>,
    reference: Option<String>,
    issue: Option<i32>,
}

impl ByToken for ReplacementRow {
    fn token(&self) -> i64 {
        self.at_token
    }
}
