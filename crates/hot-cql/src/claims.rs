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
mod erasing;
mod reading;

use coupon::code::Code;
use coupon::ids::{IssueRef, UserId};
use hot::protocol::{self, Choice, Choices, NamedEntry};

use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::{CqlPlace, Written};
use cql_session::claim_rows::{ChoiceValue, ClaimWrite};
use cql_session::{Result, StatementProfile};

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

impl CqlStore {
    pub(crate) async fn is_changed(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        claim: &Claim,
    ) -> Result<bool> {
        let row = self.session.claim_row(StatementProfile::Read, &campaign.terms.id, user).await?;
        Ok(row.revision != claim.end.slot.revision)
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
        self.write_claim(&campaign.terms.id, user, revision, ClaimWrite::Choice(slot, &value)).await
    }
}
