//! One coupon in a transaction: finds it in hot, in a later partition, or in cold.
//!
//! A coupon that was ever changed or imported has a row, or an archived marker, or was in a
//! partition that is sealed. A minted code without any of these is an untouched coupon.

pub(crate) mod writing;

use std::sync::Arc;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::{Coupon, Genesis};
use coupon::history_validity::invalid_history;
use coupon::time::Day;
use hot::Tier;
use hot::protocol::{self, FromCold, Promise, from_cold};
use router::Address;
use rusqlite::{Params, Result as SqlResult, Row, params};

use crate::failure::{ColdMiss, damaged, ours};
use crate::last_line::LineState;
use crate::record::{self, RowColumns};
use crate::rows::{CampaignHere, CouponRow, batch_of};
use crate::txn::Txn;
use crate::{directory, partitions, rows};

#[derive(Clone, Debug)]
pub(crate) struct SqlitePlace {
    pub(crate) campaign: CampaignHere,
    pub(crate) batch: i64,
    /// The number of its row, if it has one.
    pub(crate) row: Option<i64>,
    /// Whether the index of holders has its row, if it has one.
    pub(crate) indexed: bool,
    /// The number that the row of a minted coupon without one gets.
    pub(crate) next_row: Option<i64>,
    /// What the last imported line said, if it has a row.
    pub(crate) said: LineState,
}

impl protocol::Here for SqlitePlace {
    fn terms(&self) -> &Arc<Campaign> {
        &self.campaign.terms
    }
}

pub(crate) type SqliteCoupon = protocol::Located<SqlitePlace>;

/// The coupon at `address`, in whichever partition or tier it is now.
pub(crate) fn locate(txn: &Txn<'_>, address: &Address) -> SqlResult<Option<SqliteCoupon>> {
    let (day, code) = (address.bucket_key.expiry_day, &address.code);
    let number = address.hint.map(|number| match address.minted {
        true => RowNumber::OfSerial(number),
        false => RowNumber::OfEntry(number),
    });
    if let Some(located) = number.map(|it| numbered(txn, it, code)).transpose()?.flatten() {
        return Ok(Some(located));
    }
    if let Some(located) = as_the_directory_says(txn, day, code)? {
        return Ok(Some(located));
    }
    let Some(number) = address.hint.filter(|_| address.minted) else { return Ok(None) };
    if txn.is_deleted(day)? {
        return Ok(None);
    }
    let found = txn.batch(&address.owner.campaign, &address.owner.batch)?;
    found.map(|(campaign, _)| untouched_of(txn, code.clone(), campaign, number, day)).transpose()
}

/// The coupon in the partition `day`, or in the later one that an extension moved it to. A minted
/// code that nothing has happened to is none.
pub(crate) fn stored(txn: &Txn<'_>, day: Day, code: &Code) -> SqlResult<Option<SqliteCoupon>> {
    let number = txn.minted_number(code)?.map(RowNumber::OfSerial);
    match number.map(|it| numbered(txn, it, code)).transpose()?.flatten() {
        Some(located) => Ok(Some(located)),
        None => as_the_directory_says(txn, day, code),
    }
}

/// The coupon where the directory says that it is; without an entry, what cold has in the partition `day`.
fn as_the_directory_says(txn: &Txn<'_>, day: Day, code: &Code) -> SqlResult<Option<SqliteCoupon>> {
    let Some(place) = directory::place_of(txn, code)? else {
        return archived(txn, day, code, Promise::None);
    };
    match numbered(txn, RowNumber::OfEntry(place.number), code)? {
        Some(located) => Ok(Some(located)),
        None => archived(txn, place.day, code, Promise::Entry),
    }
}

/// What leads to the number of a row.
#[derive(Clone, Copy)]
pub(crate) enum RowNumber {
    /// The serial of a minted code: no other coupon has the number.
    OfSerial(i64),
    /// The entry of a foreign code: another coupon may have the number of one that is archived.
    OfEntry(i64),
}

impl RowNumber {
    pub(crate) fn number(self) -> i64 {
        let (RowNumber::OfSerial(number) | RowNumber::OfEntry(number)) = self;
        number
    }
}

/// The row of this number, if it is that of the code.
pub(crate) fn numbered(
    txn: &Txn<'_>,
    number: RowNumber,
    code: &Code,
) -> SqlResult<Option<SqliteCoupon>> {
    let RowNumber::OfSerial(number) = number else {
        const SQL: &str = rows::select_coupon!(" FROM coupon WHERE number = ?1 AND code = ?2");
        return one_row(txn, SQL, params![number.number(), code.as_str()]);
    };
    match row_at(txn, number)? {
        Some(other) if other.coupon.code() != code => {
            Err(damaged(code.as_str(), format!("its row has the code {}", other.coupon.code())))
        }
        found => Ok(found),
    }
}

/// The coupon for which the directory names the partition `day`, in whichever tier it is.
pub(crate) fn in_partition(
    txn: &Txn<'_>,
    day: Day,
    code: &Code,
) -> SqlResult<Option<SqliteCoupon>> {
    match row_of(txn, day, code)? {
        Some(located) => Ok(Some(located)),
        None => archived(txn, day, code, Promise::Entry),
    }
}

/// The coupon in cold, if the code has an archived marker or its partition is sealed. To be called
/// after [`row_of`] found no row.
fn archived(
    txn: &Txn<'_>,
    day: Day,
    code: &Code,
    promise: Promise,
) -> SqlResult<Option<SqliteCoupon>> {
    let archived_marker = partitions::archived_marker(txn, day, code)?;
    if archived_marker.is_none() && !txn.is_sealed(day)? {
        return Ok(None);
    }
    let found = txn.in_cold((day, code.clone()))?;
    let coupon = match from_cold(found, archived_marker, promise) {
        FromCold::Coupon(coupon) => coupon,
        FromCold::Nothing => return Ok(None),
        FromCold::Missing => return Err(ours(ColdMiss::Missing(code.to_string()))),
    };
    let genesis = coupon.genesis();
    let gone = || damaged("campaign", format!("{} is gone", genesis.campaign));
    let (campaign, batch) = txn.batch(&genesis.campaign, &genesis.batch)?.ok_or_else(gone)?;
    let batch_paused = txn.batch_at(batch)?.paused;
    let (coupon, tier) = (coupon.clone(), Tier::Cold);
    let here = SqlitePlace {
        campaign,
        batch,
        row: None,
        indexed: true,
        next_row: None,
        said: LineState::Available,
    };
    Ok(Some(SqliteCoupon { coupon, batch_paused, day, tier, frozen: true, here }))
}

pub(crate) fn row_of(txn: &Txn<'_>, day: Day, code: &Code) -> SqlResult<Option<SqliteCoupon>> {
    let Some(number) = number_of(txn, code)? else { return Ok(None) };
    Ok(numbered(txn, number, code)?.filter(|located| located.day == day))
}

/// The number of the row that a code has or had.
pub(crate) fn number_of(txn: &Txn<'_>, code: &Code) -> SqlResult<Option<RowNumber>> {
    if let Some(number) = txn.minted_number(code)? {
        return Ok(Some(RowNumber::OfSerial(number)));
    }
    Ok(directory::place_of(txn, code)?.map(|place| RowNumber::OfEntry(place.number)))
}

pub(crate) fn row_at(txn: &Txn<'_>, number: i64) -> SqlResult<Option<SqliteCoupon>> {
    one_row(txn, rows::select_coupon!(" FROM coupon WHERE number = ?1"), [number])
}

fn one_row(txn: &Txn<'_>, sql: &str, asked: impl Params) -> SqlResult<Option<SqliteCoupon>> {
    let mut statement = txn.statement(sql)?;
    let mut found = statement.query(asked)?;
    found.next()?.map(|row| checked(txn, row)).transpose()
}

/// Fails unless the row is as it was written, and its events may follow each other.
pub(crate) fn checked(txn: &Txn<'_>, row: &Row<'_>) -> SqlResult<SqliteCoupon> {
    let (located, differs) = read(txn, &rows::coupon_row(row)?)?;
    let coupon = &located.coupon;
    match differs.or_else(|| invalid_history(coupon)) {
        None => Ok(located),
        Some(why) => Err(damaged(coupon.code().as_str(), why)),
    }
}

/// The coupon that the record of a row tells of, and what of the row is not as it was written.
pub(crate) fn read(
    txn: &Txn<'_>,
    row: &CouponRow<'_>,
) -> SqlResult<(SqliteCoupon, Option<String>)> {
    let (number, day) = (row.columns.batch, row.columns.day);
    let batch = txn.batch_at(number)?;
    let campaign = txn.campaign_at(batch.campaign)?;
    let no_dates = || damaged("batch", format!("{} has coupons and no dates", batch.id));
    let common = batch.common.ok_or_else(no_dates)?;
    let expires_at = row.own_expiry.unwrap_or(common.expires_at);
    let columns = RowColumns { expires_at, ..row.columns };
    let (record, is_whole) = record::decode(row.record, &common, &columns, txn)?;
    let genesis = Genesis {
        code: columns.code.parse().map_err(|why| damaged("code", why))?,
        campaign: campaign.terms.id.clone(),
        batch: batch.id,
        valid_from: record.valid_from,
        expires_at: record.expires_at,
        zone: campaign.terms.zone.clone(),
        created_at: record.created_at,
    };
    let version = columns.version.unsigned_abs();
    let coupon = Coupon::of(genesis, record.events, record.hold, version, record.modified_at);
    let differs = rows::disagreement(&coupon, &columns)
        .or_else(|| (!is_whole).then(|| "its checksum is not that of the row".to_owned()));
    let (batch_paused, frozen) = (batch.paused, txn.is_sealed(day)?);
    let here = SqlitePlace {
        campaign,
        batch: number,
        row: Some(row.number),
        indexed: columns.indexed,
        next_row: None,
        said: record.said,
    };
    let located = SqliteCoupon { coupon, batch_paused, day, tier: Tier::Hot, frozen, here };
    Ok((located, differs))
}

/// The coupon of a minted code that nothing has happened to; `number` of the row that it gets.
pub(crate) fn untouched_of(
    txn: &Txn<'_>,
    code: Code,
    campaign: CampaignHere,
    number: i64,
    day: Day,
) -> SqlResult<SqliteCoupon> {
    let batch = batch_of(number);
    let known = txn.batch_at(batch)?;
    let coupon = protocol::untouched(&campaign.terms, known.id, known.created_at, code);
    let (batch_paused, frozen) = (known.paused, txn.is_sealed(day)?);
    let (next_row, said) = (Some(number), LineState::Available);
    let here = SqlitePlace { campaign, batch, row: None, indexed: true, next_row, said };
    Ok(SqliteCoupon { coupon, batch_paused, day, tier: Tier::Hot, frozen, here })
}
