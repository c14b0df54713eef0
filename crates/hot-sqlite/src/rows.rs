//! Rows of campaigns, batches and coupons: the only place that knows the order of their columns.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::Arc;

use coupon::campaign::{Batch, BatchKind, Campaign, CampaignCounts, ImportCounts, MintedRun};
use coupon::coupon::{Coupon, State};
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::time::{Day, Millis};
use hot::protocol::is_history_full;
use hot::{earlier_ends_of, worth_of};
use rusqlite::{Result as SqlResult, Row};

use crate::columns::{millis_or_null, parsed, parsed_or_null, signed, unsigned};
use crate::failure::damaged;
use crate::record::{BatchCommon, RowColumns};

macro_rules! select_campaign {
    ($rest:literal) => {
        concat!(
            "SELECT campaign_id, name, handout, shared_code, code_prefix, valid_from, expires_at, \
             time_zone, valid_days, issue_from, issue_until, per_user_limit, cancel_days, \
             extend_days, paused, metadata, created_at, stock, issued, redeemed, void, created_as, \
             worth, spent, earlier_ends",
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
macro_rules! coupon_columns {
    () => {
        "number, expiry_day, code, version, state, holder, expires_at, ended_at, history_full, \
         record, indexed"
    };
}
macro_rules! select_coupon {
    ($rest:literal) => {
        concat!("SELECT ", crate::rows::coupon_columns!(), $rest)
    };
}
pub(crate) use {coupon_columns, select_batch, select_campaign, select_coupon};

#[derive(Clone, Debug)]
pub(crate) struct CampaignHere {
    pub(crate) number: i64,
    pub(crate) terms: Arc<Campaign>,
}

/// What a coupon needs of its batch.
#[derive(Clone)]
pub(crate) struct BatchHere {
    pub(crate) id: BatchId,
    pub(crate) campaign: i64,
    /// `None` of an imported batch.
    pub(crate) first_serial: Option<u64>,
    /// Whether a minted coupon of it has left its partition.
    pub(crate) has_moved: bool,
    pub(crate) paused: bool,
    pub(crate) created_at: Millis,
    /// `None` before its first coupon has a row.
    pub(crate) common: Option<BatchCommon>,
}

/// From the columns batch_id, campaign, paused, created_at, valid_from, expires_at, made_at, first_serial and moved.
pub(crate) fn batch_here(row: &Row<'_>) -> SqlResult<BatchHere> {
    let dates = (millis_or_null(row, 4)?, millis_or_null(row, 5)?, millis_or_null(row, 6)?);
    let common = match dates {
        (Some(valid_from), Some(expires_at), Some(created_at)) => {
            Some(BatchCommon { valid_from, expires_at, created_at })
        }
        _ => None,
    };
    Ok(BatchHere {
        id: parsed(row, 0)?,
        campaign: row.get(1)?,
        first_serial: row.get::<_, Option<i64>>(7)?.map(i64::unsigned_abs),
        has_moved: row.get(8)?,
        paused: row.get(2)?,
        created_at: Millis(row.get(3)?),
        common,
    })
}

pub(crate) fn campaign(row: &Row<'_>) -> SqlResult<Campaign> {
    Ok(Campaign {
        id: parsed(row, 0)?,
        name: row.get(1)?,
        handout: parsed(row, 2)?,
        shared_code: parsed_or_null(row, 3)?,
        code_prefix: parsed_or_null(row, 4)?,
        valid_from: Millis(row.get(5)?),
        expires_at: Millis(row.get(6)?),
        earlier_ends: earlier_ends_of(row.get_ref(24)?.as_str_or_null()?)
            .map_err(|error| damaged("earlier_ends", error))?,
        zone: parsed(row, 7)?,
        valid_days: row.get(8)?,
        issue_from: millis_or_null(row, 9)?,
        issue_until: millis_or_null(row, 10)?,
        per_user_limit: row.get(11)?,
        cancel_days: row.get(12)?,
        extend_days: row.get(13)?,
        paused: row.get(14)?,
        metadata: row.get(15)?,
        worth: worth_of(row.get_ref(22)?.as_str_or_null()?)
            .map_err(|error| damaged("worth", error))?,
        created_at: Millis(row.get(16)?),
    })
}

/// From the same columns as [`campaign`].
pub(crate) fn counts(row: &Row<'_>) -> SqlResult<CampaignCounts> {
    let count = |column| unsigned(row, column);
    Ok(CampaignCounts {
        stock: count(17)?,
        issued: count(18)?,
        redeemed: count(19)?,
        void: count(20)?,
    })
}

pub(crate) fn batch(row: &Row<'_>, campaign: &CampaignId) -> SqlResult<Batch> {
    let count = |column| unsigned(row, column);
    Ok(Batch {
        id: parsed(row, 0)?,
        campaign: campaign.clone(),
        kind: minted_run(row, 1)?.map_or(BatchKind::Imported, BatchKind::Minted),
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

/// From the columns key_id, expiry_day, first_serial and count, which begin at `at`; `None` of an imported batch.
pub(crate) fn minted_run(row: &Row<'_>, at: usize) -> SqlResult<Option<MintedRun>> {
    let Some(key) = parsed_or_null(row, at)? else { return Ok(None) };
    let (day, first, count) =
        (Day(row.get(at + 1)?), unsigned(row, at + 2)?, unsigned(row, at + 3)?);
    Ok(Some(MintedRun { key, day, first, count }))
}

pub(crate) struct CouponRow<'a> {
    pub(crate) number: i64,
    /// `None`: that of the batch. The columns have it only once the batch was read.
    pub(crate) own_expiry: Option<Millis>,
    pub(crate) record: &'a [u8],
    pub(crate) columns: RowColumns<'a>,
}

/// From [`coupon_columns`].
pub(crate) fn coupon_row<'a>(row: &'a Row<'_>) -> SqlResult<CouponRow<'a>> {
    let (number, own_expiry) = (row.get(0)?, millis_or_null(row, 6)?);
    let columns = RowColumns {
        batch: batch_of(number),
        day: Day(row.get(1)?),
        code: row.get_ref(2)?.as_str()?,
        version: row.get(3)?,
        state: row.get(4)?,
        holder: row.get_ref(5)?.as_str_or_null()?,
        expires_at: own_expiry.unwrap_or(Millis(0)),
        ended_at: millis_or_null(row, 7)?,
        history_full: row.get(8)?,
        indexed: row.get(10)?,
    };
    Ok(CouponRow { number, own_expiry, record: row.get_ref(9)?.as_blob()?, columns })
}

/// Bits of the number of a row that count within its batch: 137 billion, and a batch has 100 billion coupons at most.
/// The others count 67 million batches.
pub(crate) const BITS_IN_BATCH: u32 = 37;

pub(crate) fn batch_of(number: i64) -> i64 {
    number >> BITS_IN_BATCH
}

pub(crate) fn numbers_of(batch: i64) -> RangeInclusive<i64> {
    let first = batch << BITS_IN_BATCH;
    first..=first | ((1 << BITS_IN_BATCH) - 1)
}

pub(crate) fn before_first(batch: i64) -> i64 {
    batch << BITS_IN_BATCH
}

/// The number of the row that a minted coupon has or gets, by its place in the run of its batch.
pub(crate) fn minted_number(batch: i64, offset: u64) -> i64 {
    before_first(batch) + 1 + signed(offset)
}

/// The states in the order of their numbers.
const STATES: [&str; 4] = ["available", "issued", "redeemed", "void"];

pub(crate) fn state_number(state: &str) -> i64 {
    let at = STATES.iter().position(|name| *name == state);
    at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)
}

/// The state of a number in the column `state`; `?` for any other number.
pub(crate) fn state_name(number: i64) -> &'static str {
    usize::try_from(number).ok().and_then(|at| STATES.get(at)).copied().unwrap_or("?")
}

/// The columns of a row that `coupon` would have.
pub(crate) fn columns<'a>(
    coupon: &'a Coupon,
    batch: i64,
    day: Day,
    indexed: bool,
) -> RowColumns<'a> {
    RowColumns {
        batch,
        day,
        code: coupon.code().as_str(),
        version: signed(coupon.version()),
        state: state_number(coupon.state().as_str()),
        holder: coupon.holder().map(UserId::as_str),
        expires_at: coupon.expires_at(),
        ended_at: match coupon.state() {
            State::Available | State::Issued { .. } => None,
            State::Redeemed { redemption, .. } => Some(redemption.at),
            State::Void { .. } => Some(coupon.modified_at()),
        },
        history_full: is_history_full(coupon),
        indexed,
    }
}

/// The first column that differs from that of `coupon`, which is what the record says, and how.
pub(crate) fn disagreement(coupon: &Coupon, stored: &RowColumns<'_>) -> Option<String> {
    let told = columns(coupon, stored.batch, stored.day, stored.indexed);
    let at = |instant: Option<Millis>| instant.map(|at| at.0);
    differs("state", state_name(stored.state), state_name(told.state))
        .or_else(|| differs("holder", stored.holder, told.holder))
        .or_else(|| differs("expires_at", stored.expires_at.0, told.expires_at.0))
        .or_else(|| differs("ended_at", at(stored.ended_at), at(told.ended_at)))
        .or_else(|| differs("history_full", stored.history_full, told.history_full))
}

fn differs<T: Debug + PartialEq>(column: &str, stored: T, told: T) -> Option<String> {
    (stored != told).then(|| format!("{column} is {stored:?}, its record says {told:?}"))
}
