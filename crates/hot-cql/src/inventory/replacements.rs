//! Replacements.

use coupon::code::Code;
use coupon::ids::UserId;
use hot::inventory::{Item, Page, Reading, ReplacementItem};
use scylla::DeserializeRow;

use super::Position;
use super::claims::happened;
use crate::Store;
use crate::values::parsed;
use cql_session::Result;

macro_rules! replacement_columns {
    () => {
        "SELECT token(replaced) AS at_token, replaced, campaign_id, user_id, reference, issue \
         FROM replacement "
    };
}

impl Store {
    pub(super) async fn page_of_replacements(
        &self,
        reading: Reading,
        at: &Position<'_>,
        limit: usize,
    ) -> Result<Page> {
        let cql = concat!(replacement_columns!(), "WHERE token(replaced) > ? LIMIT ?");
        let (rows, next) =
            self.rows_by_token(cql, at, limit, |row: &ReplacementRow| row.at_token).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            if reading == Reading::InEffect && !self.was_replaced(&row).await? {
                continue;
            }
            items.push(Item::Replacement(ReplacementItem {
                replaced: parsed("replaced", &row.replaced)?,
                user: row.user_id.unwrap_or_default(),
                issue: row.issue.map(i64::from),
            }));
        }
        Ok(Page { items, next })
    }

    pub(super) async fn has_replacement(&self, replaced: &Code) -> Result<bool> {
        let cql = concat!(replacement_columns!(), "WHERE replaced = ?");
        let row: Option<ReplacementRow> = self.session.row(cql, (replaced.as_str(),)).await?;
        match row {
            Some(row) => self.was_replaced(&row).await,
            None => Ok(false),
        }
    }

    /// Whether another coupon was issued: the replacement is won before that.
    async fn was_replaced(&self, row: &ReplacementRow) -> Result<bool> {
        let (Some(campaign), Some(user), Some(name)) =
            (&row.campaign_id, &row.user_id, &row.reference)
        else {
            return Ok(true);
        };
        if row.issue == Some(hot::protocol::ANY_ISSUE) || name.is_empty() {
            return Ok(true);
        }
        let entries = self.claim_entries(campaign, user).await?;
        let named = entries.iter().find(|entry| entry.reference.as_ref() == Some(name));
        let Some(value) = named else { return Ok(false) };
        let trace = self.trace_entry(value).await?;
        let coupon = self.resolve(vec![trace]).await?.pop().flatten();
        let user: UserId = parsed("user_id", user)?;
        Ok(happened(value, coupon, &user).is_some())
    }
}

#[derive(DeserializeRow)]
struct ReplacementRow {
    at_token: i64,
    replaced: String,
    campaign_id: Option<String>,
    user_id: Option<String>,
    reference: Option<String>,
    issue: Option<i32>,
}
