//! Upgrades to versions that these tests make up, from a version 1 with the tables of this release.

#[path = "../../tests/schema/power.rs"]
mod power;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Row;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::*;
use crate::fair_file_lock::FairFileLock;

/// Before 3.51.3 a WAL can be corrupted if one connection writes and another checkpoints.
#[test]
fn sqlite_that_loses_no_commits() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

/// The step to a version 2 that no release has.
const STEP: SchemaStep = |conn| {
    conn.execute_batch(
        "ALTER TABLE campaign ADD COLUMN channel TEXT; \
         CREATE INDEX campaign_channel ON campaign (channel)",
    )
};

const NEXT_STEP: SchemaStep = |conn| conn.execute_batch("CREATE TABLE later (a)");

/// A step that writes, and then fails.
const FAILING_STEP: SchemaStep = |conn| {
    STEP(conn)?;
    conn.execute_batch("CREATE TABLE campaign (a)")
};

struct Store {
    folder: TempDir,
}

impl Store {
    /// A store of version 1, closed, with one row.
    fn of_version_1() -> Store {
        let store = Store { folder: tempfile::tempdir().unwrap() };
        let conn = connect(&store.path(), true).unwrap();
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
        conn.pragma_update(None, "journal_mode", "WAL").unwrap();
        create(&conn, 1).unwrap();
        conn.execute("INSERT INTO setting (name, value) VALUES ('kept', 'yes')", []).unwrap();
        conn.execute("UPDATE setting SET value = '0.0.9' WHERE name = 'written_by'", []).unwrap();
        conn.close().unwrap();
        store
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(crate::FILE_NAME)
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("hot.db.schema-1")
    }

    fn open(&self, steps: &[SchemaStep]) -> Result<Connection, OpenError> {
        let conn = connect(&self.path(), true)?;
        migrate(&conn, &self.path(), steps)?;
        Ok(conn)
    }
}

fn version(conn: &Connection) -> i64 {
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn setting(conn: &Connection, name: &str) -> String {
    let value = "SELECT value FROM setting WHERE name = ?1";
    conn.query_row(value, [name], |row| row.get(0)).unwrap()
}

fn has_channel(conn: &Connection) -> bool {
    conn.prepare("SELECT channel FROM campaign").is_ok()
}

fn is_version_1(path: &Path) -> bool {
    let conn = Connection::open(path).unwrap();
    version(&conn) == 1 && !has_channel(&conn) && setting(&conn, "kept") == "yes"
}

#[test]
fn a_store_is_upgraded_once() {
    let store = Store::of_version_1();
    let conn = store.open(&[STEP]).unwrap();
    assert_eq!((version(&conn), has_channel(&conn)), (2, true));
    assert_eq!(setting(&conn, "written_by"), env!("CARGO_PKG_VERSION"));
    assert_eq!(setting(&conn, "kept"), "yes");
    assert!(is_version_1(&store.copy()), "the copy is the store before it");
    let mode = fs::metadata(store.copy()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the copy names users, too");
    drop(conn);
    fs::remove_file(store.copy()).unwrap();
    assert_eq!(version(&store.open(&[STEP]).unwrap()), 2, "the second time nothing happens");
    assert!(!store.copy().exists());
    let conn = store.open(&[STEP, NEXT_STEP]).unwrap();
    assert_eq!(version(&conn), 3, "only the step that it has not had");
    assert!(store.folder.path().join("hot.db.schema-2").exists());
}

/// Every row of every table, in the columns that version 1 has.
fn rows(conn: &Connection, tables: &[(String, String)]) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for (table, columns) in tables {
        let mut read =
            conn.prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1, 2")).unwrap();
        let count = read.column_count();
        let row = |row: &Row<'_>| (0..count).map(|nth| row.get(nth)).collect();
        all.extend(read.query_map([], row).unwrap().map(Result::unwrap));
    }
    all
}

/// The tables, each with the names of its columns.
fn tables(conn: &Connection) -> Vec<(String, String)> {
    let names = "SELECT t.name, group_concat('\"' || c.name || '\"') \
                 FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' \
                 AND t.name NOT LIKE 'sqlite%' AND t.name <> 'setting' GROUP BY t.name";
    let mut read = conn.prepare(names).unwrap();
    let found = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    found.map(Result::unwrap).collect()
}

/// The store that release 0.1.0 has left, with coupons in every state, and a 0.2.0 that these tests make up.
#[test]
fn a_store_of_0_1_0_is_upgraded() {
    let store = Store { folder: tempfile::tempdir().unwrap() };
    let archive =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/service/releases/0.1.0/file.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--strip-components=1", "--file", archive, "data/hot.db"]);
    assert!(tar.current_dir(store.folder.path()).status().unwrap().success());
    let conn = store.open(&[]).unwrap();
    let tables = tables(&conn);
    let before = rows(&conn, &tables);
    assert!(before.len() > 2_000, "{} rows", before.len());
    drop(conn);
    let conn = store.open(&[STEP, NEXT_STEP]).unwrap();
    assert_eq!((version(&conn), has_channel(&conn)), (3, true));
    assert!(rows(&conn, &tables) == before, "a row has changed");
    let said: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let copy = Connection::open(store.copy()).unwrap();
    assert!(
        version(&copy) == 1 && rows(&copy, &tables) == before,
        "the copy is the store before it"
    );
}

#[test]
fn an_older_release_refuses_it() {
    let store = Store::of_version_1();
    drop(store.open(&[STEP]).unwrap());
    let refused = store.open(&[]).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 2, .. }), "{refused}");
    let copy = store.copy();
    fs::copy(&copy, store.path()).unwrap();
    for log in ["hot.db-wal", "hot.db-shm"] {
        let _ = fs::remove_file(store.folder.path().join(log));
    }
    assert!(store.open(&[]).is_ok(), "the copy is a store of version 1");
}

#[test]
fn a_killed_upgrade_is_begun_again() {
    type Leave = fn(&Store);
    let cases: [(&str, Leave); 3] = [
        ("while the copy was written", |store| {
            fs::write(store.copy(), "SQLite format 3\0 and no more").unwrap();
        }),
        ("before the copy had a byte", |store| fs::write(store.copy(), "").unwrap()),
        ("after the copy", |store| {
            let conn = Connection::open(store.path()).unwrap();
            keep_copy(&conn, &store.path(), 1).unwrap();
        }),
    ];
    for (name, leave) in cases {
        let store = Store::of_version_1();
        leave(&store);
        let conn = store.open(&[STEP]).unwrap();
        assert_eq!((version(&conn), has_channel(&conn)), (2, true), "{name}");
        assert!(is_version_1(&store.copy()), "{name}");
    }
}

#[test]
fn a_step_that_fails_leaves_version_1() {
    let store = Store::of_version_1();
    let refused = store.open(&[FAILING_STEP]).unwrap_err();
    assert!(matches!(refused, OpenError::Sqlite(_)), "{refused}");
    assert!(is_version_1(&store.path()));
}

#[test]
fn without_a_copy_there_is_no_upgrade() {
    let store = Store::of_version_1();
    fs::create_dir(store.copy()).unwrap();
    let refused = store.open(&[STEP]).unwrap_err();
    assert!(matches!(refused, OpenError::File { .. }), "{refused}");
    assert!(is_version_1(&store.path()));
}

#[test]
fn two_upgrade_one_store() {
    let store = Store::of_version_1();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // What a running process does: one after the other, in the fair file lock.
                let lock = FairFileLock::open(store.folder.path()).unwrap();
                let _pass = lock.enter().unwrap();
                store.open(&[STEP]).map(drop).unwrap();
            });
        }
    });
    assert_eq!(version(&store.open(&[STEP]).unwrap()), 2);
    assert!(is_version_1(&store.copy()));
}
