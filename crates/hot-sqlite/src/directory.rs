//! The directory: what a foreign or shared code names, and to which partition an extended coupon
//! has moved.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::minted::KeyId;
use coupon::time::{Day, Millis};
use hot::HotError;
use router::{Directory, Entry, OwnedRun};
use rusqlite::{Result as SqlResult, params};

use crate::failure::damaged;
use crate::last_line::LastLine;
use crate::rows::batch_of;
use crate::txn::Txn;
use crate::{Result, SqliteHot};

/// What an entry is of, by its columns `campaign` and `number`.
pub(crate) enum DirectoryKind {
    Shared(i64),
    Coupon(i64),
    Gone,
}

impl DirectoryKind {
    pub(crate) fn of(campaign: Option<i64>, number: Option<i64>) -> SqlResult<DirectoryKind> {
        match (campaign, number) {
            (Some(campaign), None) => Ok(DirectoryKind::Shared(campaign)),
            (None, Some(number)) => Ok(DirectoryKind::Coupon(number)),
            (None, None) => Ok(DirectoryKind::Gone),
            (Some(_), Some(_)) => Err(damaged("directory", "a shared code with a row")),
        }
    }
}

#[async_trait]
impl Directory for SqliteHot {
    type Error = HotError;

    async fn entry(&self, code: &Code) -> Result<Option<Entry>> {
        self.readers.apart(|txn| entry(txn, code)).await
    }

    async fn run_of(&self, key: KeyId, day: Day, serial: u64) -> Result<Option<OwnedRun>> {
        self.readers.apart(|txn| txn.run_with(key, day, serial)).await
    }

    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>> {
        let sql = "SELECT bucket_bits FROM partition_plan WHERE expiry_day = ?1";
        self.readers.point(|txn| txn.first(sql, [day.0], |row| row.get(0))).await
    }

    async fn has_long_codes(&self) -> Result<bool> {
        Ok(self.checkpointer.long_codes.load(Ordering::Relaxed))
    }
}

pub(crate) fn entry(txn: &Txn<'_>, code: &Code) -> SqlResult<Option<Entry>> {
    let sql = "SELECT campaign, number, expiry_day FROM directory WHERE code = ?1";
    let entry = txn.first(sql, [code.as_str()], |row| {
        match DirectoryKind::of(row.get(0)?, row.get(1)?)? {
            DirectoryKind::Shared(campaign) => {
                Ok(Some(Entry::Shared { campaign: txn.campaign_at(campaign)?.terms.id.clone() }))
            }
            DirectoryKind::Coupon(number) => {
                let (day, owner) =
                    (day(txn, row.get(2)?, number)?, txn.owner_at(batch_of(number))?);
                Ok(Some(Entry::Coupon { day, owner, hint: Some(number) }))
            }
            DirectoryKind::Gone => Ok(None),
        }
    })?;
    Ok(entry.flatten())
}

fn day(txn: &Txn<'_>, expiry_day: Option<i32>, number: i64) -> SqlResult<Day> {
    let of_batch = || txn.expiry_day_of_batch(batch_of(number));
    expiry_day.map_or_else(of_batch, |day| Ok(Day(day)))
}

pub(crate) struct Place {
    pub(crate) day: Day,
    /// Of its row, if the coupon is not archived.
    pub(crate) number: i64,
}

pub(crate) fn place_of(txn: &Txn<'_>, code: &Code) -> SqlResult<Option<Place>> {
    let sql = "SELECT expiry_day, number FROM directory WHERE code = ?1 AND number IS NOT NULL";
    txn.first(sql, [code.as_str()], |row| {
        let number = row.get(1)?;
        Ok(Place { day: day(txn, row.get(0)?, number)?, number })
    })
}

pub(crate) fn partition_of(txn: &Txn<'_>, code: &Code) -> SqlResult<Option<Day>> {
    Ok(place_of(txn, code)?.map(|place| place.day))
}

/// Whether a code has an entry of any kind.
pub(crate) fn has(txn: &Txn<'_>, code: &Code) -> SqlResult<bool> {
    txn.statement("SELECT 1 FROM directory WHERE code = ?1")?.exists([code.as_str()])
}

/// What an imported line says about its coupon.
pub(crate) struct Line<S> {
    pub(crate) valid_from: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) imported_state: S,
}

pub(crate) struct EntryOfLine {
    pub(crate) campaign: i64,
    /// The place of its coupon, and what the last line said: `None` of its state if the row has that.
    /// `None` for a shared code, and for a minted code that was extended.
    pub(crate) line: Option<(Place, Line<Option<ImportedState>>)>,
}

pub(crate) fn known(txn: &Txn<'_>, code: &Code) -> SqlResult<Option<EntryOfLine>> {
    let sql = "SELECT campaign, number, expiry_day, last_line FROM directory WHERE code = ?1";
    txn.first(sql, [code.as_str()], |row| {
        let Some(number) = row.get(1)? else {
            let campaign: Option<i64> = row.get(0)?;
            return Ok(EntryOfLine { campaign: campaign.unwrap_or(0), line: None });
        };
        let batch = txn.batch_at(batch_of(number))?;
        let line = LastLine::decode(row.get_ref(3)?.as_blob_or_null()?)?;
        let dates = (
            line.valid_from.or(batch.common.map(|common| common.valid_from)),
            line.expires_at.or(batch.common.map(|common| common.expires_at)),
        );
        let line = match dates {
            (Some(valid_from), Some(expires_at)) if batch.first_serial.is_none() => {
                let line = Line { valid_from, expires_at, imported_state: line.state };
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
    &Place { day, number }: &Place,
    line: Option<&Line<&ImportedState>>,
) -> SqlResult<()> {
    let batch = txn.batch_at(batch_of(number))?;
    if batch.first_serial.is_some() && !batch.has_moved {
        txn.run("UPDATE batch SET moved = 1 WHERE number = ?1", [batch_of(number)])?;
        txn.forget_terms();
    }
    let usual = batch.common;
    let own = |at: Millis, usual: Option<Millis>| Some(at).filter(|_| usual != Some(at));
    let usual_day = usual.map(|usual| Day::expiry_day_of(usual.expires_at));
    let line = line.and_then(|line| {
        let line = LastLine {
            valid_from: own(line.valid_from, usual.map(|usual| usual.valid_from)),
            expires_at: own(line.expires_at, usual.map(|usual| usual.expires_at)),
            ..LastLine::of_state(line.imported_state)
        };
        line.encode()
    });
    txn.run(
        "INSERT INTO directory (code, number, expiry_day, last_line) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (code) DO UPDATE SET number = ?2, expiry_day = ?3",
        params![code.as_str(), number, Some(day.0).filter(|_| usual_day != Some(day)), line],
    )
}

/// What the last line of a code said; `None` if the code has no entry.
pub(crate) fn last_line(txn: &Txn<'_>, code: &str) -> SqlResult<Option<LastLine>> {
    let sql = "SELECT last_line FROM directory WHERE code = ?1";
    txn.first(sql, [code], |row| LastLine::decode(row.get_ref(0)?.as_blob_or_null()?))
}

/// Keeps what the last line said of a coupon without a row.
pub(crate) fn keep_line(txn: &Txn<'_>, code: &Code, state: &ImportedState) -> SqlResult<()> {
    let Some(known) = last_line(txn, code.as_str())? else { return Ok(()) };
    let line = LastLine { state: LastLine::of_state(state).state, ..known };
    let sql = "UPDATE directory SET last_line = ?2 WHERE code = ?1";
    txn.run(sql, params![code.as_str(), line.encode()])
}

pub(crate) fn enter_shared(txn: &Txn<'_>, code: &str, campaign: i64) -> SqlResult<()> {
    let sql = "INSERT OR REPLACE INTO directory (code, campaign) VALUES (?1, ?2)";
    txn.run(sql, params![code, campaign])
}

/// Makes the entry of a code that is gone, unless the code has one.
pub(crate) fn enter_gone(txn: &Txn<'_>, code: &str) -> SqlResult<()> {
    txn.run("INSERT INTO directory (code) VALUES (?1) ON CONFLICT (code) DO NOTHING", [code])
}
