//! Power cuts while another process upgrades a store: after each the upgrade can be done, every row
//! is there, and so is the copy of the store before it.

#[path = "../../../../tests/power/dice.rs"]
mod dice;
#[path = "../../../../tests/power/disk.rs"]
mod disk;
#[path = "../../../../tests/power/file.rs"]
mod file;
#[path = "../../../../tests/power/journal.rs"]
mod journal;
#[expect(dead_code, reason = "this test uses a part of the kit of tests/power")]
#[path = "../../../../tests/power/recorder.rs"]
mod recorder;
#[expect(dead_code, reason = "this test uses a part of the kit of tests/service")]
#[path = "../../../../tests/service/shim.rs"]
mod shim;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{STEP, Store, connect, has_channel, is_version_1, migrate, setting, version};
use dice::Dice;
use disk::Disk;
use journal::Step;
use recorder::Recorder;
use shim::Shim;

/// Set in the process that is recorded: the folder of its store.
const CHILD_FOLDER: &str = "COUPONRY_TEST_UPGRADED_FOLDER";

/// The test that is that process.
const CHILD: &str = "schema::tests::power::the_other_process";

/// Rows that it writes before it upgrades the store.
const ROWS: usize = 40;

const CUTS: usize = 150;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder")
}

fn write_row(conn: &Connection, nth: usize) {
    let row = "INSERT INTO setting (name, value) VALUES (?1, 'yes')";
    conn.execute(row, [format!("row-{nth}")]).expect("a row");
}

#[test]
fn the_other_process() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let path = PathBuf::from(folder).join(crate::FILE_NAME);
    let conn = connect(&path, true).expect("a store");
    (0..ROWS).for_each(|nth| write_row(&conn, nth));
    migrate(&conn, &path, &[STEP]).expect("an upgrade");
    write_row(&conn, ROWS);
}

#[test]
fn power_cuts_in_an_upgrade() {
    if !testengines::may_run("power cuts in an upgrade", testengines::CC, Shim::can_be_built()) {
        return;
    }
    let (store, beside) = (Store::of_version_1(), scratch());
    let folder = store.folder.path().canonicalize().expect("a folder");
    let recorder = Recorder::new(beside.path(), &folder);
    let mut other = Command::new(std::env::current_exe().expect("this program"));
    other.args(["--exact", CHILD]).env(CHILD_FOLDER, &folder);
    recorder.load_into(&mut other);
    let ended = other.output().expect("it runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));

    let (steps, seed) = (recorder.steps(), number("COUPONRY_SEED").unwrap_or(1) as u64);
    let is_write = |step: &Step| matches!(step, Step::Write { .. });
    assert!(steps.iter().filter(|step| is_write(step)).count() > ROWS, "it was recorded");
    let mut moments: Vec<(usize, u64)> = (0..number("COUPONRY_CUTS").unwrap_or(CUTS) as u64)
        .map(|nth| (1 + Dice::of(seed, 2 * nth + 1).below(steps.len()), nth))
        .collect();
    moments.sort_unstable();
    // What was there before the other process began is durable.
    let begun = steps
        .iter()
        .position(|step| matches!(step, Step::Create { name, .. } if name == "hot.db-wal"));
    let begun = begun.expect("it makes a log");
    let (mut disk, mut done, mut upgraded) = (Disk::new(), 0, 0);
    for (at, nth) in moments.iter().map(|(at, nth)| (*at.max(&begun), *nth)) {
        steps[done..at].iter().for_each(|step| disk.apply(step));
        done = at;
        let folder = beside.path().join(format!("cut-{nth}"));
        let lost = disk.cut(&mut Dice::of(seed, 2 * nth), &folder);
        let name = format!("seed {seed}, cut {nth} after step {at}, which has kept {lost:?}");
        upgraded += usize::from(is_upgraded(&folder, &name));
        fs::remove_dir_all(&folder).expect("the folder of a cut");
    }
    assert!(0 < upgraded && upgraded < moments.len(), "{upgraded} cuts were after the upgrade");
}

/// Upgrades what a cut has left, if that has to be done. Returns whether it was done before.
fn is_upgraded(folder: &Path, name: &str) -> bool {
    let path = folder.join(crate::FILE_NAME);
    let conn = connect(&path, true).unwrap_or_else(|error| panic!("{name}: {error}"));
    let was = version(&conn) == 2;
    migrate(&conn, &path, &[STEP]).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((version(&conn), has_channel(&conn)), (2, true), "{name}");
    assert_eq!(setting(&conn, "kept"), "yes", "{name}");
    let sound: String =
        conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(sound, "ok", "{name}");
    // Each row was a commit: those that were lost are the last ones.
    let rows = "SELECT count(*), coalesce(max(CAST(substr(name, 5) AS INTEGER)) + 1, 0) \
                FROM setting WHERE name LIKE 'row-%'";
    let (count, end): (i64, i64) =
        conn.query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    assert_eq!(count, end, "{name}: a row before the last one is lost");
    assert!(!was || count >= ROWS as i64, "{name}: upgraded with {count} rows");
    let copy = folder.join("hot.db.schema-1");
    assert!(is_version_1(&copy), "{name}: the copy of the store before the upgrade");
    was
}
