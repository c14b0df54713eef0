//! Rows of the table `campaign`, read and written.

use coupon::campaign::{Campaign, ImportCounts, MintedRun};
use coupon::code::Code;
use scylla::value::{CqlDate, CqlTimestamp};
use scylla::{DeserializeRow, SerializeRow};

use super::BatchHere;
use crate::session::Result;
use crate::values::{day, instant, millis, parsed};
use hot::HotError;

#[derive(DeserializeRow)]
pub(super) struct Row {
    pub(super) campaign_id: String,
    pub(super) revision: Option<i64>,
    pub(super) made: Option<bool>,
    pub(super) name: Option<String>,
    pub(super) handout: Option<String>,
    pub(super) shared_code: Option<String>,
    pub(super) code_prefix: Option<String>,
    pub(super) valid_from: Option<CqlTimestamp>,
    pub(super) expires_at: Option<CqlTimestamp>,
    pub(super) time_zone: Option<String>,
    pub(super) valid_days: Option<i32>,
    pub(super) issue_from: Option<CqlTimestamp>,
    pub(super) issue_until: Option<CqlTimestamp>,
    pub(super) per_user_limit: Option<i32>,
    pub(super) cancel_days: Option<i32>,
    pub(super) extend_days: Option<i32>,
    pub(super) paused: Option<bool>,
    pub(super) metadata: Option<String>,
    pub(super) created_at: Option<CqlTimestamp>,
    pub(super) created_as: Option<String>,
}

#[derive(DeserializeRow)]
pub(super) struct BatchRow {
    batch_id: Option<String>,
    number: Option<i64>,
    key_id: Option<String>,
    expiry_day: Option<CqlDate>,
    first_serial: Option<i64>,
    count: Option<i64>,
    batch_paused: Option<bool>,
    lines: Option<i64>,
    imported: Option<i64>,
    already_there: Option<i64>,
    rejected: Option<i64>,
    batch_made_at: Option<CqlTimestamp>,
}

pub(super) fn absent(column: &str) -> HotError {
    HotError::Damaged(format!("campaign: no {column}"))
}

fn small<T: TryFrom<i32>>(column: &str, number: i32) -> Result<T> {
    T::try_from(number).map_err(|_| HotError::Damaged(format!("{column} is {number}")))
}

impl Row {
    pub(super) fn terms(&self) -> Result<Campaign> {
        let text = |column: &'static str, value: &Option<String>| {
            value.clone().ok_or_else(|| absent(column))
        };
        let at = |column: &'static str, value: Option<CqlTimestamp>| {
            value.map(millis).ok_or_else(|| absent(column))
        };
        let days = |column: &'static str, value: Option<i32>| {
            small::<u16>(column, value.ok_or_else(|| absent(column))?)
        };
        Ok(Campaign {
            id: parsed("campaign_id", &self.campaign_id)?,
            name: text("name", &self.name)?,
            handout: parsed("handout", &text("handout", &self.handout)?)?,
            shared_code: match &self.shared_code {
                Some(code) => Some(parsed("shared_code", code)?),
                None => None,
            },
            code_prefix: match &self.code_prefix {
                Some(prefix) => Some(parsed("code_prefix", prefix)?),
                None => None,
            },
            valid_from: at("valid_from", self.valid_from)?,
            expires_at: at("expires_at", self.expires_at)?,
            zone: parsed("time_zone", &text("time_zone", &self.time_zone)?)?,
            valid_days: self.valid_days.map(|days| small("valid_days", days)).transpose()?,
            issue_from: self.issue_from.map(millis),
            issue_until: self.issue_until.map(millis),
            per_user_limit: self
                .per_user_limit
                .map(|limit| small("per_user_limit", limit))
                .transpose()?,
            cancel_days: days("cancel_days", self.cancel_days)?,
            extend_days: days("extend_days", self.extend_days)?,
            paused: self.paused == Some(true),
            metadata: self.metadata.clone(),
            created_at: at("created_at", self.created_at)?,
        })
    }
}

impl BatchRow {
    pub(super) fn batch(self) -> Result<Option<BatchHere>> {
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

/// The terms of a campaign, as they are written.
#[derive(Clone, SerializeRow)]
pub(crate) struct TermsColumns<'a> {
    name: &'a str,
    handout: &'a str,
    shared_code: Option<&'a str>,
    code_prefix: Option<&'a str>,
    valid_from: CqlTimestamp,
    expires_at: CqlTimestamp,
    time_zone: &'a str,
    valid_days: Option<i32>,
    issue_from: Option<CqlTimestamp>,
    issue_until: Option<CqlTimestamp>,
    per_user_limit: Option<i32>,
    cancel_days: i32,
    extend_days: i32,
    paused: bool,
    metadata: Option<&'a str>,
    created_at: CqlTimestamp,
    created_as: &'a str,
    campaign_id: &'a str,
}

impl<'a> TermsColumns<'a> {
    pub(crate) fn of(campaign: &'a Campaign, created_as: &'a str) -> TermsColumns<'a> {
        TermsColumns {
            name: &campaign.name,
            handout: campaign.handout.as_str(),
            shared_code: campaign.shared_code.as_ref().map(Code::as_str),
            code_prefix: campaign.code_prefix.as_ref().map(|prefix| prefix.as_str()),
            valid_from: instant(campaign.valid_from),
            expires_at: instant(campaign.expires_at),
            time_zone: campaign.zone.name(),
            valid_days: campaign.valid_days.map(i32::from),
            issue_from: campaign.issue_from.map(instant),
            issue_until: campaign.issue_until.map(instant),
            per_user_limit: campaign.per_user_limit.map(i32::from),
            cancel_days: i32::from(campaign.cancel_days),
            extend_days: i32::from(campaign.extend_days),
            paused: campaign.paused,
            metadata: campaign.metadata.as_deref(),
            created_at: instant(campaign.created_at),
            created_as,
            campaign_id: campaign.id.as_str(),
        }
    }
}
