//! From version 1 to version 2: rows of coupons and entries of the directory in a few bytes each, without
//! what their batch has.
//!
//! The rows move in pieces, each with its position in one transaction, so that an upgrade which was
//! killed goes on where it was. The indexes are made when all rows are there, since that is faster.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::old_rows::{self, OldEntry, OldRow};
use crate::coupons::writing;
use crate::last_line::Said;
use crate::schema::{OpenError, SCHEMA, finish_step, in_transaction, partly, version};
use crate::settings;
use crate::txn::{Seen, Txn};
use crate::{cancelled, orders};

/// The version that this step makes.
const MADE: i64 = 2;

/// Rows of one transaction. Fewer in tests, so that there are several.
const PIECE: i64 = if cfg!(test) { 16 } else { 20_000 };

/// Time between two lines of progress.
const SAID_EVERY: Duration = Duration::from_secs(2);

/// The setting with the number of the last row that was moved, and with the code of the last entry.
const POSITION: &str = "upgrade_position";
const ENTRY_POSITION: &str = "upgrade_entry_position";

/// The indexes of the table, by the first words of their statements.
const INDEXES: [&str; 7] = [
    "CREATE UNIQUE INDEX coupon_by_code",
    "CREATE INDEX coupon_by_holder",
    "CREATE INDEX coupon_by_expiry",
    "CREATE INDEX coupon_by_day",
    "CREATE INDEX coupon_by_batch_expiry",
    "CREATE INDEX coupon_available",
    "CREATE INDEX coupon_closed",
];

/// For the entries of the directory, which name the numbers of their rows.
const BY_CODE: &str = "CREATE INDEX upgrade_by_code ON coupon (code)";

/// Upgrades a store of version 1, or goes on with it.
pub(super) fn upgrade(conn: &Connection) -> Result<(), OpenError> {
    // A commit that is lost with the power was one piece, and comes again.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    if version(conn)? != partly(MADE) {
        in_transaction(conn, begin)?;
    }
    move_all(conn, "coupon", move_rows)?;
    make_index(conn, BY_CODE)?;
    move_all(conn, "directory", move_entries)?;
    in_transaction(conn, |conn| conn.execute_batch("DROP INDEX upgrade_by_code"))?;
    for index in INDEXES {
        make_index(conn, statement(index))?;
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    in_transaction(conn, |conn| {
        conn.execute_batch("DROP TABLE coupon_1; DROP TABLE directory_1")?;
        conn.execute("DELETE FROM setting WHERE name IN (?1, ?2)", [POSITION, ENTRY_POSITION])?;
        finish_step(conn, MADE)
    })?;
    checkpoint(conn)
}

/// Moves all rows of a table, piece by piece.
fn move_all(
    conn: &Connection,
    table: &str,
    piece: fn(&Connection) -> rusqlite::Result<i64>,
) -> Result<(), OpenError> {
    let count = |table: &str| -> rusqlite::Result<i64> {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    };
    let (of, mut moved) = (count(&format!("{table}_1"))?, count(table)?);
    let mut said = Instant::now();
    loop {
        let piece = in_transaction(conn, piece)?;
        if piece == 0 {
            return Ok(());
        }
        moved += piece;
        if said.elapsed() >= SAID_EVERY {
            said = Instant::now();
            tracing::info!(table, moved, of, "upgrading the hot store");
        }
        checkpoint(conn)?;
    }
}

/// Makes an index, if it is not there.
fn make_index(conn: &Connection, sql: &str) -> Result<(), OpenError> {
    tracing::info!(sql, "upgrading the hot store");
    let sql = sql.replacen("INDEX", "INDEX IF NOT EXISTS", 1);
    in_transaction(conn, |conn| conn.execute_batch(&sql))?;
    checkpoint(conn)
}

/// Nothing else makes checkpoints here, and the log would grow to the size of the store.
fn checkpoint(conn: &Connection) -> Result<(), OpenError> {
    Ok(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

/// The statement of the schema that begins with these words.
fn statement(words: &str) -> &'static str {
    let from = SCHEMA.find(words).map_or("", |at| &SCHEMA[at..]);
    // A trigger has more statements inside, and a comment may have a semicolon.
    let end = if words.contains("TRIGGER") { "END;\n" } else { ";\n" };
    from.split_inclusive(end).next().unwrap_or_default()
}

fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(
        "DROP INDEX coupon_by_code; DROP INDEX coupon_by_holder; DROP INDEX coupon_by_campaign; \
         DROP INDEX coupon_by_expiry; DROP INDEX coupon_available; DROP INDEX coupon_closed; \
         ALTER TABLE coupon RENAME TO coupon_1; ALTER TABLE directory RENAME TO directory_1; \
         ALTER TABLE batch ADD COLUMN valid_from INTEGER; \
         ALTER TABLE batch ADD COLUMN expires_at INTEGER; \
         ALTER TABLE batch ADD COLUMN made_at INTEGER; \
         DROP TRIGGER batch_terms;",
    )?;
    for words in [
        "CREATE INDEX batch_by_expiry",
        "CREATE TRIGGER batch_terms",
        "CREATE TABLE actor",
        "CREATE TABLE operation",
        "CREATE TABLE cancelled_redemption (",
        "CREATE INDEX cancelled_redemption_by_campaign",
        "CREATE TABLE redeemed_by_order (",
        "CREATE TABLE activity (",
        "CREATE TABLE audit (",
        "CREATE INDEX audit_by_campaign",
        "CREATE TABLE event (",
        "INSERT INTO setting (name, value) VALUES ('feed_epoch'",
        "CREATE TABLE coupon (",
        "CREATE TABLE directory (",
    ] {
        conn.execute_batch(statement(words))?;
    }
    conn.execute(
        "INSERT INTO setting (name, value) VALUES (?1, '0'), (?2, '')",
        [POSITION, ENTRY_POSITION],
    )?;
    conn.pragma_update(None, "user_version", partly(MADE))
}

/// Moves the next rows, and returns how many.
fn move_rows(conn: &Connection) -> rusqlite::Result<i64> {
    let seen = Seen::default();
    let txn = Txn::new(conn, &seen);
    let after = txn.setting(POSITION)?.unwrap_or_default();
    let mut statement = txn.statement(old_rows::SELECT)?;
    let mut found = statement.query(params![after, PIECE])?;
    let (mut last, mut moved) = (None, 0);
    while let Some(row) = found.next()? {
        let old = OldRow::of(&txn, row)?;
        match old.coupon() {
            // What its last line said comes with its entry in the directory.
            Ok(coupon) => {
                let number = writing::insert(&txn, old.batch, coupon, &Said::Available, old.day)?;
                let campaign = txn.batch_at(old.batch)?.campaign;
                cancelled::enter(&txn, number, campaign, coupon, 0)?;
                orders::enter_all(&txn, coupon)?;
            }
            Err(why) => {
                tracing::error!(code = old.code, why, "a row was damaged before the upgrade");
                old.keep_damaged(&txn)?;
            }
        }
        (last, moved) = (Some(old.number), moved + 1);
    }
    if let Some(last) = last {
        settings::set(&txn, POSITION, &last.to_string())?;
    }
    Ok(moved)
}

/// Moves the next entries of the directory, and returns how many.
fn move_entries(conn: &Connection) -> rusqlite::Result<i64> {
    let seen = Seen::default();
    let txn = Txn::new(conn, &seen);
    let after = txn.setting(ENTRY_POSITION)?.unwrap_or_default();
    let entries = txn.all(old_rows::SELECT_ENTRIES, params![after, PIECE], OldEntry::of)?;
    for entry in &entries {
        entry.write(&txn)?;
    }
    if let Some(last) = entries.last() {
        settings::set(&txn, ENTRY_POSITION, &last.code)?;
    }
    Ok(entries.len() as i64)
}
