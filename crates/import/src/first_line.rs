//! The first line of an import, which decides how every other line is read.
//!
//! It is a *coupon*, and the columns are code, valid_from, expires_at; or a *header*, all of whose
//! cells name columns; or the file is refused. A column is taken by its position only if the first
//! line is a coupon, or the caller says so: a header that is not recognised would turn each expiry
//! into a first day. The first line also shows the character between the cells.

mod as_coupon;
mod mapped;
mod unmapped;

use csv_core::{ReaderBuilder, Terminator};

use super::cells::{Cells, bare};
use super::columns::{Column, ColumnMap};
use super::record::Header;
use mapped::mapped;
use unmapped::unmapped;

/// The characters that can separate cells. A comma if the first line has one cell.
const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// What to do about names of columns that are not known.
const MAP_IT: &str = "map other names with columns, as in columns=code:1,expires_at:3";

/// Why the first line refuses the whole file, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadHeader(pub(super) String);

impl Header {
    /// Reads the first line of a file.
    ///
    /// Without a map it is a coupon if its first cell is a code, the second and third are dates or
    /// empty, and there are no more cells; a line without a date is a coupon only if no cell is the
    /// name or an alias of a column. It is a header if a cell is `code`, or if it is no coupon and
    /// names a column. So no coupon can have the code `CODE`, and one with the code `STATE` needs a
    /// date, a header or a map if it comes first.
    ///
    /// # Errors
    /// [`BadHeader`], which refuses the file.
    pub fn read(first_line: &str, map: Option<&ColumnMap>) -> Result<Header, BadHeader> {
        let mut verdicts = Vec::new();
        for separator in separators(first_line) {
            let mut reader = ReaderBuilder::new()
                .terminator(Terminator::Any(b'\n'))
                .delimiter(separator as u8)
                .build();
            let cells = Cells::split(first_line, separator, &mut reader);
            let quote = || BadHeader("a quote in the first line is not closed in it".to_owned());
            let verdict = cells.ok_or_else(quote).and_then(|cells| {
                let cells: Vec<&str> = cells.iter().collect();
                match map {
                    Some(map) => mapped(&cells, map),
                    None => unmapped(&cells),
                }
            });
            match verdict {
                // A line is a coupon with at most one separator. With a map by numbers it may be a
                // header with each.
                Ok(layout @ Layout { is_header: false, .. }) => {
                    return Ok(Header::of(layout, separator, reader));
                }
                other => verdicts.push(other.map(|layout| (layout, separator, reader))),
            }
        }
        let at = verdicts.iter().position(Result::is_ok).unwrap_or(0);
        let (layout, separator, reader) = verdicts.swap_remove(at)?;
        Ok(Header::of(layout, separator, reader))
    }
}

/// The separators that the line has, the one that makes the most cells first.
fn separators(line: &str) -> Vec<char> {
    // Tabs at the end may be blanks, so they prove no separator. A tab in front is an empty cell;
    // without it a date would be in the place of the code.
    let line = bare(line, '\t').trim_end();
    let count = |separator: &char| line.matches(*separator).count();
    let mut there: Vec<char> =
        SEPARATORS.into_iter().filter(|separator| count(separator) > 0).collect();
    // Stable: among equals the comma comes first.
    there.sort_by_key(|separator| std::cmp::Reverse(count(separator)));
    if there.is_empty() { vec![','] } else { there }
}

/// What the first line says about the other lines.
#[derive(Debug)]
pub(super) struct Layout {
    /// Whether the line names the columns. If not, it is the first row and still has to be parsed.
    pub(super) is_header: bool,
    /// What each cell is; `None` for one that is skipped.
    pub(super) columns: Vec<Option<Column>>,
    /// The fewest cells of a row; the most are the columns.
    pub(super) cells_min: usize,
    /// The header's name for the code. A row with this name is a header in the middle of the file.
    pub(super) code_name: Option<String>,
}

impl Layout {
    fn of_header(cells: &[&str], columns: Vec<Option<Column>>) -> Layout {
        let code = columns.iter().position(|column| *column == Some(Column::Code));
        let code_name = code.map(|at| cells[at].to_owned());
        Layout { is_header: true, cells_min: columns.len(), columns, code_name }
    }
}

#[cfg(test)]
mod tests;
