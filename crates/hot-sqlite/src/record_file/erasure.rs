//! Records that name a person: all values are JSON, and are looked through.

use std::path::PathBuf;

use coupon::erasure::Erasure;
use hot::people::{Mention, erase_json, in_json};
use rusqlite::{Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use super::{RecordConnection, RecordFile, Result};
use crate::failure::{at_commit, before_commit};
use crate::pages;

/// Rows that one look takes: some 10 ms.
const ROWS_MAX: i64 = 5_000;

/// The place of a row, and what it says.
struct NamingRow {
    place: (i64, Vec<u8>, Vec<u8>),
    value: Vec<u8>,
}

impl RecordFile {
    /// Gives the person the erased name in every record. Reads all of them.
    pub(crate) async fn erase(&self, erasure: &Erasure) -> Result<()> {
        let mut after = Some((0, Vec::new(), Vec::new()));
        while let Some(place) = after {
            let of = erasure.clone();
            let look = move |records: &mut RecordConnection| {
                naming(records, &of, &place).map_err(before_commit)
            };
            let (found, last) = self.reader.run(look).await?;
            if !found.is_empty() {
                let of = erasure.clone();
                self.sure.run(move |records| replace(records, &of, found)).await?;
            }
            after = last;
        }
        Ok(())
    }

    /// Records that name the person behind a place, and the place behind which the next page begins.
    pub(crate) async fn mentions(
        &self,
        person: Erasure,
        after: &str,
    ) -> Result<(Vec<Mention>, Option<String>)> {
        let after = serde_json::from_str(after).unwrap_or_default();
        let look = move |records: &mut RecordConnection| {
            let (found, last) = naming(records, &person, &after)?;
            let sql = "SELECT name FROM record_kind WHERE number = ?1";
            let mut kinds = records.conn.prepare_cached(sql)?;
            let mut mentions = Vec::new();
            for NamingRow { place: (kind, ..), value } in found {
                let value: Value = serde_json::from_slice(&value).unwrap_or_default();
                if erase_json(&person, &mut value.clone()) {
                    let kind = kinds.query_row([kind], |row| row.get(0))?;
                    mentions.push(Mention::Record { kind, value });
                }
            }
            Ok((mentions, last.map(|place| json!(place).to_string())))
        };
        self.reader.run(move |records| look(records).map_err(before_commit)).await
    }

    /// Overwrites what the file still has of these names.
    pub(crate) async fn scrub(&self, names: Vec<String>) -> Result<()> {
        let scrub = move |records: &mut RecordConnection| {
            let path = records.conn.path().map(PathBuf::from);
            pages::scrub_file(&records.conn, &names).map(|()| path)
        };
        let Some(path) = self.sure.run(scrub).await? else { return Ok(()) };
        let commit = || {
            self.sure.run(|records| {
                // A killed process may have left the row: one of the two changes something.
                let sql = "PRAGMA wal_checkpoint(PASSIVE); \
                           INSERT OR IGNORE INTO record_kind (name) VALUES ('scrub'); \
                           DELETE FROM record_kind WHERE name = 'scrub'";
                records.conn.execute_batch(sql).map_err(at_commit)
            })
        };
        pages::begin_log_anew(&path, commit).await
    }
}

/// Rows behind a place that may name the person, and the last row that was looked at; `None` at the end.
#[expect(clippy::type_complexity, reason = "a page and its end")]
fn naming(
    records: &RecordConnection,
    erasure: &Erasure,
    (kind, part, key): &(i64, Vec<u8>, Vec<u8>),
) -> rusqlite::Result<(Vec<NamingRow>, Option<(i64, Vec<u8>, Vec<u8>)>)> {
    let name = &in_json(erasure.user.as_str());
    // Within a line of CSV, which is within JSON.
    let quoted = &in_json(&erasure.user.as_str().replace('"', "\"\""));
    let sql = "SELECT kind, part, key, value FROM record WHERE (kind, part, key) > (?1, ?2, ?3) \
               ORDER BY kind, part, key LIMIT ?4";
    let mut statement = records.conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![kind, part, key, ROWS_MAX])?;
    let (mut found, mut last, mut count) = (Vec::new(), None, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        let value = row.get_ref(3)?.as_bytes()?;
        let place = || Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?, row.get(2)?));
        if std::str::from_utf8(value).is_ok_and(|text| text.contains(name) || text.contains(quoted))
        {
            found.push(NamingRow { place: place()?, value: value.to_vec() });
        }
        if count == ROWS_MAX {
            last = Some(place()?);
        }
    }
    Ok((found, last))
}

/// Writes those that name the person, unless they say something else by now.
fn replace(records: &mut RecordConnection, erasure: &Erasure, rows: Vec<NamingRow>) -> Result<()> {
    let begun = Transaction::new(&mut records.conn, TransactionBehavior::Immediate);
    let txn = begun.map_err(before_commit)?;
    for NamingRow { place: (kind, part, key), value } in rows {
        let Ok(mut json) = serde_json::from_slice::<Value>(&value) else { continue };
        if erase_json(erasure, &mut json) {
            let sql = "UPDATE record SET value = ?5 \
                       WHERE kind = ?1 AND part = ?2 AND key = ?3 AND value = ?4";
            let row = params![kind, part, key, value, json.to_string().into_bytes()];
            txn.execute(sql, row).map_err(before_commit)?;
        }
    }
    txn.commit().map_err(at_commit)
}
