//! Between rows and values: the only place that knows the columns' order and the JSON in them.

use std::borrow::Cow;
use std::str::FromStr;

use coupon::campaign::{Batch, BatchKind, Campaign, CampaignCounts, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Genesis, Hold};
use coupon::ids::{CampaignId, OperationId, UserId};
use coupon::imported::ImportedState;
use coupon::time::{Day, Millis};
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::failure::damaged;
use super::history;
use super::txn::{BatchHere, CampaignHere};
use hot::imported_state_text;
use hot::protocol::is_history_full;

macro_rules! campaign_columns {
    () => {
        "campaign_id, name, handout, shared_code, code_prefix, valid_from, expires_at, time_zone, \
         valid_days, issue_from, issue_until, per_user_limit, cancel_days, extend_days, paused, \
         metadata, created_at, stock, issued, redeemed, void, created_as"
    };
}
macro_rules! batch_columns {
    () => {
        "batch_id, key_id, expiry_day, first_serial, count, paused, lines, imported, already_there, \
         rejected, created_at"
    };
}
macro_rules! coupon_columns {
    () => {
        "expiry_day, code, campaign, batch, version, valid_from, made_expires_at, hold, events, \
         created_at, modified_at, number, state, holder, expires_at, issued_at, redeemed_at, \
         order_ref, history_full"
    };
}
pub(super) use {batch_columns, campaign_columns, coupon_columns};

/// A text column as the name, code or word that it is.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    parse(row.get_ref(column)?.as_str()?, row, column)
}

pub(super) fn parsed_or_null<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    row.get_ref(column)?.as_str_or_null()?.map(|text| parse(text, row, column)).transpose()
}

fn parse<T>(text: &str, row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| damaged(row.as_ref().column_name(column).unwrap_or("a column"), error))
}

fn millis_or_null(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Millis>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Millis))
}

pub(super) fn campaign(row: &Row<'_>) -> rusqlite::Result<Campaign> {
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
pub(super) fn counts(row: &Row<'_>) -> rusqlite::Result<CampaignCounts> {
    let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    Ok(CampaignCounts {
        stock: count(17)?,
        issued: count(18)?,
        redeemed: count(19)?,
        void: count(20)?,
    })
}

pub(super) fn batch(row: &Row<'_>, campaign: &CampaignId) -> rusqlite::Result<Batch> {
    let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
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

/// Where a coupon's row lies and whose it is, before the coupon itself is made of it.
pub(super) struct CouponRow {
    /// In this file.
    pub(super) number: i64,
    pub(super) day: Day,
    pub(super) campaign: i64,
    pub(super) batch: i64,
    code: Code,
    version: u64,
    valid_from: Millis,
    made_expires_at: Millis,
    hold: Option<Hold>,
    events: Vec<Event>,
    created_at: Millis,
    modified_at: Millis,
}

/// From [`coupon_columns`].
pub(super) fn coupon_row(row: &Row<'_>) -> rusqlite::Result<CouponRow> {
    let hold = row.get_ref(7)?.as_str_or_null()?.map(hold_from_json).transpose()?;
    Ok(CouponRow {
        day: Day(row.get(0)?),
        code: parsed(row, 1)?,
        campaign: row.get(2)?,
        batch: row.get(3)?,
        version: row.get::<_, i64>(4)?.unsigned_abs(),
        valid_from: Millis(row.get(5)?),
        made_expires_at: Millis(row.get(6)?),
        hold,
        events: history::from_text(row.get_ref(8)?.as_str()?)?,
        created_at: Millis(row.get(9)?),
        modified_at: Millis(row.get(10)?),
        number: row.get(11)?,
    })
}

/// Whether the columns of a row that say once more what its events say do so. Allocates nothing: it
/// is asked of every row that is read.
pub(super) fn agrees(coupon: &Coupon, row: &Row<'_>) -> rusqlite::Result<bool> {
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

impl CouponRow {
    pub(super) fn into_coupon(self, campaign: &CampaignHere, batch: &BatchHere) -> Coupon {
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

/// 32 hexadecimal digits.
pub(super) fn operation(text: &str) -> rusqlite::Result<OperationId> {
    let number = u128::from_str_radix(text, 16).map_err(|why| damaged("operation", why))?;
    Ok(OperationId(number))
}

fn named<T>(what: &str, text: Option<&str>) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text = text.ok_or_else(|| damaged(what, "missing"))?;
    text.parse().map_err(|why| damaged(what, why))
}

#[derive(Serialize, Deserialize)]
struct HoldText<'a> {
    #[serde(borrow)]
    by: Cow<'a, str>,
    #[serde(borrow)]
    order: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    since: i64,
    until: i64,
}

pub(super) fn hold_to_json(hold: &Hold) -> String {
    json(&HoldText {
        by: hold.by.as_str().into(),
        order: hold.order.as_str().into(),
        operation: format!("{:032x}", hold.operation.0).into(),
        since: hold.since.0,
        until: hold.until.0,
    })
}

fn hold_from_json(text: &str) -> rusqlite::Result<Hold> {
    let hold: HoldText<'_> = serde_json::from_str(text).map_err(|why| damaged("hold", why))?;
    Ok(Hold {
        by: named("hold.by", Some(&hold.by))?,
        order: named("hold.order", Some(&hold.order))?,
        operation: operation(&hold.operation)?,
        since: Millis(hold.since),
        until: Millis(hold.until),
    })
}

pub(super) fn imported_state_from_json(text: &str) -> rusqlite::Result<ImportedState> {
    imported_state_text::from_json(text).map_err(|why| damaged("imported_state", why))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers always serialize")
}
