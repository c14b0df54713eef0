//! A store that the first release wrote, with coupons in every state, becomes one of this release.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon::coupon::Coupon;
use coupon::flat::Flat;
use coupon::ids::UserId;
use coupon::time::Millis;
use hot::protocol::is_history_full;
use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use tempfile::TempDir;

use super::STEPS;
use crate::coupons::read;
use crate::failure::damaged;
use crate::rows;
use crate::schema::{FILE_NAME, OpenError, SCHEMA_VERSION, is_current, open_or_make};
use crate::txn::{Seen, Txn};

/// The schema of the first release, and rows that it wrote.
const VERSION_1: &str = include_str!("../../tests/fixtures/hot-1.sql");
const ROWS: &str = include_str!("../../tests/fixtures/hot-1-rows.sql");

struct Store {
    folder: TempDir,
}

impl Store {
    fn of_version_1() -> Store {
        let store = Store { folder: tempfile::tempdir().expect("a folder") };
        let conn = Connection::open(store.path()).expect("a file");
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").expect("a pragma");
        conn.pragma_update(None, "journal_mode", "WAL").expect("a pragma");
        conn.execute_batch(VERSION_1).expect("the schema");
        conn.execute_batch(ROWS).expect("rows");
        conn.pragma_update(None, "application_id", 0x6370_7279).expect("a pragma");
        conn.pragma_update(None, "user_version", 1).expect("a pragma");
        store
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(FILE_NAME)
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("hot.db.schema-1")
    }

    fn raw(&self) -> Connection {
        Connection::open(self.path()).expect("a file")
    }

    fn upgrade(&self) -> Result<Connection, OpenError> {
        open_or_make(&self.path(), STEPS)
    }
}

fn version(conn: &Connection) -> i64 {
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number")
}

/// A coupon as a row of version 1 has it, but for its number: a name for each column, and its value.
fn old_columns(row: &Row<'_>) -> rusqlite::Result<String> {
    let mut text = String::new();
    for column in row.as_ref().column_names() {
        let value = match row.get(column)? {
            // Blanks at its end were room.
            Value::Text(text) => text.trim_end_matches([' ', '\n']).to_owned().into(),
            value => value,
        };
        if !["number", "campaign"].contains(&column) {
            text.push_str(&format!("{column} {value:?}\n"));
        }
    }
    Ok(text)
}

/// The same, of a coupon.
fn new_columns(batch: i64, day: i32, coupon: &Coupon) -> String {
    let text = |text: Option<&str>| text.map_or(Value::Null, |text| text.to_owned().into());
    let at = |at: Option<Millis>| at.map_or(Value::Null, |at| at.0.into());
    let (genesis, redemption) = (coupon.genesis(), coupon.redemption());
    let events = coupon.events().iter().map(|event| old_event(&Flat::of(event)));
    let hold = coupon.hold().map(|hold| {
        let (by, order, operation) = (&hold.by, &hold.order, hold.operation.0);
        let (since, until) = (hold.since.0, hold.until.0);
        format!(
            "{{\"by\":\"{by}\",\"order\":\"{order}\",\"operation\":\"{operation:032x}\",\
             \"since\":{since},\"until\":{until}}}"
        )
    });
    let columns: [(&str, Value); 17] = [
        ("expiry_day", i64::from(day).into()),
        ("code", text(Some(coupon.code().as_str()))),
        ("batch", batch.into()),
        ("version", (coupon.version() as i64).into()),
        ("state", text(Some(coupon.state().as_str()))),
        ("holder", text(coupon.holder().map(UserId::as_str))),
        ("valid_from", genesis.valid_from.0.into()),
        ("expires_at", coupon.expires_at().0.into()),
        ("made_expires_at", genesis.expires_at.0.into()),
        ("issued_at", at(coupon.issued_at())),
        ("redeemed_at", at(redemption.map(|it| it.at))),
        ("order_ref", text(redemption.map(|it| it.order.as_str()))),
        ("hold", text(hold.as_deref())),
        ("events", events.collect::<Vec<_>>().join("\n").into()),
        ("history_full", i64::from(is_history_full(coupon)).into()),
        ("created_at", genesis.created_at.0.into()),
        ("modified_at", coupon.modified_at().0.into()),
    ];
    columns.iter().map(|(name, value)| format!("{name} {value:?}\n")).collect()
}

fn old_event(event: &Flat<'_>) -> String {
    let operation = URL_SAFE_NO_PAD.encode(event.operation.0.to_be_bytes());
    let expires_at = event.expires_at.map(|at| at.0.to_string());
    let rest = [event.user, event.reference, event.reason, expires_at.as_deref(), event.time_zone];
    let count = rest.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let rest: String = rest[..count]
        .iter()
        .map(|it| format!("\t{}", it.unwrap_or("").replace('\\', "\\\\")))
        .collect();
    format!("{}\t{}\t{}\t{operation}{rest}", event.kind, event.at.0, event.actor)
}

/// Every coupon of the copy, and every coupon of the store, by code.
fn both(store: &Store, upgraded: &Connection) -> (Vec<String>, Vec<String>) {
    let copy = Connection::open(store.copy()).expect("the copy");
    assert_eq!(version(&copy), 1, "the copy is the store before");
    let mut old = copy.prepare("SELECT * FROM coupon ORDER BY code").expect("a statement");
    let old = old.query_map([], old_columns).expect("rows").collect::<Result<_, _>>();
    let seen = Seen::default();
    let txn = Txn::new(upgraded, &seen);
    let select = rows::select_coupon!(" FROM coupon ORDER BY code");
    let new = txn.all(select, [], |row| {
        let row = rows::coupon_row(row)?;
        let (located, differs) = read(&txn, &row)?;
        match differs {
            None => Ok(new_columns(row.batch(), row.day.0, &located.coupon)),
            Some(why) => Err(damaged(row.code, why)),
        }
    });
    (old.expect("rows"), new.expect("rows"))
}

/// The statements of the schema without comments and layout: a step adds a column in its own layout.
fn schema_of(conn: &Connection) -> Vec<String> {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name";
    let mut statement = conn.prepare(sql).expect("a statement");
    let texts = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let plain = |text: String| {
        let lines = text.lines().filter_map(|line| line.split("--").next());
        let words: String = lines.flat_map(|line| [line, " "]).collect();
        let words = words.replace(',', " , ").replace('(', " ( ").replace(')', " ) ");
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    texts.map(|text| plain(text.expect("a text"))).collect()
}

fn is_upgraded(store: &Store, upgraded: &Connection, name: &str) {
    assert_eq!(version(upgraded), SCHEMA_VERSION, "{name}");
    let (old, new) = both(store, upgraded);
    assert_eq!(old.len(), 78, "{name}");
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(new, old, "{name}");
    }
    assert_eq!(new.len(), old.len(), "{name}");
    let folder = tempfile::tempdir().expect("a folder");
    let made = open_or_make(&folder.path().join(FILE_NAME), STEPS).expect("a store");
    assert_eq!(schema_of(upgraded), schema_of(&made), "{name}");
    let left = "SELECT count(*) FROM setting WHERE name LIKE 'upgrade%'";
    assert_eq!(upgraded.query_row(left, [], |row| row.get::<_, i64>(0)), Ok(0), "{name}");
}

#[test]
fn every_coupon_stays_as_it_was() {
    let store = Store::of_version_1();
    assert!(!is_current(store.folder.path()).expect("a version"));
    is_upgraded(&store, &store.upgrade().expect("an upgrade"), "at once");
    assert!(is_current(store.folder.path()).expect("a version"));
}

#[test]
fn a_killed_upgrade_goes_on() {
    let stop = |after: i64| {
        format!(
            "CREATE TRIGGER stop BEFORE UPDATE ON setting \
             WHEN NEW.name = 'upgrade_position' AND CAST(NEW.value AS INTEGER) > {after} \
             BEGIN SELECT RAISE(ABORT, 'stopped'); END"
        )
    };
    let cases = [
        ("at the first piece", stop(0), "DROP TRIGGER stop"),
        ("at the third", stop(40), "DROP TRIGGER stop"),
        (
            "at an index",
            "CREATE TABLE coupon_by_batch_expiry (a)".to_owned(),
            "DROP TABLE coupon_by_batch_expiry",
        ),
        (
            "at the end",
            "CREATE TRIGGER stop BEFORE UPDATE ON setting WHEN NEW.name = 'written_by' \
             BEGIN SELECT RAISE(ABORT, 'stopped'); END"
                .to_owned(),
            "DROP TRIGGER stop",
        ),
    ];
    for (name, stop, go_on) in cases {
        let store = Store::of_version_1();
        store.raw().execute_batch(&stop).expect("a hindrance");
        let refused = store.upgrade().map(drop);
        assert!(matches!(refused, Err(OpenError::Sqlite(_))), "{name}: {refused:?}");
        assert!(!is_current(store.folder.path()).expect("a version"), "{name}");
        store.raw().execute_batch(go_on).expect("no hindrance");
        is_upgraded(&store, &store.upgrade().expect(name), name);
    }
}

#[test]
fn a_damaged_row_stays_damaged() {
    let store = Store::of_version_1();
    let damage = "UPDATE coupon SET state = 'available' WHERE code = 'OLD00045'";
    assert_eq!(store.raw().execute(damage, []).expect("a change"), 1);
    let upgraded = store.upgrade().expect("an upgrade");
    let seen = Seen::default();
    let txn = Txn::new(&upgraded, &seen);
    let select = rows::select_coupon!(" FROM coupon ORDER BY code");
    let unreadable = txn.all(select, [], |row| {
        let row = rows::coupon_row(row)?;
        let is_read = matches!(read(&txn, &row), Ok((_, None)));
        Ok((!is_read).then(|| row.code.to_owned()))
    });
    let unreadable: Vec<String> = unreadable.expect("rows").into_iter().flatten().collect();
    assert_eq!(unreadable, ["OLD00045"]);
}
