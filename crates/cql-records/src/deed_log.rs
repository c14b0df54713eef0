//! Writes the audit: index rows of what is about to be done, and what has happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use coupon::ids::CampaignId;
use coupon::time::Millis;
use cql_session::values::{date, instant};
use cql_session::{CqlSession, Result, damaged};
use hot::audit::{Act, AuditEntry, Deed};
use hot::records::{Carried, DeedLog};
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;

/// The one CQL partition of `audit_day`.
pub(crate) const PART: i32 = 0;

/// Where deeds go.
pub(crate) struct Log {
    session: Arc<CqlSession>,
    /// The last day that this process has listed.
    day: AtomicI32,
}

/// A row of `audit_entry`. It is written once: a null is left unset.
#[derive(Clone, SerializeRow)]
struct NewEntry<'a> {
    revision: MaybeUnset<i64>,
    at: CqlTimestamp,
    actor: &'a str,
    kind: &'a str,
    campaign_id: MaybeUnset<&'a str>,
    batch_id: MaybeUnset<&'a str>,
    reason: MaybeUnset<&'a str>,
    changes: String,
    day: CqlDate,
    told_at: CqlTimestamp,
    attempt: Uuid,
    number: i32,
}

impl Log {
    pub(crate) fn new(session: Arc<CqlSession>) -> Log {
        Log { session, day: AtomicI32::new(i32::MIN) }
    }

    /// Puts deeds into the list of all.
    async fn put(
        &self,
        (attempt, told_at): (Uuid, Millis),
        revision: Option<i64>,
        act: &Act,
        deeds: &[Deed],
    ) -> Result<()> {
        let day = told_at.day();
        // Before the first row of the day.
        if self.day.load(Ordering::SeqCst) != day.0 {
            let cql = "INSERT INTO audit_day (part, day) VALUES (?, ?)";
            self.session.write(cql, (PART, date(day))).await?;
            self.day.store(day.0, Ordering::SeqCst);
        }
        let cql = "UPDATE audit_entry SET revision = ?, at = ?, actor = ?, kind = ?, campaign_id = ?, \
                   batch_id = ?, reason = ?, changes = ? WHERE day = ? AND told_at = ? \
                   AND attempt = ? AND number = ?";
        for (number, deed) in (0..).zip(deeds) {
            let row = NewEntry {
                revision: MaybeUnset::from_option(revision),
                at: instant(act.at),
                actor: act.actor.as_str(),
                kind: deed.kind.as_str(),
                campaign_id: MaybeUnset::from_option(deed.campaign.as_ref().map(|id| id.as_str())),
                batch_id: MaybeUnset::from_option(deed.batch.as_ref().map(|id| id.as_str())),
                reason: MaybeUnset::from_option(act.reason.as_ref().map(|it| it.as_str())),
                changes: serde_json::to_string(&deed.changes).map_err(damaged)?,
                day: date(day),
                told_at: instant(told_at),
                attempt,
                number,
            };
            self.session.write(cql, row).await?;
        }
        Ok(())
    }

    /// Enters something that is no update of a campaign.
    pub(crate) async fn record(&self, entry: &AuditEntry) -> Result<()> {
        self.happened(Uuid::now_v7(), Millis(self.session.now_ms()), entry).await
    }
}

#[async_trait]
impl DeedLog for Log {
    async fn announce(
        &self,
        _campaign: &CampaignId,
        revision: i64,
        carried: &Carried,
    ) -> Result<()> {
        let Some(act) = &carried.act else { return Ok(()) };
        let name = (carried.attempt, carried.told_at);
        self.put(name, Some(revision), act, &carried.deeds).await
    }

    async fn enter(&self, campaign: &CampaignId, revision: i64, carried: &Carried) -> Result<()> {
        let Some(act) = &carried.act else { return Ok(()) };
        let cql = "INSERT INTO audit_of_campaign (campaign_id, revision, number, attempt, at, actor, \
                   kind, batch_id, reason, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let mut rows = Vec::new();
        for (number, deed) in (0_i32..).zip(&carried.deeds) {
            rows.push((
                campaign.as_str(),
                revision,
                number,
                carried.attempt,
                instant(act.at),
                act.actor.as_str(),
                deed.kind.as_str(),
                MaybeUnset::from_option(deed.batch.as_ref().map(|id| id.as_str())),
                MaybeUnset::from_option(act.reason.as_ref().map(|it| it.as_str())),
                serde_json::to_string(&deed.changes).map_err(damaged)?,
            ));
        }
        // Both of an update, or none: readers ask only for the first.
        self.session.write_all(cql, rows).await
    }

    async fn attempt_of(&self, campaign: &CampaignId, revision: i64) -> Result<Option<Uuid>> {
        let cql = "SELECT attempt FROM audit_of_campaign WHERE campaign_id = ? AND revision = ? \
                   LIMIT 1";
        self.session.value(cql, (campaign.as_str(), revision)).await
    }

    async fn happened(&self, name: Uuid, told_at: Millis, entry: &AuditEntry) -> Result<()> {
        self.put((name, told_at), None, &entry.act, std::slice::from_ref(&entry.deed)).await
    }
}
