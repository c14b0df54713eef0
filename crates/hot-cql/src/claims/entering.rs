//! Writing an entry into a claim, before its coupon is written.

use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, UserId};
use coupon::time::Day;
use hot::protocol::{ClaimIntent, claimant, issue_of};

use super::{ChoiceValue, ClaimRow, ClaimSlot, EntryValue, NewEntry};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::Written;
use crate::values::{date, signed, uuid as uuid_of};
use cql_session::{Cas, Result, StatementProfile};

#[derive(Clone, Copy)]
pub(super) enum ClaimWrite<'a> {
    Entry(i32, &'a EntryValue),
    Choice(i32, &'a ChoiceValue),
}

impl ClaimWrite<'_> {
    fn is_in(self, row: &ClaimRow) -> bool {
        match self {
            ClaimWrite::Entry(slot, value) => row.entries.get(&slot) == Some(value),
            ClaimWrite::Choice(slot, value) => row.choices.get(&slot) == Some(value),
        }
    }
}

impl CqlStore {
    pub(crate) async fn enter_claim(
        &self,
        campaign: &CampaignHere,
        entry: &NewEntry,
        expiry_day: Day,
        coupon: &Coupon,
        intent: ClaimIntent,
    ) -> Result<Written> {
        let value = EntryValue {
            expiry_day: date(expiry_day),
            code: coupon.code().to_string(),
            reference: entry.reference.as_ref().map(|name| name.as_str().to_owned()),
            sequence: i32::try_from(intent.sequence).unwrap_or(i32::MAX),
            issue: issue_of(coupon),
            operation: uuid_of(intent.operation),
            version: signed(intent.version),
        };
        let ClaimSlot { revision, slot } = entry.slot;
        self.write_claim(campaign, &entry.user, revision, ClaimWrite::Entry(slot, &value)).await
    }

    /// Writes into a claim, if it still has the revision that was read.
    pub(super) async fn write_claim(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        revision: Option<i64>,
        write: ClaimWrite<'_>,
    ) -> Result<Written> {
        let id = &campaign.terms.id;
        let next = revision.map_or(0, |revision| revision + 1);
        let key = (id.as_str(), user.as_str());
        let mut attempts = self.attempts("a user's claim");
        loop {
            let lock = attempts.looked(self.write_locks.lock((id, user)).await)?;
            let profile = attempts.profile();
            let cas = match write {
                ClaimWrite::Entry(slot, value) => {
                    let cql = "UPDATE claim SET revision = ?, claimed[?] = ? \
                               WHERE campaign_id = ? AND user_id = ? IF revision = ?";
                    let values = (next, slot, value, key.0, key.1, revision);
                    self.session.change(profile, cql, values).await
                }
                ClaimWrite::Choice(slot, value) => {
                    let cql = "UPDATE claim SET revision = ?, chosen[?] = ? \
                               WHERE campaign_id = ? AND user_id = ? IF revision = ?";
                    let values = (next, slot, value, key.0, key.1, revision);
                    self.session.change(profile, cql, values).await
                }
            };
            // Before the read through Paxos, which may wait for a frozen node.
            drop(lock);
            let refused = matches!(cas, Ok(Cas::Refused));
            // After an unknown write a refusal proves nothing: that write may be what refused this.
            if refused && !attempts.has_unknown_write() {
                return Ok(Written::Conflict);
            }
            if attempts.wrote(cas).await? {
                return Ok(Written::Done);
            }
            let look = self.claim_row(StatementProfile::Serial, campaign, user).await;
            let row = attempts.looked(look)?;
            if write.is_in(&row) {
                return Ok(Written::Done);
            }
            // Every try names the revision that was read: no node can apply one any more.
            if row.revision != revision {
                return Ok(Written::Conflict);
            }
        }
    }

    /// An entry for the holder of a coupon that they did not get by an issue: it counts towards
    /// their limit and is not refused by it. An entry that is there already stays.
    pub(crate) async fn claim_for_holder(
        &self,
        campaign: &CampaignHere,
        expiry_day: Day,
        coupon: &Coupon,
        reference: Option<&IssueRef>,
    ) -> Result<()> {
        let Some(user) = claimant(&campaign.terms, coupon) else { return Ok(()) };
        let intent = ClaimIntent::past(coupon);
        let operation = uuid_of(intent.operation);
        let mut attempts = self.attempts("a user's claim");
        loop {
            let row =
                attempts.looked(self.claim_row(StatementProfile::Read, campaign, user).await)?;
            let code = coupon.code().as_str();
            let begun =
                row.entries.iter().find(|(_, it)| it.code == code && it.operation == operation);
            if begun.is_some_and(|(_, it)| it.version == signed(intent.version)) {
                return Ok(());
            }
            let next = row.entries.keys().next_back().map_or(0, |last| last + 1);
            // Begun for a version that met a conflict: now it is for the next one.
            let slot = begun.map_or(next, |(slot, _)| *slot);
            let slot = ClaimSlot { revision: row.revision, slot };
            let entry = NewEntry { user: user.clone(), reference: reference.cloned(), slot };
            let written = self.enter_claim(campaign, &entry, expiry_day, coupon, intent).await?;
            if written == Written::Done {
                return Ok(());
            }
            attempts.again().await?;
        }
    }
}
