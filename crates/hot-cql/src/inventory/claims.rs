//! Entries of claims.

use std::collections::BTreeMap;

use coupon::ids::IssueRef;
use hot::inventory::{Begun, ClaimItem, Item, Page, Unreadable};
use hot::protocol::ClaimIntent;
use scylla::DeserializeRow;

use super::Position;
use crate::Store;
use crate::claims::EntryValue;
use crate::values::{day, parsed};
use cql_session::Result;

impl Store {
    pub(super) async fn page_of_claims(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(campaign_id, user_id) AS at_token, campaign_id, user_id, claimed \
                   FROM claim WHERE token(campaign_id, user_id) > ? LIMIT ?";
        // A row has several entries.
        let (rows, next) =
            self.rows_by_token(cql, at, limit / 4, |row: &ClaimsRow| row.at_token).await?;
        let mut items = Vec::new();
        for row in &rows {
            for (slot, value) in row.claimed.iter().flatten() {
                match claim(row, *slot, value) {
                    Ok(claim) => items.push(Item::Claim(claim)),
                    Err(error) => items.push(Item::Unreadable(Unreadable {
                        about: format!("the claim of {} on {}", row.user_id, row.campaign_id),
                        why: error.to_string(),
                    })),
                }
            }
        }
        Ok(Page { items, next })
    }
}

fn claim(row: &ClaimsRow, slot: i32, value: &EntryValue) -> Result<ClaimItem> {
    let ClaimIntent { sequence, operation, .. } = value.intent();
    Ok(ClaimItem {
        campaign: parsed("campaign_id", &row.campaign_id)?,
        user: parsed("user_id", &row.user_id)?,
        slot: i64::from(slot),
        day: day(value.expiry_day),
        code: parsed("claim.code", &value.code)?,
        reference: value.reference.as_deref().map(IssueRef::stored),
        issue: value.issue.map(i64::from),
        begun: (sequence > 0).then_some(Begun { sequence, operation }),
    })
}

#[derive(DeserializeRow)]
struct ClaimsRow {
    at_token: i64,
    campaign_id: String,
    user_id: String,
    claimed: Option<BTreeMap<i32, EntryValue>>,
}
