//! Claims: an entry in the user's claim comes before the write that makes them a holder, so that
//! limits hold.
//!
//! A claim is one row for a user in a campaign. An entry names the code before the coupon is
//! written, and counts while the coupon names this user. If the coupon does not have the entry's
//! event yet, the process that began it may have died, or may be frozen and go on later. So another
//! process that reads such an entry finishes it; if the rules refuse that, it makes sure that the
//! first process cannot finish it either.
//!
//! A claim also has *choices*: which coupon of the user an order changes behind a shared code. They are
//! written before that coupon, under the same revision; [`hot::protocol::shared_step`] says what they are
//! for. A copy of a store has none: it ends after its source was stopped, when no try of an order is under way.

mod entering;
mod reading;

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::ids::{CampaignId, IssueRef, OperationId, UserId};
use hot::protocol::{self, Choice, Choices, ClaimIntent, NamedEntry};
use scylla::value::CqlDate;
use scylla::{DeserializeValue, SerializeValue};
use uuid::Uuid;

use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::{CqlPlace, Written};
use crate::values::{parsed, signed};
use cql_session::{Result, StatementProfile};
use entering::ClaimWrite;

pub(crate) type Claim = protocol::Claim<CqlPlace, ClaimSlot>;

pub(crate) type NewEntry = protocol::NewEntry<ClaimSlot>;

/// Where the next entry of a claim goes, and the revision of the claim that it is written for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimSlot {
    revision: Option<i64>,
    /// The slot of an entry that came to nothing, or the one after all.
    slot: i32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClaimNeed<'a> {
    /// The coupon that the request of this name was given: if there is one, nothing else is read.
    pub(crate) name: Option<&'a IssueRef>,
    /// A coupon that does not count.
    pub(crate) beside: Option<&'a Code>,
    /// Every coupon, not only as many as the limit allows.
    pub(crate) all: bool,
}

pub(crate) struct ReadClaim {
    pub(crate) named: Option<NamedEntry<CqlPlace>>,
    pub(crate) claim: Claim,
    /// Read before the coupons of the claim.
    pub(crate) choices: Choices,
}

struct ClaimRow {
    revision: Option<i64>,
    entries: BTreeMap<i32, EntryValue>,
    choices: BTreeMap<i32, ChoiceValue>,
}

/// The type `claim_entry`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub(crate) struct EntryValue {
    pub(crate) expiry_day: CqlDate,
    pub(crate) code: String,
    pub(crate) reference: Option<String>,
    /// 0 in an entry that was copied from another store, whose event is certain.
    pub(crate) sequence: i32,
    pub(crate) issue: Option<i32>,
    pub(crate) operation: Uuid,
    pub(crate) version: i64,
}

impl EntryValue {
    pub(crate) fn intent(&self) -> ClaimIntent {
        ClaimIntent {
            sequence: usize::try_from(self.sequence).unwrap_or(0),
            operation: OperationId(self.operation.as_u128()),
            version: self.version.unsigned_abs(),
        }
    }
}

/// The type `claim_choice`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
struct ChoiceValue {
    order_ref: String,
    code: String,
    version: i64,
}

impl ChoiceValue {
    fn of(choice: &Choice) -> ChoiceValue {
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
    fn choices(&self) -> Result<Choices> {
        self.choices.iter().map(|(slot, value)| Ok((*slot, value.choice()?))).collect()
    }
}

impl CqlStore {
    async fn claim_row(
        &self,
        profile: StatementProfile,
        campaign: &CampaignHere,
        user: &UserId,
    ) -> Result<ClaimRow> {
        let cql =
            "SELECT revision, claimed, chosen FROM claim WHERE campaign_id = ? AND user_id = ?";
        let values = (campaign.terms.id.as_str(), user.as_str());
        type Row =
            (Option<i64>, Option<BTreeMap<i32, EntryValue>>, Option<BTreeMap<i32, ChoiceValue>>);
        let row: Option<Row> = self.session.row_with(profile, cql, values).await?;
        let (revision, entries, choices) = row.unwrap_or_default();
        let (entries, choices) = (entries.unwrap_or_default(), choices.unwrap_or_default());
        Ok(ClaimRow { revision, entries, choices })
    }

    pub(crate) async fn is_changed(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        claim: &Claim,
    ) -> Result<bool> {
        let row = self.claim_row(StatementProfile::Read, campaign, user).await?;
        Ok(row.revision != claim.end.slot.revision)
    }

    pub(crate) async fn is_claimed(
        &self,
        campaign: &CampaignId,
        user: &UserId,
        code: &Code,
    ) -> Result<bool> {
        let cql = "SELECT claimed FROM claim WHERE campaign_id = ? AND user_id = ?";
        let values = (campaign.as_str(), user.as_str());
        let entries: Option<BTreeMap<i32, EntryValue>> = self.session.value(cql, values).await?;
        Ok(entries.unwrap_or_default().into_values().any(|entry| entry.code == code.as_str()))
    }

    /// Of two tries of one order that have read the same claim, one writes its choice; the other one
    /// reads the claim again and finds it. An entry is written under the same revision, so the other
    /// one does not issue a new coupon for the order either.
    pub(crate) async fn choose(
        &self,
        campaign: &CampaignHere,
        claim: &Claim,
        slot: i32,
        choice: &Choice,
    ) -> Result<Written> {
        let value = ChoiceValue::of(choice);
        let (user, revision) = (&claim.user, claim.end.slot.revision);
        self.write_claim(campaign, user, revision, ClaimWrite::Choice(slot, &value)).await
    }
}
