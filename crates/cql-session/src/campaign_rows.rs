//! Rows of the table `campaign`, read and written.

use coupon::campaign::{Batch, BatchKind, Campaign, ImportCounts, MintedRun};
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use scylla::value::{CqlDate, CqlTimestamp};
use scylla::{DeserializeRow, SerializeRow};

use crate::Result;
use crate::values::{day, instant, millis, parsed};
use hot::{HotError, earlier_ends_of, earlier_ends_text, worth_of, worth_text};

#[derive(Clone, DeserializeRow, SerializeRow)]
pub struct StoredCampaign {
    campaign_id: String,
    pub revision: Option<i64>,
    pub made: Option<bool>,
    name: Option<String>,
    handout: Option<String>,
    shared_code: Option<String>,
    code_prefix: Option<String>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
    time_zone: Option<String>,
    valid_days: Option<i32>,
    issue_from: Option<CqlTimestamp>,
    issue_until: Option<CqlTimestamp>,
    per_user_limit: Option<i32>,
    cancel_days: Option<i32>,
    extend_days: Option<i32>,
    paused: Option<bool>,
    metadata: Option<String>,
    worth: Option<String>,
    created_at: Option<CqlTimestamp>,
    pub created_as: Option<String>,
    pub carries: Option<String>,
    pub sold_out: Option<bool>,
    earlier_ends: Option<String>,
}

/// A batch as a change of its campaign finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHere {
    pub id: BatchId,
    /// In which order they were made.
    pub number: i64,
    pub run: Option<MintedRun>,
    pub paused: bool,
    pub paused_reason: Option<String>,
    pub made_at: Millis,
    pub import: ImportCounts,
}

impl BatchHere {
    /// `arrived` coupons have come into it, if it was not minted.
    pub fn as_batch(&self, campaign: &CampaignId, arrived: u64) -> Batch {
        Batch {
            id: self.id.clone(),
            campaign: campaign.clone(),
            kind: self.run.map_or(BatchKind::Imported, BatchKind::Minted),
            count: self.run.map_or(arrived, |run| run.count),
            paused: self.paused,
            import: self.import,
            created_at: self.made_at,
        }
    }
}

#[derive(DeserializeRow)]
pub struct BatchRow {
    batch_id: Option<String>,
    number: Option<i64>,
    key_id: Option<String>,
    expiry_day: Option<CqlDate>,
    first_serial: Option<i64>,
    count: Option<i64>,
    batch_paused: Option<bool>,
    paused_reason: Option<String>,
    lines: Option<i64>,
    imported: Option<i64>,
    already_there: Option<i64>,
    rejected: Option<i64>,
    batch_made_at: Option<CqlTimestamp>,
}

pub fn absent(column: &str) -> HotError {
    HotError::Damaged(format!("campaign: no {column}"))
}

fn small(column: &str, number: Option<i32>) -> Result<Option<u16>> {
    let bad = |number: i32| HotError::Damaged(format!("{column} is {number}"));
    number.map(|number| u16::try_from(number).map_err(|_| bad(number))).transpose()
}

impl StoredCampaign {
    pub fn hidden(campaign: &Campaign, created_as: &str) -> StoredCampaign {
        StoredCampaign {
            campaign_id: campaign.id.as_str().to_owned(),
            revision: Some(0),
            made: Some(false),
            name: Some(campaign.name.clone()),
            handout: Some(campaign.handout.as_str().to_owned()),
            shared_code: campaign.shared_code.as_ref().map(|word| word.as_str().to_owned()),
            code_prefix: campaign.code_prefix.as_ref().map(|prefix| prefix.as_str().to_owned()),
            valid_from: Some(instant(campaign.valid_from)),
            expires_at: Some(instant(campaign.expires_at)),
            time_zone: Some(campaign.zone.name().to_owned()),
            valid_days: campaign.valid_days.map(i32::from),
            issue_from: campaign.issue_from.map(instant),
            issue_until: campaign.issue_until.map(instant),
            per_user_limit: campaign.per_user_limit.map(i32::from),
            cancel_days: Some(i32::from(campaign.cancel_days)),
            extend_days: Some(i32::from(campaign.extend_days)),
            paused: Some(campaign.paused),
            metadata: campaign.metadata.clone(),
            worth: worth_text(&campaign.worth),
            created_at: Some(instant(campaign.created_at)),
            created_as: Some(created_as.to_owned()),
            carries: None,
            sold_out: None,
            earlier_ends: earlier_ends_text(campaign),
        }
    }

    pub fn terms(&self) -> Result<Campaign> {
        let text = |column: &'static str, value: &Option<String>| {
            value.clone().ok_or_else(|| absent(column))
        };
        let at = |column: &'static str, value: Option<CqlTimestamp>| {
            value.map(millis).ok_or_else(|| absent(column))
        };
        let days = |column: &'static str, value: Option<i32>| {
            small(column, value)?.ok_or_else(|| absent(column))
        };
        let (word, prefix) = (self.shared_code.as_deref(), self.code_prefix.as_deref());
        Ok(Campaign {
            id: parsed("campaign_id", &self.campaign_id)?,
            name: text("name", &self.name)?,
            handout: parsed("handout", &text("handout", &self.handout)?)?,
            shared_code: word.map(|text| parsed("shared_code", text)).transpose()?,
            code_prefix: prefix.map(|text| parsed("code_prefix", text)).transpose()?,
            valid_from: at("valid_from", self.valid_from)?,
            expires_at: at("expires_at", self.expires_at)?,
            earlier_ends: earlier_ends_of(self.earlier_ends.as_deref())
                .map_err(|error| HotError::Damaged(format!("earlier_ends: {error}")))?,
            zone: parsed("time_zone", &text("time_zone", &self.time_zone)?)?,
            valid_days: small("valid_days", self.valid_days)?,
            issue_from: self.issue_from.map(millis),
            issue_until: self.issue_until.map(millis),
            per_user_limit: small("per_user_limit", self.per_user_limit)?,
            cancel_days: days("cancel_days", self.cancel_days)?,
            extend_days: days("extend_days", self.extend_days)?,
            paused: self.paused == Some(true),
            metadata: self.metadata.clone(),
            worth: worth_of(self.worth.as_deref())
                .map_err(|error| HotError::Damaged(format!("worth: {error}")))?,
            created_at: at("created_at", self.created_at)?,
        })
    }
}

impl BatchRow {
    pub fn batch(self) -> Result<Option<BatchHere>> {
        let Some(id) = self.batch_id else { return Ok(None) };
        let count = |column: Option<i64>| column.unwrap_or(0).unsigned_abs();
        let run = match (self.key_id, self.expiry_day) {
            (Some(key), Some(on)) => Some(MintedRun {
                key: parsed("key_id", &key)?,
                day: day(on),
                first: count(self.first_serial),
                count: count(self.count),
            }),
            _ => None,
        };
        Ok(Some(BatchHere {
            id: parsed("batch_id", &id)?,
            number: self.number.ok_or_else(|| absent("number"))?,
            run,
            paused: self.batch_paused == Some(true),
            paused_reason: self.paused_reason,
            made_at: self.batch_made_at.map(millis).ok_or_else(|| absent("batch_made_at"))?,
            import: ImportCounts {
                lines: count(self.lines),
                imported: count(self.imported),
                already_there: count(self.already_there),
                rejected: count(self.rejected),
            },
        }))
    }
}
