//! Writing an entry into a claim, before its coupon is written.

use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::time::Day;
use hot::protocol::{ClaimIntent, claimant, issue_of};

use super::{ClaimSlot, NewEntry};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::Written;
use crate::values::{date, signed, uuid as uuid_of};
use cql_session::claim_rows::{ClaimWrite, EntryValue};
use cql_session::{Cas, Result, StatementProfile};

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
        let (id, write) = (&campaign.terms.id, ClaimWrite::Entry(slot, &value));
        self.write_claim(id, &entry.user, revision, write).await
    }

    /// Writes into a claim, if it still has the revision that was read.
    pub(super) async fn write_claim(
        &self,
        id: &CampaignId,
        user: &UserId,
        revision: Option<i64>,
        write: ClaimWrite<'_>,
    ) -> Result<Written> {
        // No claim of the user that was deleted before had this revision.
        let next = revision.map_or_else(|| self.session.now_ms(), |revision| revision + 1);
        let mut attempts = self.attempts("a user's claim");
        loop {
            let lock = attempts.looked(self.write_locks.lock((id, user)).await)?;
            attempts.looked(self.may_be_given([user]).await)?;
            let (key, revisions) = ((id, user), (revision, next));
            let cas = self.session.change_claim(attempts.profile(), key, revisions, write).await;
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
            let look = self.session.claim_row(StatementProfile::Serial, id, user).await;
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
        let (id, operation) = (&campaign.terms.id, uuid_of(intent.operation));
        let mut attempts = self.attempts("a user's claim");
        loop {
            let row =
                attempts.looked(self.session.claim_row(StatementProfile::Read, id, user).await)?;
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
