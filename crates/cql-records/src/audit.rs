//! Reads the audit: of one campaign by its revisions, or all by the time at which they were announced.

use async_trait::async_trait;
use coupon::ids::{Actor, CampaignId};
use coupon::time::{Day, Millis};
use cql_session::values::{date, day, instant, millis, parsed};
use cql_session::{Result, StatementProfile, bounded_join, damaged};
use hot::HotError;
use hot::audit::{Act, Audit, AuditEntry, AuditEvent, AuditKind, Audited};
use hot::records::AuditLog;
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};
use uuid::Uuid;

use crate::ClusterRecords;
use crate::audit_log::PART;

const AT_ONCE: usize = 16;

struct Columns {
    at: Option<CqlTimestamp>,
    actor: Option<String>,
    kind: Option<String>,
    batch_id: Option<String>,
    reason: Option<String>,
    changes: Option<String>,
}

impl Columns {
    fn entry(self, campaign: Option<CampaignId>) -> Result<AuditEntry> {
        let missing = |column: &str| HotError::Damaged(format!("the audit: no {column}"));
        let kind = self.kind.ok_or_else(|| missing("kind"))?;
        let changes = serde_json::from_str(self.changes.as_deref().unwrap_or("[]"));
        Ok(AuditEntry {
            act: Act {
                actor: Actor::new(&self.actor.ok_or_else(|| missing("actor"))?),
                at: self.at.map(millis).ok_or_else(|| missing("at"))?,
                reason: self.reason.map(|text| parsed("audit.reason", &text)).transpose()?,
            },
            event: AuditEvent {
                kind: AuditKind::named(&kind).ok_or_else(|| missing("kind that is known"))?,
                campaign,
                batch: self.batch_id.map(|id| parsed("audit.batch_id", &id)).transpose()?,
                changes: changes.map_err(damaged)?,
            },
        })
    }
}

#[derive(DeserializeRow)]
struct EntryRow {
    told_at: CqlTimestamp,
    attempt: Uuid,
    number: i32,
    revision: Option<i64>,
    at: Option<CqlTimestamp>,
    actor: Option<String>,
    kind: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    reason: Option<String>,
    changes: Option<String>,
}

/// A place in the list of all entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    told_at: Millis,
    attempt: Uuid,
    number: i32,
}

impl Place {
    /// Before every entry.
    const NEWEST: Place =
        Place { told_at: Millis(i64::MAX), attempt: Uuid::max(), number: i32::MAX };

    fn text(&self) -> String {
        format!("{}_{}_{}", self.told_at.0, self.attempt, self.number)
    }

    /// No place that this store has given is anything else; it may come from another store.
    fn parse(text: &str) -> Option<Place> {
        let mut words = text.split('_');
        let told_at = Millis(words.next()?.parse().ok()?);
        let (attempt, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        words.next().is_none().then_some(Place { told_at, attempt, number })
    }
}

#[async_trait]
impl Audit for ClusterRecords {
    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.log.record(&entry).await
    }

    async fn audit(
        &self,
        campaign: Option<CampaignId>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Audited>> {
        match campaign {
            Some(id) => self.of_campaign(id, after.as_deref(), limit).await,
            None => self.of_all(after.as_deref(), limit).await,
        }
    }
}

impl ClusterRecords {
    async fn of_campaign(
        &self,
        id: CampaignId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Audited>> {
        // The last one may be in the campaign's row alone: its process was killed, or is about to answer.
        self.source.enter_carried(&id).await?;
        let after = after.map(|text| {
            let (revision, number) = text.split_once('_')?;
            Some((revision.parse::<i64>().ok()?, number.parse::<i32>().ok()?))
        });
        let (revision, number) = match after {
            None => (i64::MAX, i32::MAX),
            Some(after) => after.unwrap_or((i64::MIN, i32::MIN)),
        };
        let cql = "SELECT revision, number, at, actor, kind, batch_id, reason, changes \
                   FROM audit_of_campaign WHERE campaign_id = ? AND (revision, number) < (?, ?) \
                   LIMIT ?";
        let values = (id.as_str(), revision, number, rows_max(limit));
        type Text = Option<String>;
        type Row = (i64, i32, Option<CqlTimestamp>, Text, Text, Text, Text, Text);
        let rows: Vec<Row> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let audited = rows.into_iter().map(|row| {
            let (revision, number, at, actor, kind, batch_id, reason, changes) = row;
            let columns = Columns { at, actor, kind, batch_id, reason, changes };
            let place = format!("{revision}_{number}");
            Ok(Audited { place, entry: columns.entry(Some(id.clone()))? })
        });
        audited.collect()
    }

    async fn of_all(&self, after: Option<&str>, limit: usize) -> Result<Vec<Audited>> {
        let after = after.map(Place::parse);
        let Some(mut after) = after.unwrap_or(Some(Place::NEWEST)) else { return Ok(Vec::new()) };
        self.source.enter_carried_of_facts().await?;
        let mut found = Vec::new();
        let mut on = self.day_with_entries(after.told_at.day()).await?;
        while let Some(at) = on {
            let rows = self.entries_of(at, after, limit).await?;
            let is_all = rows.len() < limit;
            if let Some(last) = rows.last() {
                after = last.place();
            }
            let looks = rows.iter().map(|row| self.has_happened(row));
            let have: Vec<bool> = bounded_join(AT_ONCE, looks).await?;
            for row in rows.into_iter().zip(have).filter_map(|(row, has)| has.then_some(row)) {
                if found.len() == limit {
                    return Ok(found);
                }
                found.push(row.audited()?);
            }
            if found.len() == limit {
                return Ok(found);
            }
            if is_all {
                let before = Day(at.0 - 1);
                on = self.day_with_entries(before).await?;
            }
        }
        Ok(found)
    }

    /// The last day up to `day` that may have entries.
    async fn day_with_entries(&self, up_to: Day) -> Result<Option<Day>> {
        let cql = "SELECT day FROM audit_day WHERE part = ? AND day <= ? LIMIT 1";
        let found: Option<CqlDate> = self.session.value(cql, (PART, date(up_to))).await?;
        Ok(found.map(day))
    }

    async fn entries_of(&self, of: Day, after: Place, limit: usize) -> Result<Vec<EntryRow>> {
        let cql = "SELECT told_at, attempt, number, revision, at, actor, kind, campaign_id, batch_id, \
                   reason, changes FROM audit_entry WHERE day = ? \
                   AND (told_at, attempt, number) < (?, ?, ?) LIMIT ?";
        let Place { told_at, attempt, number } = after;
        let values = (date(of), instant(told_at), attempt, number, rows_max(limit));
        self.session.rows(StatementProfile::Bulk, cql, values).await
    }

    /// Whether the update of an index row was applied, as far as anybody was told.
    async fn has_happened(&self, row: &EntryRow) -> Result<bool> {
        let (Some(revision), Some(id)) = (row.revision, &row.campaign_id) else { return Ok(true) };
        let id: CampaignId = parsed("audit.campaign_id", id)?;
        if let Some(attempt) = self.log.attempt_of(&id, revision).await? {
            return Ok(attempt == row.attempt);
        }
        self.source.enter_carried(&id).await?;
        Ok(self.log.attempt_of(&id, revision).await? == Some(row.attempt))
    }
}

impl EntryRow {
    fn place(&self) -> Place {
        Place { told_at: millis(self.told_at), attempt: self.attempt, number: self.number }
    }

    fn audited(self) -> Result<Audited> {
        let place = self.place().text();
        let EntryRow { at, actor, kind, campaign_id, batch_id, reason, changes, .. } = self;
        let campaign = campaign_id.map(|id| parsed("audit.campaign_id", &id)).transpose()?;
        let columns = Columns { at, actor, kind, batch_id, reason, changes };
        Ok(Audited { place, entry: columns.entry(campaign)? })
    }
}

fn rows_max(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back() {
        let rows = [
            ("the newest", Place::NEWEST),
            ("one", Place { told_at: Millis(17), attempt: Uuid::from_u128(5), number: 1 }),
        ];
        for (name, place) in rows {
            assert_eq!(Place::parse(&place.text()), Some(place), "{name}");
        }
        for other in ["", "17", "17_x_1", "17_5_1_2"] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }
}
