//! The audit: who changed what besides coupons, written by the transaction of the change itself. The
//! feed tells of most of it, too.

use coupon::ids::Actor;
use coupon::time::Millis;
use hot::audit::{Act, AuditEntry, AuditEvent, AuditKind, Audited};
use rusqlite::{Result as SqlResult, Row, params};

use super::Txn;
use crate::columns::parsed_or_null;
use crate::failure::damaged;

/// The columns of the table `audit` that [`entry`] reads.
macro_rules! select_audit {
    ($rest:literal) => {
        concat!(
            "SELECT number, at, actor, kind, campaign_id, batch_id, reason, changes FROM audit ",
            $rest
        )
    };
}
pub(crate) use select_audit;

pub(crate) fn entry(row: &Row<'_>) -> SqlResult<Audited> {
    let number: i64 = row.get(0)?;
    let kind = AuditKind::named(row.get_ref(3)?.as_str()?);
    let changes = serde_json::from_str(row.get_ref(7)?.as_str()?);
    let entry = AuditEntry {
        act: Act {
            at: Millis(row.get(1)?),
            actor: Actor::new(row.get_ref(2)?.as_str()?),
            reason: parsed_or_null(row, 6)?,
        },
        event: AuditEvent {
            kind: kind.ok_or_else(|| damaged("audit.kind", "no such kind"))?,
            campaign: parsed_or_null(row, 4)?,
            batch: parsed_or_null(row, 5)?,
            changes: changes.map_err(|why| damaged("audit.changes", why))?,
        },
    };
    Ok(Audited { place: number.to_string(), entry })
}

impl Txn<'_> {
    pub(crate) fn audit(&self, act: &Act, event: &AuditEvent) -> SqlResult<()> {
        let changes = serde_json::to_string(&event.changes);
        let changes = changes.map_err(|why| damaged("audit.changes", why))?;
        let campaign = event.campaign.as_ref().map(|id| id.as_str());
        let batch = event.batch.as_ref().map(|id| id.as_str());
        let reason = act.reason.as_ref().map(|reason| reason.as_str());
        let (actor, kind) = (act.actor.as_str(), event.kind.as_str());
        let number = self.insert(
            "INSERT INTO audit (at, actor, kind, campaign_id, batch_id, reason, changes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![act.at.0, actor, kind, campaign, batch, reason, changes],
        )?;
        if event.kind.is_told() { self.tell_of_audit(number, act.at) } else { Ok(()) }
    }
}
