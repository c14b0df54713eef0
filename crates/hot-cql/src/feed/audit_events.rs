//! Audit events in the feed: changes of campaigns and batches, and days that were archived.
//!
//! They go the same way as changes of coupons, with the revision of the campaign for the version. The place of
//! a campaign is a code that is a hash of its name. Its audit events never go to an earlier slot than the one before,
//! so they come in the order of the revisions.

use coupon::code::Code;
use coupon::ids::{CampaignId, Reason};
use hot::audit::{Act, AuditEvent};
use scylla::value::MaybeUnset;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::CqlStore;
use crate::announcing::{FeedState, TRIES};
use crate::audit_events::UpdateName;
use crate::values::{instant, parsed};
use cql_session::feed_changes::AnnouncedEvent;
use cql_session::{Result, StatementProfile, damaged};

/// The hash of a name, 26 characters. No coupon has this code, unless somebody imports it.
fn code_of(name: &str) -> Result<Code> {
    let hash = xxh3_128(name.as_bytes());
    parsed("a name", &format!("{:X}", Uuid::from_u128(hash).simple())[..26])
}

impl CqlStore {
    /// Writes the index rows of audit events that an update of `of` makes, in the slot `first` or a later one, and
    /// makes sure that no reader has passed them. Returns their slot.
    pub(crate) async fn announce_audit_events(
        &self,
        feed: &FeedState,
        of: &str,
        first: i64,
        (revision, attempt): UpdateName,
        (act, events): (&Act, &[AuditEvent]),
    ) -> Result<i64> {
        let code = code_of(of)?;
        let shard = feed.shard_of(&code);
        let mut tries = 0..TRIES;
        loop {
            let slot = self.slot_for(feed, first, tries.next()).await?;
            let events = (0_i32..).zip(events);
            for (number, event) in events.filter(|(_, event)| event.kind.is_in_feed()) {
                let cql = "UPDATE change USING TTL ? SET kind = ?, at = ?, actor = ?, \
                           campaign_id = ?, batch_id = ?, reason = ?, changes = ? \
                           WHERE shard = ? AND slot = ? AND code = ? AND version = ? \
                           AND number = ? AND attempt = ?";
                let values = (
                    feed.ttl(),
                    event.kind.as_str(),
                    instant(act.at),
                    act.actor.as_str(),
                    MaybeUnset::from_option(event.campaign.as_ref().map(CampaignId::as_str)),
                    MaybeUnset::from_option(event.batch.as_ref().map(|id| id.as_str())),
                    MaybeUnset::from_option(act.reason.as_ref().map(Reason::as_str)),
                    serde_json::to_string(&event.changes).map_err(damaged)?,
                    shard,
                    slot,
                    code.as_str(),
                    revision,
                    number,
                    attempt,
                );
                self.session.write(cql, values).await?;
            }
            // After the acknowledgement: a reader marks before it reads, so one sees the other.
            if self.is_in_time(feed, slot).await? {
                return Ok(slot);
            }
        }
    }

    /// Whether an audit event has happened. Afterwards it never will if it has not.
    pub(super) async fn audit_event_happened(&self, event: &AnnouncedEvent) -> Result<bool> {
        // It had happened before it was announced.
        let Some(id) = &event.event.campaign else { return Ok(true) };
        let mut attempts = self.attempts("an audit event in the feed");
        loop {
            // Through Paxos: an update that some nodes have accepted is finished or ended.
            let here = self.campaign_by(StatementProfile::Serial, id).await;
            let Some(here) = attempts.looked(here)? else { return Ok(false) };
            if here.revision >= event.revision {
                return self.has_made(&here, (event.revision, event.attempt)).await;
            }
            if here.revision + 1 < event.revision {
                return Ok(false);
            }
            attempts.looked(self.end_revision(&here).await)?;
            attempts.again().await?;
        }
    }
}
