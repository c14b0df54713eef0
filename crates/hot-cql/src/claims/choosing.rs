//! Choices of a claim: which coupon an order changes, written before that coupon.

use hot::protocol::{Choice, Choices};
use scylla::{DeserializeValue, SerializeValue};

use super::entering::ClaimWrite;
use super::{Claim, ClaimRow};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::Written;
use crate::values::{parsed, signed};
use cql_session::Result;

/// The type `claim_choice`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub(super) struct ChoiceValue {
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
    pub(super) fn choices(&self) -> Result<Choices> {
        self.choices.iter().map(|(slot, value)| Ok((*slot, value.choice()?))).collect()
    }
}

impl CqlStore {
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
        let (user, revision) = (claim.user(), claim.slot().revision);
        self.write_claim(campaign, user, revision, ClaimWrite::Choice(slot, &value)).await
    }
}
