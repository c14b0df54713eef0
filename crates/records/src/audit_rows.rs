//! Rows of the audit.
//!
//! Entries of campaigns that have happened are in one partition for each campaign, by the revision that they made.
//! All entries are in one for each day, by the time at which they were announced. With a revision, such a row is an
//! index row, written before the update: it has happened if the campaign's partition has its attempt.

use coupon::ids::CampaignId;
use coupon::time::{Day, Millis};
use hot::audit::{Act, AuditEntry, AuditEvent, AuditKind};
use hot::records::{ActText, CarriedEvent};
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRow, RecordSync};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Result;
use crate::keys::{damaged, numbers, ordered};

const OF_CAMPAIGN: RecordKind = RecordKind { name: "audit_campaign", sync: RecordSync::AtOnce };

const OF_DAY: RecordKind = RecordKind { name: "audit_entry", sync: RecordSync::AtOnce };

/// The days that may have entries.
const DAYS: RecordKind = RecordKind { name: "audit_day", sync: RecordSync::AtOnce };

pub(crate) fn campaign_part(campaign: &CampaignId) -> RecordPart {
    OF_CAMPAIGN.part(campaign.as_str())
}

pub(crate) fn day_part(day: Day) -> RecordPart {
    OF_DAY.part(ordered(day.0.into()))
}

pub(crate) fn days_part() -> RecordPart {
    DAYS.part("")
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EntryRow {
    attempt: String,
    /// That the update made; `None` of something else that has happened.
    pub(crate) revision: Option<i64>,
    act: ActText,
    campaign: Option<String>,
    event: CarriedEvent,
}

impl EntryRow {
    /// The rows of the events of one act, to be put under keys that end with their numbers.
    pub(crate) fn puts(
        (attempt, revision): (Uuid, Option<i64>),
        act: &Act,
        campaign: Option<&CampaignId>,
        events: &[CarriedEvent],
        key: impl Fn(i64) -> Vec<u8>,
    ) -> Result<Vec<RecordPut>> {
        let put = |(number, event): (i64, &CarriedEvent)| {
            let row = EntryRow {
                attempt: attempt.to_string(),
                revision,
                act: act.into(),
                campaign: campaign.map(|id| id.as_str().to_owned()),
                event: event.clone(),
            };
            let value = serde_json::to_vec(&row).map_err(damaged)?;
            Ok(RecordPut::new(key(number), value))
        };
        (0..).zip(events).map(put).collect()
    }

    pub(crate) fn read(row: &RecordRow) -> Result<EntryRow> {
        serde_json::from_slice(&row.value).map_err(damaged)
    }

    pub(crate) fn attempt(&self) -> Result<Uuid> {
        self.attempt.parse().map_err(damaged)
    }

    pub(crate) fn campaign(&self) -> Result<Option<CampaignId>> {
        self.campaign.as_deref().map(|id| id.parse().map_err(damaged)).transpose()
    }

    pub(crate) fn entry(&self) -> Result<AuditEntry> {
        let CarriedEvent { kind, batch, changes } = &self.event;
        let batch = batch.as_deref().map(|id| id.parse().map_err(damaged)).transpose()?;
        let kind = AuditKind::named(kind).ok_or_else(|| damaged("an entry of a later kind"))?;
        Ok(AuditEntry {
            act: (&self.act).try_into()?,
            event: AuditEvent { kind, campaign: self.campaign()?, batch, changes: changes.clone() },
        })
    }
}

/// A place in the list of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevisionPlace {
    pub(crate) revision: i64,
    pub(crate) number: i64,
}

impl RevisionPlace {
    pub(crate) fn key(self) -> Vec<u8> {
        [ordered(self.revision), ordered(self.number)].concat()
    }

    pub(crate) fn of(key: &[u8]) -> Result<RevisionPlace> {
        let ([revision, number], _) = numbers(key)?;
        Ok(RevisionPlace { revision, number })
    }

    pub(crate) fn text(self) -> String {
        format!("{}_{}", self.revision, self.number)
    }

    /// No place that this store has given is anything else; it may come from another store.
    pub(crate) fn parse(text: &str) -> Option<RevisionPlace> {
        let (revision, number) = text.split_once('_')?;
        Some(RevisionPlace { revision: revision.parse().ok()?, number: number.parse().ok()? })
    }
}

/// A place in the list of all entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryPlace {
    pub(crate) told_at: Millis,
    pub(crate) attempt: Uuid,
    pub(crate) number: i64,
}

impl EntryPlace {
    pub(crate) fn key(self) -> Vec<u8> {
        let EntryPlace { told_at, attempt, number } = self;
        [&ordered(told_at.0)[..], attempt.as_bytes(), &ordered(number)].concat()
    }

    pub(crate) fn of(key: &[u8]) -> Result<EntryPlace> {
        let ([told_at], rest) = numbers(key)?;
        let (attempt, rest) = rest.split_first_chunk().ok_or_else(|| damaged("a short key"))?;
        let ([number], _) = numbers(rest)?;
        Ok(EntryPlace { told_at: Millis(told_at), attempt: Uuid::from_bytes(*attempt), number })
    }

    pub(crate) fn text(self) -> String {
        format!("{}_{}_{}", self.told_at.0, self.attempt, self.number)
    }

    /// No place that this store has given is anything else; it may come from another store.
    pub(crate) fn parse(text: &str) -> Option<EntryPlace> {
        let mut words = text.split('_');
        let told_at = Millis(words.next()?.parse().ok()?);
        let (attempt, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        words.next().is_none().then_some(EntryPlace { told_at, attempt, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back() {
        for told_at in [0, 17, i64::MAX] {
            let attempt = Uuid::from_u128(5);
            let place = EntryPlace { told_at: Millis(told_at), attempt, number: 1 };
            assert_eq!(EntryPlace::parse(&place.text()), Some(place), "{told_at}");
            assert_eq!(EntryPlace::of(&place.key()).expect("a place"), place, "{told_at}");
        }
        let place = RevisionPlace { revision: 7, number: 2 };
        assert_eq!(RevisionPlace::parse(&place.text()), Some(place));
        assert_eq!(RevisionPlace::of(&place.key()).expect("a place"), place);
        for other in ["", "17", "17_x_1", "17_5_1_2"] {
            assert_eq!(EntryPlace::parse(other), None, "{other}");
        }
    }
}
