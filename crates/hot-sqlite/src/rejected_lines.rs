//! Rejected lines of imports, kept for the report of their batch.

use coupon::time::Millis;
use hot::RejectedLine;
use rusqlite::{Row, params};

use crate::columns::{signed, unsigned};
use crate::txn::Txn;

pub(crate) fn keep(
    txn: &Txn<'_>,
    batch: i64,
    lines: &[RejectedLine],
    now: Millis,
) -> rusqlite::Result<()> {
    let mut statement = txn.statement(
        "INSERT OR REPLACE INTO rejected_line (batch, line, text, reason, detail, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for RejectedLine { line, text, reason, detail } in lines {
        statement.execute(params![batch, signed(*line), text, reason, detail, now.0])?;
    }
    Ok(())
}

pub(crate) fn page(
    txn: &Txn<'_>,
    batch: i64,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<RejectedLine>> {
    txn.all(
        "SELECT line, text, reason, detail FROM rejected_line \
         WHERE batch = ?1 AND line > ?2 ORDER BY line LIMIT ?3",
        params![batch, signed(after), limit as i64],
        line,
    )
}

/// A line, from the columns line, text, reason, detail.
pub(crate) fn line(row: &Row<'_>) -> rusqlite::Result<RejectedLine> {
    Ok(RejectedLine {
        line: unsigned(row, 0)?,
        text: row.get(1)?,
        reason: row.get(2)?,
        detail: row.get(3)?,
    })
}

pub(crate) fn delete_of_batch(
    txn: &Txn<'_>,
    batch: i64,
    before: Millis,
    limit: usize,
) -> rusqlite::Result<usize> {
    txn.change(
        "DELETE FROM rejected_line WHERE batch = ?1 AND line IN \
         (SELECT line FROM rejected_line WHERE batch = ?1 AND at < ?2 LIMIT ?3)",
        params![batch, before.0, limit as i64],
    )
}

pub(crate) fn delete(txn: &Txn<'_>, before: Millis, limit: usize) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM rejected_line WHERE (batch, line) IN \
               (SELECT batch, line FROM rejected_line WHERE at < ?1 LIMIT ?2)";
    txn.change(sql, params![before.0, limit as i64])
}
