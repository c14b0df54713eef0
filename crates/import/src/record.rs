//! Rows of an import: the only place where a line of text becomes a coupon with its
//! [`ImportedState`].
//!
//! A line is a *row* of *cells*; the first line of the file says which *column* each cell is. A bad row is rejected
//! alone, with the first fault found: the whole line, then the code, the dates, the state, and what the state needs.
//! Absent on purpose: the store, the campaign, and which coupons exist already.

mod row;

use coupon::calendar::Zone;
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::money::Currency;
use coupon::time::Millis;

use super::cells::{RecordCells, bare};
use super::columns::{KnownColumn, clipped};
use super::dates::DateOrder;
use super::exports::KnownExport;
use super::format::FileFormat;
use super::layout::{FirstLineLayout, position};
pub use super::row_error::RowError;
use super::states::ValueMap;
use row::CellRow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRecord {
    /// Two rows with the same code are about the same coupon.
    pub code: Code,
    /// As the file writes it: by this, two spellings of one code can be told apart.
    pub written: String,
    pub valid_from: Millis,
    /// First instant at which it no longer works.
    pub expires_at: Millis,
    pub imported_state: ImportedState,
}

/// The defaults of a row, from its campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordDefaults {
    pub valid_from: Millis,
    /// Exclusive.
    pub expires_at: Millis,
    pub zone: Zone,
    /// That of the campaign.
    pub currency: Option<Currency>,
}

/// Where the columns are. Reads every line of a file except the header.
#[derive(Debug)]
pub struct FileHeader {
    layout: FirstLineLayout,
    separator: char,
    values: ValueMap,
    dates: DateOrder,
}

impl FileHeader {
    /// The columns in the order of the file; `None` for one that is skipped.
    pub fn columns(&self) -> &[Option<KnownColumn>] {
        &self.layout.columns
    }

    /// Whether it is a line of the file. If not, the first line is the first row.
    pub(super) fn is_line(&self) -> bool {
        self.layout.names.is_some()
    }

    pub fn separator(&self) -> char {
        self.separator
    }

    /// Its `left_out` is for the answer.
    pub fn export(&self) -> Option<&'static KnownExport> {
        self.layout.export
    }

    /// The name of the column at a position, from 0; empty if it has none.
    pub(super) fn name_of(&self, nth: usize) -> &str {
        self.layout.names.as_ref().and_then(|names| names.get(nth)).map_or("", String::as_str)
    }

    pub(super) fn of(layout: FirstLineLayout, separator: char, format: &FileFormat) -> FileHeader {
        FileHeader { layout, separator, values: format.values.clone(), dates: format.dates }
    }

    /// The coupon of one line, given without its line end. Its `valid_from` is before `expires_at`.
    ///
    /// Cells are trimmed and may be quoted. A date is the first instant of its day, in `expires_at`
    /// the end of its day, in the zone of `defaults`; an instant is taken as it is.
    ///
    /// # Errors
    /// The first [`RowError`], in the order that the module doc gives.
    pub fn parse(&self, line: &str, defaults: &RecordDefaults) -> Result<ImportRecord, RowError> {
        if bare(line, self.separator).trim().is_empty() {
            return Err(RowError::Empty);
        }
        let cells = RecordCells::split(line, self.separator).ok_or(RowError::Quote)?;
        let row = self.row(&cells)?;
        if row.is_left_out() {
            return Err(RowError::LeftOut);
        }
        let written = row.cell(KnownColumn::Code);
        if self.is_header(written) {
            return Err(RowError::Header);
        }
        let code = row.code()?;
        let (valid_from, expires_at) = row.term(defaults)?;
        let imported_state = row.imported_state(defaults)?;
        Ok(ImportRecord {
            code,
            written: written.to_owned(),
            valid_from,
            expires_at,
            imported_state,
        })
    }

    /// Whether the cell of the code has a header's name for it: two files were joined.
    fn is_header(&self, cell: &str) -> bool {
        let ours = position(self.columns(), KnownColumn::Code).map_or("", |at| self.name_of(at));
        KnownColumn::named(cell) == Some(KnownColumn::Code)
            || !ours.is_empty() && cell.eq_ignore_ascii_case(ours)
    }

    fn row<'a>(&'a self, cells: &'a RecordCells) -> Result<CellRow<'a>, RowError> {
        let (min, max) = (self.layout.cells_min, self.layout.columns.len());
        // A spreadsheet fills up its rows with empty cells.
        let filled = cells.iter().skip(max).filter(|cell| !cell.is_empty()).count();
        if cells.len() < min || filled > 0 {
            let want = if min == max { max.to_string() } else { format!("{min} to {max}") };
            return Err(RowError::Cells { found: cells.len(), want });
        }
        let mut row = CellRow::of(self.layout.export, &self.values, self.dates);
        for (nth, (column, cell)) in self.layout.columns.iter().zip(cells.iter()).enumerate() {
            match *column {
                Some(column) => row.cells[column as usize] = cell,
                None if cell.is_empty() || !self.is_line() => {}
                None if self.name_of(nth).is_empty() => {
                    return Err(RowError::Unnamed { at: nth + 1, found: clipped(cell) });
                }
                None => {}
            }
            let sign = self.layout.states.iter().find(|(at, _)| *at == nth);
            row.states.extend(sign.map(|(_, sign)| (*sign, cell)));
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests;
