//! Entries of claims, written by a copy.

use hot::HotError;
use hot::inventory::ClaimItem;
use uuid::Uuid;

use super::LONG_AGO;
use crate::Store;
use crate::claims::EntryValue;
use crate::values::date;
use cql_session::Result;

impl Store {
    pub(super) async fn put_claim(&self, it: &ClaimItem) -> Result<()> {
        let slot = i32::try_from(it.slot)
            .map_err(|_| HotError::Damaged(format!("claim: entry {} is too far", it.slot)))?;
        let value = EntryValue {
            expiry_day: date(it.day),
            code: it.code.to_string(),
            reference: it.reference.as_ref().map(|name| name.as_str().to_owned()),
            // No event has this number: the entry is certain.
            sequence: 0,
            issue: it.issue.and_then(|issue| i32::try_from(issue).ok()),
            operation: Uuid::nil(),
            version: 0,
        };
        let cql = "UPDATE claim USING TIMESTAMP ? SET revision = ?, claimed[?] = ? \
                   WHERE campaign_id = ? AND user_id = ?";
        let written = LONG_AGO + i64::from(slot);
        let owner = (it.campaign.as_str(), it.user.as_str());
        let values = (written, i64::from(slot), slot, value, owner.0, owner.1);
        self.session.write(cql, values).await
    }
}
