//! Rejected lines of imports, kept for the report of their batch.

use hot::RejectedLine;
use rusqlite::{Result as SqlResult, Row};

use crate::columns::unsigned;

/// A line, from the columns line, text, reason, detail.
pub(crate) fn line(row: &Row<'_>) -> SqlResult<RejectedLine> {
    Ok(RejectedLine {
        line: unsigned(row, 0)?,
        text: row.get(1)?,
        reason: row.get(2)?,
        detail: row.get(3)?,
    })
}
