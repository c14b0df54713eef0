//! Bytes of rows that are gone, in the pages of a file: the only place that overwrites them.
//!
//! `secure_delete` overwrites a row that SQLite deletes, but not the copies that it leaves when it moves rows between pages.
//! Those are between the row pointers of a page and its rows. All names of a scrub are looked for there, and a page that has
//! one gets zeros in that gap. Without a name, every gap that is not empty gets them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use hot::HotError;
use rusqlite::{Connection, OptionalExtension, Result as SqlResult, params};

use crate::failure::{at_commit, before_commit};
use crate::schema::FILE_NAME;
use crate::txn::Txn;
use crate::{Result, SqliteHot, settings};

/// Pages that one read looks at.
const PAGES_MAX: i64 = 2_000;

/// Pages that one transaction overwrites: some 5 ms.
const OVERWRITTEN_MAX: usize = 400;

/// How often a commit is made until the log begins anew. A reader of it, such as one that copies it, may keep it from that
/// for longer: then the next scrub does it.
const LOG_TRIES: u32 = 50;

const LOG_PAUSE: Duration = Duration::from_millis(100);

/// Where the rows of a page begin and its row pointers end: nothing that counts is between them. `None` of a page of another
/// kind.
fn gap_of(page: &[u8], number: i64) -> Option<std::ops::Range<usize>> {
    // The first page has the header of the file before its own.
    let head = if number == 1 { 100 } else { 0 };
    let pointers_from = match page.get(head)? {
        // An inner page of an index or of a table, and a leaf of each.
        2 | 5 => head + 12,
        10 | 13 => head + 8,
        _ => return None,
    };
    let two =
        |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
    let from = pointers_from + 2 * two(head + 3)?;
    // 0 means 65,536.
    let until = match two(head + 5)? {
        0 => 65_536,
        until => until,
    };
    (from < until && until <= page.len()).then_some(from..until)
}

/// What is to be overwritten: some names, or whatever is there.
#[derive(Clone)]
enum WantedBytes {
    Names(AhoCorasick),
    All,
}

impl WantedBytes {
    fn of(names: &[String]) -> Result<WantedBytes> {
        if names.is_empty() {
            return Ok(WantedBytes::All);
        }
        let names = AhoCorasick::new(names).map_err(|error| HotError::Unavailable(error.into()))?;
        Ok(WantedBytes::Names(names))
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        match self {
            WantedBytes::Names(names) => names.is_match(bytes),
            WantedBytes::All => bytes.iter().any(|byte| *byte != 0),
        }
    }
}

/// The page without the rest of a row that has one of the names; `None` if there is none.
fn without(page: &[u8], number: i64, wanted: &WantedBytes) -> Option<Vec<u8>> {
    let gap = gap_of(page, number)?;
    if !wanted.is_in(&page[gap.clone()]) {
        return None;
    }
    let mut page = page.to_vec();
    page[gap].fill(0);
    Some(page)
}

/// Those of some pages, from a number on, that have one of the names; and the first page behind them.
fn found(conn: &Connection, from: i64, wanted: &WantedBytes) -> SqlResult<(Vec<i64>, Option<i64>)> {
    let sql = "SELECT pgno, data FROM sqlite_dbpage WHERE pgno = ?1";
    let last: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let mut statement = conn.prepare_cached(sql)?;
    let (mut numbers, until) = (Vec::new(), (from + PAGES_MAX).min(last + 1));
    for number in from..until {
        let has = statement.query_row([number], |row| {
            Ok(without(row.get_ref(1)?.as_blob()?, number, wanted).is_some())
        });
        if has.optional()? == Some(true) {
            numbers.push(number);
        }
    }
    Ok((numbers, (until <= last).then_some(until)))
}

/// Overwrites the names in these pages, in the transaction of the caller.
fn overwrite(conn: &Connection, numbers: &[i64], wanted: &WantedBytes) -> SqlResult<()> {
    for number in numbers {
        let sql = "SELECT data FROM sqlite_dbpage WHERE pgno = ?1";
        let page: Vec<u8> = conn.prepare_cached(sql)?.query_row([number], |row| row.get(0))?;
        if let Some(page) = without(&page, *number, wanted) {
            let sql = "UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1";
            conn.prepare_cached(sql)?.execute(params![number, page])?;
        }
    }
    Ok(())
}

/// Overwrites what `hot.db` and its log still have of the names.
pub(crate) async fn scrub(store: &SqliteHot, names: &[String]) -> Result<()> {
    let all = WantedBytes::of(names)?;
    let mut next = Some(1);
    while let Some(from) = next {
        let wanted = all.clone();
        let look = move |txn: &Txn<'_>| found(txn.conn, from, &wanted);
        let (numbers, behind) = store.readers.run(look).await?;
        for some in numbers.chunks(OVERWRITTEN_MAX) {
            let (some, wanted) = (some.to_vec(), all.clone());
            let write = move |txn: &Txn<'_>| overwrite(txn.conn, &some, &wanted);
            store.background_write(write).await?;
        }
        next = behind;
    }
    let limit = |bytes: i64| {
        store.writer.run(move |txn| {
            txn.conn.pragma_update(None, "journal_size_limit", bytes)?;
            settings::probe(txn)
        })
    };
    let ended = begin_log_anew(&store.folder.join(FILE_NAME), || limit(0)).await;
    limit(-1).await?;
    ended
}

/// The same in a file that one thread uses, without its log.
pub(crate) fn scrub_file(conn: &Connection, names: &[String]) -> Result<()> {
    let wanted = WantedBytes::of(names)?;
    let mut next = Some(1);
    while let Some(from) = next {
        let (numbers, behind) = found(conn, from, &wanted).map_err(before_commit)?;
        overwrite(conn, &numbers, &wanted).map_err(at_commit)?;
        next = behind;
    }
    Ok(())
}

/// Makes commits until the log of a file has begun anew. `commit` makes one on a connection whose `journal_size_limit` is
/// 0, so that the file of the log ends behind it: what it had is gone. No checkpoint that waits for readers: see
/// `checkpointer`.
pub(crate) async fn begin_log_anew<F: Future<Output = Result<()>>>(
    database: &Path,
    commit: impl Fn() -> F,
) -> Result<()> {
    commit().await?;
    let begun = log_salt(database);
    for _ in 0..LOG_TRIES {
        tokio::time::sleep(LOG_PAUSE).await;
        commit().await?;
        if log_salt(database) != begun {
            return Ok(());
        }
    }
    let log = database.with_extension("db-wal");
    Err(HotError::Unavailable(format!("{} is being read all the time", log.display()).into()))
}

/// A number in the header of a log, which another one has.
fn log_salt(database: &Path) -> Option<[u8; 8]> {
    let mut salt = [0; 8];
    let log = File::open(database.with_extension("db-wal")).ok()?;
    log.read_exact_at(&mut salt, 16).ok()?;
    Some(salt)
}
