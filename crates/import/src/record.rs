//! Rows of an import: the only place where a line of text becomes a coupon with its
//! [`ImportedState`].
//!
//! A line is a *row* of *cells*; the first line of the file says which *column* each cell is. A bad
//! row is rejected alone, with the first fault found: the whole line, then the code, the dates, the
//! state, and what the state needs. Absent on purpose: the store, the campaign, and which coupons
//! exist already.

mod row;
mod row_error;

use std::sync::{Mutex, PoisonError};

use coupon::calendar::Zone;
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::time::Millis;
use csv_core::Reader;

use super::cells::{Cells, bare};
use super::columns::Column;
use super::first_line::Layout;
use row::Row;
pub use row_error::RowError;

/// A row that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its code.
    pub code: Code,
    /// First instant at which it works.
    pub valid_from: Millis,
    /// First instant at which it no longer works.
    pub expires_at: Millis,
    /// Its state in the system that it comes from.
    pub imported_state: ImportedState,
}

/// The defaults of a row, from its campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For an empty `valid_from`.
    pub valid_from: Millis,
    /// For an empty `expires_at`; exclusive.
    pub expires_at: Millis,
    /// The zone of every date.
    pub zone: Zone,
}

/// Where the columns are. Reads every line of a file except the header.
#[derive(Debug)]
pub struct Header {
    layout: Layout,
    separator: char,
    /// Kept, because a new reader builds tables, which takes longer than reading a row. Locked,
    /// because a reader has a position, and its `Clone` (csv-core 0.1.13) drops half of the tables.
    reader: Mutex<Reader>,
}

impl Header {
    /// The columns in the order of the file; `None` for one that is skipped.
    pub fn columns(&self) -> &[Option<Column>] {
        &self.layout.columns
    }

    /// Whether it is a line of the file. If not, the first line is the first row.
    pub(super) fn is_line(&self) -> bool {
        self.layout.is_header
    }

    /// The character between two cells.
    pub fn separator(&self) -> char {
        self.separator
    }

    pub(super) fn of(layout: Layout, separator: char, reader: Reader) -> Header {
        Header { layout, separator, reader: Mutex::new(reader) }
    }

    /// The coupon of one line, given without its line end. Its `valid_from` is before `expires_at`.
    ///
    /// Cells are trimmed and may be quoted. A date is the first instant of its day, in `expires_at`
    /// the end of its day, in the zone of `defaults`; an instant is taken as it is.
    ///
    /// # Errors
    /// The first [`RowError`], in the order that the module doc gives.
    pub fn parse(&self, line: &str, defaults: &Defaults) -> Result<Record, RowError> {
        if bare(line, self.separator).trim().is_empty() {
            return Err(RowError::Empty);
        }
        let cells = self.cells(line).ok_or(RowError::Quote)?;
        let row = self.row(&cells)?;
        if self.is_header(row.cell(Column::Code)) {
            return Err(RowError::Header);
        }
        let code = row.code()?;
        let (valid_from, expires_at) = row.term(defaults)?;
        let imported_state = row.imported_state(&defaults.zone)?;
        Ok(Record { code, valid_from, expires_at, imported_state })
    }

    fn cells(&self, line: &str) -> Option<Cells> {
        // `split` begins with a reset, so a panic while the lock was held does no harm.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        Cells::split(line, self.separator, &mut reader)
    }

    /// Whether the cell of the code has a header's name for it: two files were joined.
    fn is_header(&self, cell: &str) -> bool {
        let ours = self.layout.code_name.as_deref();
        Column::named(cell) == Some(Column::Code)
            || ours.is_some_and(|name| cell.eq_ignore_ascii_case(name))
    }

    fn row<'a>(&self, cells: &'a Cells) -> Result<Row<'a>, RowError> {
        let (min, max, found) = (self.layout.cells_min, self.layout.columns.len(), cells.len());
        if !(min..=max).contains(&found) {
            let want = if min == max { max.to_string() } else { format!("{min} to {max}") };
            return Err(RowError::Cells { found, want });
        }
        let mut row = Row { cells: [""; Column::ALL.len()] };
        for (column, cell) in self.layout.columns.iter().zip(cells.iter()) {
            if let Some(column) = *column {
                row.cells[column as usize] = cell;
            }
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests;
