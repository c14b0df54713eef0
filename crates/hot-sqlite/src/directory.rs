//! The directory: what a foreign or shared code names, and to which partition an extended coupon
//! has moved.

use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::time::{Day, Millis};
use hot::imported_state_text;
use router::Entry;
use rusqlite::params;

use crate::failure::damaged;
use crate::txn::Txn;

/// What a code names: a shared code or a coupon.
pub(crate) fn entry(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Entry>> {
    let sql = "SELECT kind, campaign, batch, expiry_day FROM directory \
               WHERE code = ?1 AND kind <> 'gone'";
    txn.first(sql, [code.as_str()], |row| {
        match (row.get_ref(0)?.as_str()?, row.get(2)?, row.get(3)?) {
            ("shared", _, _) => {
                Ok(Entry::Shared { campaign: txn.campaign_at(row.get(1)?)?.terms.id.clone() })
            }
            ("coupon", Some(batch), Some(day)) => {
                Ok(Entry::Coupon { day: Day(day), owner: txn.owner_at(batch)? })
            }
            (kind, _, _) => Err(damaged("kind", kind)),
        }
    })
}

/// The partition that the directory names for a coupon's code.
pub(crate) fn partition_of(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Day>> {
    let sql = "SELECT expiry_day FROM directory WHERE code = ?1 AND kind = 'coupon'";
    let day: Option<Option<i32>> = txn.first(sql, [code.as_str()], |row| row.get(0))?;
    Ok(day.flatten().map(Day))
}

/// What an imported line says about its coupon.
pub(crate) struct Line<'a> {
    pub(crate) valid_from: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) imported_state: &'a ImportedState,
}

/// Makes the directory name the partition `day` for the coupon. A new entry says what its line says.
pub(crate) fn enter(
    txn: &Txn<'_>,
    code: &Code,
    campaign: i64,
    batch: i64,
    day: Day,
    line: Option<Line<'_>>,
) -> rusqlite::Result<()> {
    let line = line.as_ref();
    txn.run(
        "INSERT INTO directory \
         (code, kind, campaign, batch, expiry_day, valid_from, expires_at, imported_state) \
         VALUES (?1, 'coupon', ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (code) DO UPDATE SET expiry_day = excluded.expiry_day",
        params![
            code.as_str(),
            campaign,
            batch,
            day.0,
            line.map(|line| line.valid_from.0),
            line.map(|line| line.expires_at.0),
            line.map(|line| imported_state_text::to_json(line.imported_state)),
        ],
    )
}
