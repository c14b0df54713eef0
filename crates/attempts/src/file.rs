//! The file: its table, and every statement.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params, params_from_iter};

use crate::{Attempt, ErasedPerson, Kept, Options, QUARTER_MS, Refused, Wanted};

/// Of this file; another one is of another release.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE attempt (
    number   INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    action   TEXT NOT NULL,
    code     TEXT,
    campaign TEXT,
    user_id  TEXT,
    order_ref TEXT,
    actor    TEXT,
    peer     TEXT,
    problem  TEXT NOT NULL,
    unknown  TEXT
) STRICT;
CREATE INDEX attempt_by_code ON attempt (code) WHERE code IS NOT NULL;
CREATE INDEX attempt_by_user ON attempt (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX attempt_by_order ON attempt (order_ref) WHERE order_ref IS NOT NULL;
CREATE INDEX attempt_by_problem ON attempt (problem);
CREATE INDEX attempt_by_actor ON attempt (actor) WHERE actor IS NOT NULL;
-- How many were refused in a quarter of an hour; without a campaign, in all together.
CREATE TABLE refused (
    campaign TEXT NOT NULL,
    quarter  INTEGER NOT NULL,
    problem  TEXT NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (campaign, quarter, problem)
) STRICT, WITHOUT ROWID;
-- How many were dropped before they were written, or deleted before their time, by the hour.
CREATE TABLE dropped (hour INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;
";

const HOUR_MS: i64 = 3_600_000;

/// How long the sums of refused attempts are kept: two years.
const SUMS_KEPT_QUARTERS: i64 = 731 * 96;

/// Rows that one transaction deletes.
const DELETED_MAX: usize = 2_000;

/// How long a statement waits for another one.
const BUSY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the file of refused attempts: {0}")]
    File(#[from] std::io::Error),
    #[error("the file of refused attempts: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error(
        "the file of refused attempts has version {found}, this release knows {VERSION}: move it away"
    )]
    Version { found: i64 },
}

/// What the thread writes in one transaction.
pub(crate) struct AttemptWork {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) sums: BTreeMap<RefusalSum, u64>,
    /// How many were dropped before them.
    pub(crate) dropped: u64,
    /// Whether old ones may be deleted.
    pub(crate) forgets: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RefusalSum {
    /// Empty: all campaigns, and none.
    pub(crate) campaign: String,
    pub(crate) quarter: i64,
    pub(crate) problem: Cow<'static, str>,
}

/// Writes; one thread has it.
pub(crate) struct Writer {
    conn: Connection,
    /// The quarter in which old sums were last looked for.
    cleaned: i64,
}

impl Writer {
    pub(crate) fn open(path: &Path) -> Result<Writer, OpenError> {
        // Users and orders are in it: for its owner alone.
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let conn = Connection::open(path)?;
        conn.busy_timeout(BUSY)?;
        let version = |conn: &Connection| -> rusqlite::Result<i64> {
            conn.pragma_query_value(None, "user_version", |row| row.get(0))
        };
        // Nobody redeems by what is here: a power cut may take the last second.
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;",
        )?;
        if version(&conn)? == 0 {
            conn.execute_batch(&format!(
                "BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            ))?;
        }
        match version(&conn)? {
            VERSION => Ok(Writer { conn, cleaned: 0 }),
            found => Err(OpenError::Version { found }),
        }
    }

    /// Writes some attempts and sums, and that `dropped` were not; then deletes some that are too many or too
    /// old. Returns whether there is more to delete.
    pub(crate) fn write(
        &mut self,
        work: &AttemptWork,
        now: i64,
        options: &Options,
    ) -> rusqlite::Result<bool> {
        let AttemptWork { attempts, sums, dropped, forgets } = work;
        let Options { keep_ms, rows_max, .. } = *options;
        let keep_ms = if *forgets { keep_ms } else { i64::MAX };
        // One that begins as a reader fails if an erasure has written meanwhile.
        let txn = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        add_up(&txn, sums)?;
        let quarter = now / QUARTER_MS;
        if *forgets && quarter != self.cleaned {
            self.cleaned = quarter;
            txn.execute("DELETE FROM refused WHERE quarter < ?1", [quarter - SUMS_KEPT_QUARTERS])?;
        }
        let mut last = insert(&txn, attempts)?;
        if last == 0 {
            let newest = "SELECT coalesce(max(number), 0) FROM attempt";
            last = txn.query_row(newest, [], |row| row.get(0))?;
        }
        let most = i64::try_from(rows_max).unwrap_or(i64::MAX);
        // Numbers have no gaps, and the oldest go first.
        let too_many = txn.execute(
            "DELETE FROM attempt WHERE number IN \
             (SELECT number FROM attempt WHERE number <= ?1 ORDER BY number LIMIT ?2)",
            params![last.saturating_sub(most), DELETED_MAX as i64],
        )?;
        // The newest stays, or its number would come again.
        let too_old = txn.execute(
            "DELETE FROM attempt WHERE number < ?1 AND at < ?2 AND number IN \
             (SELECT number FROM attempt ORDER BY number LIMIT ?3)",
            params![last, now.saturating_sub(keep_ms), DELETED_MAX as i64],
        )?;
        let gone = i64::try_from(*dropped).unwrap_or(i64::MAX).saturating_add(too_many as i64);
        if gone > 0 {
            txn.execute(
                "INSERT INTO dropped (hour, count) VALUES (?1, ?2) \
                 ON CONFLICT (hour) DO UPDATE SET count = count + excluded.count",
                params![now / HOUR_MS, gone],
            )?;
        }
        let kept_since = now.saturating_sub(keep_ms) / HOUR_MS;
        txn.execute("DELETE FROM dropped WHERE hour < ?1", [kept_since])?;
        txn.commit()?;
        Ok(too_many.max(too_old) == DELETED_MAX)
    }
}

/// Writes some attempts, and returns the number of the last one; 0 if there are none.
fn insert(txn: &Connection, attempts: &[Attempt]) -> rusqlite::Result<i64> {
    let mut last = 0;
    let mut insert = txn.prepare_cached(
        "INSERT INTO attempt (at, action, code, campaign, user_id, order_ref, actor, peer, problem, \
         unknown) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for it in attempts {
        // No `..`: a new field has to become a column.
        let Attempt { at, action, code, campaign, user, order, actor, peer, problem, unknown } = it;
        last = insert.insert(params![
            at, action, code, campaign, user, order, actor, peer, problem, unknown
        ])?;
    }
    Ok(last)
}

fn add_up(txn: &Connection, sums: &BTreeMap<RefusalSum, u64>) -> rusqlite::Result<()> {
    let mut add = txn.prepare_cached(
        "INSERT INTO refused (campaign, quarter, problem, count) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (campaign, quarter, problem) DO UPDATE SET count = count + excluded.count",
    )?;
    for (sum, count) in sums {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        add.execute(params![sum.campaign, sum.quarter, sum.problem, count])?;
    }
    Ok(())
}

/// Replaces the old name of a person in their attempts up to `until`, deletes from where they asked, and writes the file
/// without what was deleted. It has a million rows at most.
pub(crate) fn erase(path: &Path, person: &ErasedPerson<'_>, until: i64) -> rusqlite::Result<()> {
    let ErasedPerson { user, name, without } = person;
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(BUSY)?;
    let txn = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "SELECT number, order_ref FROM attempt \
               WHERE at <= ?2 AND (user_id = ?1 OR actor = 'user:' || ?1)";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Vec<(i64, Option<String>)> =
        txn.prepare(sql)?.query_map(params![user, until], read)?.collect::<Result<_, _>>()?;
    for (number, order) in found {
        let order = order.map(|order| without(&order).unwrap_or(order));
        txn.execute(
            "UPDATE attempt SET user_id = iif(user_id = ?1, ?2, user_id), peer = NULL, \
             actor = iif(actor = 'user:' || ?1, 'user:' || ?2, actor), order_ref = ?4 \
             WHERE number = ?3",
            params![user, name, number, order],
        )?;
    }
    txn.commit()?;
    conn.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
}

/// Reads, one caller at a time.
pub(crate) struct Reader(Mutex<Connection>);

impl Reader {
    /// The file must be there.
    pub(crate) fn open(path: &Path) -> Result<Reader, OpenError> {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.busy_timeout(BUSY)?;
        Ok(Reader(Mutex::new(conn)))
    }

    /// At most `limit` attempts, newest first, and how many were dropped.
    pub(crate) fn find(&self, wanted: &Wanted, limit: usize) -> rusqlite::Result<(Vec<Kept>, u64)> {
        let (mut sql, mut values) = (String::from(SELECT), Vec::new());
        let fields = [
            ("user_id", &wanted.user),
            ("order_ref", &wanted.order),
            ("problem", &wanted.problem),
            ("actor", &wanted.actor),
        ];
        for (column, value) in fields {
            if let Some(value) = value {
                sql.push_str(&format!(" AND {column} = ?"));
                values.push(Value::Text(value.clone()));
            }
        }
        if let Some(codes) = &wanted.codes {
            sql.push_str(&format!(" AND code IN ({})", vec!["?"; codes.len()].join(", ")));
            values.extend(codes.iter().cloned().map(Value::Text));
        }
        if let Some(before) = wanted.before {
            sql.push_str(" AND number < ?");
            values.push(Value::Integer(before));
        }
        sql.push_str(" ORDER BY number DESC LIMIT ?");
        values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        let conn = self.0.lock();
        let mut statement = conn.prepare_cached(&sql)?;
        let found = statement.query_map(params_from_iter(values), kept)?;
        let found: Vec<Kept> = found.collect::<rusqlite::Result<_>>()?;
        let dropped: i64 =
            conn.query_row("SELECT coalesce(sum(count), 0) FROM dropped", [], |row| row.get(0))?;
        Ok((found, dropped.unsigned_abs()))
    }

    /// How many were refused from the quarter `from` on and before `until`, by quarter and problem.
    pub(crate) fn refused(
        &self,
        campaign: Option<&str>,
        from: i64,
        until: i64,
    ) -> rusqlite::Result<Vec<Refused>> {
        let conn = self.0.lock();
        let mut statement = conn.prepare_cached(
            "SELECT quarter, problem, count FROM refused \
             WHERE campaign = ?1 AND quarter >= ?2 AND quarter < ?3",
        )?;
        let refused = |row: &Row<'_>| {
            let count: i64 = row.get(2)?;
            let (quarter, problem) = (row.get(0)?, row.get(1)?);
            Ok(Refused { quarter, problem, count: count.unsigned_abs() })
        };
        let asked = params![campaign.unwrap_or_default(), from, until];
        statement.query_map(asked, refused)?.collect()
    }
}

const SELECT: &str = "SELECT number, at, action, code, campaign, user_id, order_ref, actor, peer, \
                      problem, unknown FROM attempt WHERE true";

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let owned = |text: String| Cow::Owned(text);
    let attempt = Attempt {
        at: row.get(1)?,
        action: owned(row.get(2)?),
        code: row.get(3)?,
        campaign: row.get(4)?,
        user: row.get(5)?,
        order: row.get(6)?,
        actor: row.get(7)?,
        peer: row.get(8)?,
        problem: owned(row.get(9)?),
        unknown: row.get::<_, Option<String>>(10)?.map(owned),
    };
    Ok(Kept { number: row.get(0)?, attempt })
}
