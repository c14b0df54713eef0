//! Reads the audit: of one campaign by its revisions, or all by the time at which they were announced.

use async_trait::async_trait;
use coupon::ids::CampaignId;
use coupon::time::Day;
use hot::audit::{Audit, AuditEntry, Audited};
use hot::bounded_join;
use hot::records::AuditLog;
use hot::tables::{RecordRange, RecordRow};
use uuid::Uuid;

use crate::audit_rows::{EntryPlace, EntryRow, RevisionPlace, campaign_part, day_part, days_part};
use crate::keys::{damaged, numbers, ordered};
use crate::{Result, StoreRecords};

const AT_ONCE: usize = 16;

#[async_trait]
impl Audit for StoreRecords {
    async fn record(&self, entry: AuditEntry) -> Result<()> {
        // No update of a campaign carries it, so each call is an entry of its own.
        self.log.happened(Uuid::now_v7(), self.source.now(), &entry).await
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

impl StoreRecords {
    async fn of_campaign(
        &self,
        id: CampaignId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Audited>> {
        // The last one may be in the campaign's row alone: its process was killed, or is about to answer.
        self.source.enter_carried(&id).await?;
        let mut range = RecordRange::last(limit);
        if let Some(text) = after {
            let Some(place) = RevisionPlace::parse(text) else { return Ok(Vec::new()) };
            range = range.before(place.key());
        }
        let rows = self.tables.scan(&campaign_part(&id), range).await?;
        let audited = rows.iter().map(|row| {
            let place = RevisionPlace::of(&row.key)?.text();
            Ok(Audited { place, entry: EntryRow::read(row)?.entry()? })
        });
        audited.collect()
    }

    async fn of_all(&self, after: Option<&str>, limit: usize) -> Result<Vec<Audited>> {
        let mut after = match after.map(EntryPlace::parse) {
            Some(None) => return Ok(Vec::new()),
            place => place.flatten(),
        };
        // As of a campaign: the last entry may be in the row of its fact alone.
        self.source.enter_carried_of_facts().await?;
        let mut found = Vec::new();
        let mut on = self.day_with_entries(after.map(|place| place.told_at.day())).await?;
        while let Some(day) = on {
            let until = after.map(EntryPlace::key);
            let range = RecordRange { until, ..RecordRange::last(limit) };
            let rows = self.tables.scan(&day_part(day), range).await?;
            if let Some(last) = rows.last() {
                after = Some(EntryPlace::of(&last.key)?);
            }
            let looks = rows.iter().map(|row| self.happened(row));
            let happened: Vec<Option<Audited>> = bounded_join(AT_ONCE, looks).await?;
            found.extend(happened.into_iter().flatten());
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
            if rows.len() < limit {
                on = self.day_with_entries(Some(Day(day.0 - 1))).await?;
            }
        }
        Ok(found)
    }

    /// The last day that may have entries, up to `last`.
    async fn day_with_entries(&self, last: Option<Day>) -> Result<Option<Day>> {
        let until = last.map(|day| ordered(i64::from(day.0) + 1).into());
        let range = RecordRange { until, ..RecordRange::last(1) };
        let rows = self.tables.scan(&days_part(), range).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let ([day], _) = numbers(&row.key)?;
        Ok(Some(Day(i32::try_from(day).map_err(damaged)?)))
    }

    /// The entry of a row in the list of all; `None` of an update that was not applied, as far as anybody was told.
    async fn happened(&self, row: &RecordRow) -> Result<Option<Audited>> {
        let place = EntryPlace::of(&row.key)?;
        let row = EntryRow::read(row)?;
        if let (Some(revision), Some(id)) = (row.revision, row.campaign()?) {
            let mut made_by = self.log.attempt_of(&id, revision).await?;
            if made_by.is_none() {
                self.source.enter_carried(&id).await?;
                made_by = self.log.attempt_of(&id, revision).await?;
            }
            if made_by != Some(place.attempt) {
                return Ok(None);
            }
        }
        Ok(Some(Audited { place: place.text(), entry: row.entry()? }))
    }
}
