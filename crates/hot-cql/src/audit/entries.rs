//! Rows of the directory and of claims, as `verify` reads them: what cannot be read is an item,
//! too.

use std::collections::BTreeMap;

use coupon::ids::{CampaignId, OperationId, UserId};
use hot::audit::{AuditClaim, AuditEntry, AuditEntryIs, Begun};
use router::Owner;
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};

use crate::claims::EntryValue;
use crate::session::{Result, damaged};
use crate::values::{day, millis, parsed};

#[derive(DeserializeRow)]
pub(super) struct EntryRow {
    code: String,
    kind: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    expiry_day: Option<CqlDate>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
}

impl EntryRow {
    /// `None` if only the key is there: the write was not finished.
    pub(super) fn entry(self) -> Option<AuditEntry> {
        let kind = self.kind.clone()?;
        let name = |text: &Option<String>| text.clone().unwrap_or_default();
        let read = || -> Result<AuditEntryIs> {
            Ok(match kind.as_str() {
                "gone" => AuditEntryIs::Gone,
                "shared" => {
                    let campaign = parsed("campaign_id", &name(&self.campaign_id))?;
                    AuditEntryIs::Shared { campaign }
                }
                "coupon" => AuditEntryIs::Coupon {
                    owner: Owner {
                        campaign: parsed("campaign_id", &name(&self.campaign_id))?,
                        batch: parsed("batch_id", &name(&self.batch_id))?,
                    },
                    day: self.expiry_day.map(day).ok_or_else(|| damaged("no expiry_day"))?,
                    line: self.valid_from.map(millis).zip(self.expires_at.map(millis)),
                },
                other => return Err(damaged(format!("kind is {other:?}"))),
            })
        };
        let is = read().unwrap_or_else(|error| AuditEntryIs::Unreadable(error.to_string()));
        Some(AuditEntry { code: self.code, is })
    }
}

#[derive(DeserializeRow)]
pub(super) struct ClaimsRow {
    pub(super) campaign_id: String,
    pub(super) user_id: String,
    pub(super) claimed: Option<BTreeMap<i32, EntryValue>>,
}

pub(super) fn claim(
    campaign: &CampaignId,
    user: &UserId,
    value: &EntryValue,
) -> Result<AuditClaim> {
    let sequence = usize::try_from(value.sequence).unwrap_or(0);
    let operation = OperationId(value.operation.as_u128());
    Ok(AuditClaim {
        campaign: campaign.clone(),
        user: user.clone(),
        code: parsed("claim.code", &value.code)?,
        day: day(value.expiry_day),
        issue: value.issue.and_then(|issue| usize::try_from(issue).ok()),
        begun: (sequence > 0).then_some(Begun { sequence, operation }),
    })
}
