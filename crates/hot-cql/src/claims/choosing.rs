//! Choices of a claim: which coupon an order changes, written before that coupon.

use hot::protocol::{Choice, Choices};

use super::choice_value::ChoiceValue;
use super::entering::ClaimWrite;
use super::{Claim, ClaimRow};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::Written;
use cql_session::Result;

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
