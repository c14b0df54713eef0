//! The directory: what a foreign or shared code names, and to which partition an extended coupon
//! has moved.

use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::time::{Day, Millis};
use router::Entry;
use rusqlite::params;

use crate::columns::millis_or_null;
use crate::failure::damaged;
use crate::last_line;
use crate::rows::batch_of;
use crate::txn::Txn;

/// The numbers of the column `kind`.
pub(crate) const COUPON: i64 = 0;
pub(crate) const SHARED: i64 = 1;
pub(crate) const GONE: i64 = 2;

/// What a code names: a shared code or a coupon.
pub(crate) fn entry(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Entry>> {
    let sql = "SELECT kind, campaign, number, expiry_day FROM directory \
               WHERE code = ?1 AND kind <> 2";
    txn.first(sql, [code.as_str()], |row| match (row.get(0)?, row.get(1)?, row.get(2)?) {
        (SHARED, Some(campaign), _) => {
            Ok(Entry::Shared { campaign: txn.campaign_at(campaign)?.terms.id.clone() })
        }
        (COUPON, _, Some(number)) => {
            let (day, owner) = (day(txn, row.get(3)?, number)?, txn.owner_at(batch_of(number))?);
            Ok(Entry::Coupon { day, owner })
        }
        (kind, ..) => Err(damaged("kind", kind)),
    })
}

/// The partition of an entry, from its columns.
fn day(txn: &Txn<'_>, expiry_day: Option<i32>, number: i64) -> rusqlite::Result<Day> {
    match expiry_day {
        Some(day) => Ok(Day(day)),
        None => txn.expiry_day_of_batch(batch_of(number)),
    }
}

/// Where the coupon of a code is, as the directory says.
pub(crate) struct Place {
    pub(crate) day: Day,
    /// Of its row, if the coupon is not archived.
    pub(crate) number: i64,
}

/// Where the directory says that the coupon of a code is.
pub(crate) fn place_of(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Place>> {
    let sql = "SELECT expiry_day, number FROM directory WHERE code = ?1 AND kind = 0";
    txn.first(sql, [code.as_str()], |row| {
        let number = row.get(1)?;
        Ok(Place { day: day(txn, row.get(0)?, number)?, number })
    })
}

/// The partition that the directory names for a coupon's code.
pub(crate) fn partition_of(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Day>> {
    Ok(place_of(txn, code)?.map(|place| place.day))
}

/// Whether a code has an entry of any kind.
pub(crate) fn has(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<bool> {
    txn.statement("SELECT 1 FROM directory WHERE code = ?1")?.exists([code.as_str()])
}

/// What an imported line says about its coupon.
pub(crate) struct Line<S> {
    pub(crate) valid_from: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) imported_state: S,
}

/// An entry, as an import reads it.
pub(crate) struct EntryOfLine {
    /// The number of its campaign.
    pub(crate) campaign: i64,
    /// The place of its coupon, and what the last line said: `None` of its state if the row has that.
    /// `None` for a shared code, and for a minted code that was extended.
    pub(crate) line: Option<(Place, Line<Option<ImportedState>>)>,
}

/// The entry of a code.
pub(crate) fn known(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<EntryOfLine>> {
    let sql = "SELECT campaign, number, expiry_day, valid_from, expires_at, last_line \
               FROM directory WHERE code = ?1";
    txn.first(sql, [code.as_str()], |row| {
        let Some(number) = row.get(1)? else {
            let campaign: Option<i64> = row.get(0)?;
            return Ok(EntryOfLine { campaign: campaign.unwrap_or(0), line: None });
        };
        let batch = txn.batch_at(batch_of(number))?;
        let dates = (
            millis_or_null(row, 3)?.or(batch.common.map(|common| common.valid_from)),
            millis_or_null(row, 4)?.or(batch.common.map(|common| common.expires_at)),
        );
        let line = match dates {
            (Some(valid_from), Some(expires_at)) if batch.imported => {
                let column = row.get_ref(5)?.as_blob_or_null()?;
                let imported_state = column.map(last_line::decode).transpose()?;
                let line = Line { valid_from, expires_at, imported_state };
                Some((Place { day: day(txn, row.get(2)?, number)?, number }, line))
            }
            _ => None,
        };
        Ok(EntryOfLine { campaign: batch.campaign, line })
    })
}

/// Makes the directory name the place of the coupon. A new entry says what its line says.
pub(crate) fn enter(
    txn: &Txn<'_>,
    code: &Code,
    place: &Place,
    line: Option<&Line<&ImportedState>>,
) -> rusqlite::Result<()> {
    let on_conflict = "ON CONFLICT (code) DO UPDATE SET number = ?2, expiry_day = ?3";
    put(txn, code.as_str(), place, line, on_conflict)
}

/// The same, and replaces the entry that there is.
pub(crate) fn replace(
    txn: &Txn<'_>,
    code: &str,
    place: &Place,
    line: Option<&Line<&ImportedState>>,
) -> rusqlite::Result<()> {
    put(
        txn,
        code,
        place,
        line,
        "ON CONFLICT (code) DO UPDATE SET kind = 0, campaign = NULL, number = ?2, expiry_day = ?3, \
         valid_from = ?4, expires_at = ?5, last_line = ?6",
    )
}

/// Makes the directory name the place of a row that a copy has brought. Of two rows of a code, the one in
/// the later partition is the coupon.
pub(crate) fn point(txn: &Txn<'_>, code: &Code, place: &Place) -> rusqlite::Result<()> {
    let known = place_of(txn, code)?;
    match known {
        Some(known) if known.day > place.day => Ok(()),
        _ => enter(txn, code, place, None),
    }
}

fn put(
    txn: &Txn<'_>,
    code: &str,
    &Place { day, number }: &Place,
    line: Option<&Line<&ImportedState>>,
    on_conflict: &str,
) -> rusqlite::Result<()> {
    let usual = txn.batch_at(batch_of(number))?.common;
    let own = |at: Millis, usual: Option<Millis>| Some(at.0).filter(|_| usual != Some(at));
    let usual_day = usual.map(|usual| Day::expiry_day_of(usual.expires_at));
    let sql = format!(
        "INSERT INTO directory (code, kind, number, expiry_day, valid_from, expires_at, last_line) \
         VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6) {on_conflict}"
    );
    txn.run(
        &sql,
        params![
            code,
            number,
            Some(day.0).filter(|_| usual_day != Some(day)),
            line.and_then(|line| own(line.valid_from, usual.map(|usual| usual.valid_from))),
            line.and_then(|line| own(line.expires_at, usual.map(|usual| usual.expires_at))),
            line.and_then(|line| last_line::encode(line.imported_state)),
        ],
    )
}

/// Keeps what the last line said of a coupon without a row.
pub(crate) fn keep_line(txn: &Txn<'_>, code: &Code, line: &ImportedState) -> rusqlite::Result<()> {
    let sql = "UPDATE directory SET last_line = ?2 WHERE code = ?1";
    txn.run(sql, params![code.as_str(), last_line::encode(line)])
}

/// Makes an entry that is no coupon's: of a shared code, or of a code that is gone.
pub(crate) fn enter_other(
    txn: &Txn<'_>,
    code: &str,
    kind: i64,
    campaign: Option<i64>,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO directory (code, kind, campaign) VALUES (?1, ?2, ?3)";
    txn.run(sql, params![code, kind, campaign])
}
