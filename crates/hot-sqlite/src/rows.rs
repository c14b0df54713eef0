//! Rows of campaigns, batches and coupons: the only place that knows the order of their columns.

use std::sync::Arc;

use coupon::campaign::{Batch, BatchKind, Campaign, CampaignCounts, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Genesis, Hold};
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::time::{Day, Millis};
use hot::protocol::is_history_full;
use rusqlite::Row;

use crate::columns::{millis_or_null, parsed, parsed_or_null, unsigned};
use crate::{history, holds};

macro_rules! select_campaign {
    ($rest:literal) => {
        concat!(
            "SELECT campaign_id, name, handout, shared_code, code_prefix, valid_from, expires_at, \
             time_zone, valid_days, issue_from, issue_until, per_user_limit, cancel_days, \
             extend_days, paused, metadata, created_at, stock, issued, redeemed, void, created_as",
            $rest
        )
    };
}
macro_rules! select_batch {
    ($rest:literal) => {
        concat!(
            "SELECT batch_id, key_id, expiry_day, first_serial, count, paused, lines, imported, \
             already_there, rejected, created_at",
            $rest
        )
    };
}
macro_rules! select_coupon {
    ($rest:literal) => {
        concat!(
            "SELECT expiry_day, code, campaign, batch, version, valid_from, made_expires_at, hold, \
             events, created_at, modified_at, number, state, holder, expires_at, issued_at, \
             redeemed_at, order_ref, history_full",
            $rest
        )
    };
}
pub(crate) use {select_batch, select_campaign, select_coupon};

/// A campaign and its number in this file.
#[derive(Clone, Debug)]
pub(crate) struct CampaignHere {
    pub(crate) number: i64,
    pub(crate) terms: Arc<Campaign>,
}

/// What a coupon needs of its batch.
#[derive(Clone)]
pub(crate) struct BatchHere {
    pub(crate) id: BatchId,
    pub(crate) paused: bool,
    pub(crate) created_at: Millis,
}

pub(crate) fn campaign(row: &Row<'_>) -> rusqlite::Result<Campaign> {
    Ok(Campaign {
        id: parsed(row, 0)?,
        name: row.get(1)?,
        handout: parsed(row, 2)?,
        shared_code: parsed_or_null(row, 3)?,
        code_prefix: parsed_or_null(row, 4)?,
        valid_from: Millis(row.get(5)?),
        expires_at: Millis(row.get(6)?),
        zone: parsed(row, 7)?,
        valid_days: row.get(8)?,
        issue_from: millis_or_null(row, 9)?,
        issue_until: millis_or_null(row, 10)?,
        per_user_limit: row.get(11)?,
        cancel_days: row.get(12)?,
        extend_days: row.get(13)?,
        paused: row.get(14)?,
        metadata: row.get(15)?,
        created_at: Millis(row.get(16)?),
    })
}

/// From the same columns as [`campaign`].
pub(crate) fn counts(row: &Row<'_>) -> rusqlite::Result<CampaignCounts> {
    let count = |column| unsigned(row, column);
    Ok(CampaignCounts {
        stock: count(17)?,
        issued: count(18)?,
        redeemed: count(19)?,
        void: count(20)?,
    })
}

pub(crate) fn batch(row: &Row<'_>, campaign: &CampaignId) -> rusqlite::Result<Batch> {
    let count = |column| unsigned(row, column);
    let kind = match parsed_or_null(row, 1)? {
        None => BatchKind::Imported,
        Some(key) => BatchKind::Minted(MintedRun {
            key,
            day: Day(row.get(2)?),
            first: count(3)?,
            count: count(4)?,
        }),
    };
    Ok(Batch {
        id: parsed(row, 0)?,
        campaign: campaign.clone(),
        kind,
        count: count(4)?,
        paused: row.get(5)?,
        import: ImportCounts {
            lines: count(6)?,
            imported: count(7)?,
            already_there: count(8)?,
            rejected: count(9)?,
        },
        created_at: Millis(row.get(10)?),
    })
}

/// A row of a coupon, from which [`CouponRow::into_coupon`] makes the coupon.
pub(crate) struct CouponRow {
    /// Its number in this file.
    pub(crate) number: i64,
    pub(crate) day: Day,
    pub(crate) campaign: i64,
    pub(crate) batch: i64,
    code: Code,
    version: u64,
    valid_from: Millis,
    made_expires_at: Millis,
    hold: Option<Hold>,
    events: Vec<Event>,
    created_at: Millis,
    modified_at: Millis,
}

/// From [`select_coupon`].
pub(crate) fn coupon_row(row: &Row<'_>) -> rusqlite::Result<CouponRow> {
    let hold = row.get_ref(7)?.as_str_or_null()?.map(holds::from_json).transpose()?;
    Ok(CouponRow {
        day: Day(row.get(0)?),
        code: parsed(row, 1)?,
        campaign: row.get(2)?,
        batch: row.get(3)?,
        version: unsigned(row, 4)?,
        valid_from: Millis(row.get(5)?),
        made_expires_at: Millis(row.get(6)?),
        hold,
        events: history::from_text(row.get_ref(8)?.as_str()?)?,
        created_at: Millis(row.get(9)?),
        modified_at: Millis(row.get(10)?),
        number: row.get(11)?,
    })
}

/// Whether the columns of a row that repeat what its events say agree with them. It runs for every
/// row that is read, so it allocates nothing.
pub(crate) fn agrees(coupon: &Coupon, row: &Row<'_>) -> rusqlite::Result<bool> {
    let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?);
    let redemption = coupon.redemption();
    Ok(text(12)? == Some(coupon.state().as_str())
        && text(13)? == coupon.holder().map(UserId::as_str)
        && millis_or_null(row, 14)? == Some(coupon.expires_at())
        && millis_or_null(row, 15)? == coupon.issued_at()
        && millis_or_null(row, 16)? == redemption.map(|it| it.at)
        && text(17)? == redemption.map(|it| it.order.as_str())
        && row.get::<_, i64>(18)? == i64::from(is_history_full(coupon)))
}

/// The first column of a row that differs from its events, and how.
pub(crate) fn disagreement(coupon: &Coupon, row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let redemption = coupon.redemption();
    let number = |column: &str| -> rusqlite::Result<Option<String>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(|number| number.to_string()))
    };
    let at = |instant: Millis| instant.0.to_string();
    let columns = [
        ("state", row.get::<_, Option<String>>("state")?, Some(coupon.state().as_str().to_owned())),
        ("holder", row.get("holder")?, coupon.holder().map(ToString::to_string)),
        ("expires_at", number("expires_at")?, Some(at(coupon.expires_at()))),
        ("issued_at", number("issued_at")?, coupon.issued_at().map(at)),
        ("redeemed_at", number("redeemed_at")?, redemption.map(|it| at(it.at))),
        ("order_ref", row.get("order_ref")?, redemption.map(|it| it.order.to_string())),
        (
            "history_full",
            number("history_full")?,
            Some(u8::from(is_history_full(coupon)).to_string()),
        ),
    ];
    let wrong = columns.into_iter().find(|(_, stored, folded)| stored != folded);
    Ok(wrong
        .map(|(name, stored, folded)| format!("{name} is {stored:?}, its events say {folded:?}")))
}

impl CouponRow {
    pub(crate) fn into_coupon(self, campaign: &CampaignHere, batch: &BatchHere) -> Coupon {
        let genesis = Genesis {
            code: self.code,
            campaign: campaign.terms.id.clone(),
            batch: batch.id.clone(),
            valid_from: self.valid_from,
            expires_at: self.made_expires_at,
            zone: campaign.terms.zone.clone(),
            created_at: self.created_at,
        };
        Coupon::of(genesis, self.events, self.hold, self.version, self.modified_at)
    }
}
