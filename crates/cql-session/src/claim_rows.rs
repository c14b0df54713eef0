//! The claim of a user in a campaign, as its row has it.

use std::collections::{BTreeMap, BTreeSet};

use coupon::code::Code;
use coupon::ids::{CampaignId, OperationId, UserId};
use hot::protocol::{Choice, Choices, ClaimIntent};
use scylla::value::CqlDate;
use scylla::{DeserializeValue, SerializeValue};
use uuid::Uuid;

use crate::values::{parsed, signed};
use crate::{Cas, CqlSession, Result, StatementProfile};

#[derive(Default)]
pub struct ClaimRow {
    /// `None`: there is no claim.
    pub revision: Option<i64>,
    pub entries: BTreeMap<i32, EntryValue>,
    pub choices: BTreeMap<i32, ChoiceValue>,
}

/// The type `claim_entry`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub struct EntryValue {
    pub expiry_day: CqlDate,
    pub code: String,
    pub reference: Option<String>,
    /// 0 in an entry that was copied from another store, whose event is certain.
    pub sequence: i32,
    pub issue: Option<i32>,
    pub operation: Uuid,
    pub version: i64,
}

impl EntryValue {
    pub fn intent(&self) -> ClaimIntent {
        ClaimIntent {
            sequence: usize::try_from(self.sequence).unwrap_or(0),
            operation: OperationId(self.operation.as_u128()),
            version: self.version.unsigned_abs(),
        }
    }
}

/// The type `claim_choice`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub struct ChoiceValue {
    order_ref: String,
    code: String,
    version: i64,
}

impl ChoiceValue {
    pub fn of(choice: &Choice) -> ChoiceValue {
        ChoiceValue {
            order_ref: choice.order.to_string(),
            code: choice.code.to_string(),
            version: signed(choice.version),
        }
    }

    fn choice(&self) -> Result<Choice> {
        Ok(Choice {
            order: parsed("claim.order_ref", &self.order_ref)?,
            code: parsed("claim.code", &self.code)?,
            version: self.version.unsigned_abs(),
        })
    }
}

impl ClaimRow {
    pub fn choices(&self) -> Result<Choices> {
        self.choices.iter().map(|(slot, value)| Ok((*slot, value.choice()?))).collect()
    }
}

/// What an update writes into a claim.
#[derive(Clone, Copy)]
pub enum ClaimWrite<'a> {
    Entry(i32, &'a EntryValue),
    Choice(i32, &'a ChoiceValue),
}

impl ClaimWrite<'_> {
    pub fn is_in(self, row: &ClaimRow) -> bool {
        match self {
            ClaimWrite::Entry(slot, value) => row.entries.get(&slot) == Some(value),
            ClaimWrite::Choice(slot, value) => row.choices.get(&slot) == Some(value),
        }
    }
}

impl CqlSession {
    pub async fn claim_row(
        &self,
        profile: StatementProfile,
        id: &CampaignId,
        user: &UserId,
    ) -> Result<ClaimRow> {
        let cql =
            "SELECT revision, claimed, chosen FROM claim WHERE campaign_id = ? AND user_id = ?";
        let values = (id.as_str(), user.as_str());
        type Row =
            (Option<i64>, Option<BTreeMap<i32, EntryValue>>, Option<BTreeMap<i32, ChoiceValue>>);
        let row: Option<Row> = self.row_with(profile, cql, values).await?;
        let (revision, entries, choices) = row.unwrap_or_default();
        let (entries, choices) = (entries.unwrap_or_default(), choices.unwrap_or_default());
        Ok(ClaimRow { revision, entries, choices })
    }

    pub async fn claimed_codes(&self, id: &CampaignId, user: &UserId) -> Result<BTreeSet<Code>> {
        let cql = "SELECT claimed FROM claim WHERE campaign_id = ? AND user_id = ?";
        let values = (id.as_str(), user.as_str());
        let entries: Option<BTreeMap<i32, EntryValue>> = self.value(cql, values).await?;
        entries.iter().flatten().map(|(_, entry)| parsed("claim.code", &entry.code)).collect()
    }

    /// Gives a claim the revision `next`, if it has the one that was read.
    pub async fn change_claim(
        &self,
        profile: StatementProfile,
        (id, user): (&CampaignId, &UserId),
        (revision, next): (Option<i64>, i64),
        write: ClaimWrite<'_>,
    ) -> Result<Cas> {
        let (id, user) = (id.as_str(), user.as_str());
        match write {
            ClaimWrite::Entry(slot, value) => {
                let cql = "UPDATE claim SET revision = ?, claimed[?] = ? \
                           WHERE campaign_id = ? AND user_id = ? IF revision = ?";
                self.change(profile, cql, (next, slot, value, id, user, revision)).await
            }
            ClaimWrite::Choice(slot, value) => {
                let cql = "UPDATE claim SET revision = ?, chosen[?] = ? \
                           WHERE campaign_id = ? AND user_id = ? IF revision = ?";
                self.change(profile, cql, (next, slot, value, id, user, revision)).await
            }
        }
    }

    /// Writes an entry of another claim, with a write time in microseconds.
    pub async fn put_claim_entry(
        &self,
        (id, user): (&CampaignId, &UserId),
        (slot, value): (i32, &EntryValue),
        written: i64,
    ) -> Result<()> {
        let cql = "UPDATE claim USING TIMESTAMP ? SET revision = ?, claimed[?] = ? \
                   WHERE campaign_id = ? AND user_id = ?";
        let values = (written, i64::from(slot), slot, value, id.as_str(), user.as_str());
        self.write(cql, values).await
    }
}
