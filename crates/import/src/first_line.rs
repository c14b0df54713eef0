//! The first line of an import, which decides how every other line is read.
//!
//! It is a *coupon*, and the columns are code, valid_from, expires_at; or a *header*, all of whose
//! cells name columns; or the file is refused. A column is taken by its position only if the first
//! line is a coupon, or the caller says so: a header that is not recognised would turn each expiry
//! into a first day. The first line also shows the character between the cells.

mod as_coupon;
mod mapped;
mod unmapped;

use super::bad_file::BadFile;
use super::cells::{RecordCells, bare};
use super::columns::{KnownColumn, clipped};
use super::format::FileFormat;
use super::layout::{FirstLineLayout, position};
use super::record::FileHeader;
use super::states::{StateSign, is_state_name, is_state_value};
use mapped::mapped;
use unmapped::unmapped;

/// The characters that can separate cells. A comma if the first line has one cell.
const SEPARATORS: [char; 3] = [',', ';', '\t'];

const MAP_IT: &str = "map other names with columns, as in columns=code:1,expires_at:3, or skip them \
    with ignore, as in ignore=memo or ignore=rest";

impl FileHeader {
    /// Reads the first line of a file.
    ///
    /// Without a map it is a coupon if its first cell is a code, the second and third are dates or
    /// empty, and there are no more cells; a line without a date is a coupon only if no cell is the
    /// name or an alias of a column. It is a header if a cell is `code`, or if it is no coupon and
    /// names a column, or if it is that of a [known export](super::exports). So no coupon can have
    /// the code `CODE`, and one with the code `STATE` needs a date, a header or a map if it comes
    /// first.
    ///
    /// # Errors
    /// [`BadFile::Header`].
    pub fn read(first_line: &str, format: &FileFormat) -> Result<FileHeader, BadFile> {
        FileHeader::read_by(&separators(first_line), first_line, format)
    }

    pub(super) fn read_by(
        separators: &[char],
        first_line: &str,
        format: &FileFormat,
    ) -> Result<FileHeader, BadFile> {
        let mut verdicts = Vec::new();
        for separator in separators.iter().copied() {
            let cells = RecordCells::split(first_line, separator);
            let quote =
                || BadFile::Header("a quote in the first line is not closed in it".to_owned());
            let verdict = cells.ok_or_else(quote).and_then(|cells| {
                let cells: Vec<&str> = cells.iter().collect();
                match &format.columns {
                    Some(map) => mapped(&cells, map, format),
                    None => unmapped(&cells, format),
                }
            });
            match verdict {
                // A line is a coupon with at most one separator. With a map by numbers it may be a
                // header with each.
                Ok(layout @ FirstLineLayout { names: None, .. }) => {
                    return Ok(FileHeader::of(layout, separator, format));
                }
                other => verdicts.push(other.map(|layout| (layout, separator))),
            }
        }
        let at = verdicts.iter().position(Result::is_ok).unwrap_or(0);
        let (layout, separator) = verdicts.swap_remove(at)?;
        Ok(FileHeader::of(layout, separator, format))
    }

    /// Refuses the file if a column that is skipped says something like a state in this line.
    pub(super) fn check_skipped(&self, line: &str, ignored: &FileFormat) -> Result<(), BadFile> {
        let Some(cells) = RecordCells::split(line, self.separator()) else { return Ok(()) };
        // Beside a column that says the state, a yes or no says something else.
        let is_told = self.columns().contains(&Some(KnownColumn::State));
        if is_told || self.export().is_some() || ignored.ignore.has_rest() {
            return Ok(());
        }
        for (nth, (cell, column)) in cells.iter().zip(self.columns()).enumerate() {
            let is_skipped = column.is_none() && !ignored.ignore.names(nth + 1, self.name_of(nth));
            if is_skipped && is_state_value(cell) {
                let what = format!("column {} has {:?}", nth + 1, clipped(cell));
                return Err(says_a_state(&what, nth + 1, None));
            }
        }
        Ok(())
    }
}

/// The separators that the line has, the one that makes the most cells first; a comma if it has none.
pub fn separators(line: &str) -> Vec<char> {
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

/// The separator of a line like `sep=;`, with which Excel says it.
pub fn said_separator(line: &str) -> Option<char> {
    let said = line.trim_start_matches('\u{feff}').trim_matches('"');
    let said = said.get(..4).filter(|it| it.eq_ignore_ascii_case("sep=")).and(said.get(4..))?;
    SEPARATORS.into_iter().find(|separator| said == separator.to_string())
}

fn says_a_state(what: &str, at: usize, name: Option<&str>) -> BadFile {
    let ignored = name.map_or(at.to_string(), clipped);
    BadFile::Header(format!(
        "{what}, which looks like a state or a use, and used coupons must not come as available; map it, \
         as in columns=code:1,state:{at}, or skip it with ignore={ignored}"
    ))
}

/// Refuses a skipped column whose name looks like a state.
fn check_name(at: usize, name: &str, format: &FileFormat) -> Result<(), BadFile> {
    if format.ignore.names(at, name) || !is_state_name(name) {
        return Ok(());
    }
    Err(says_a_state(&format!("column {at} is {:?}", clipped(name)), at, Some(name)))
}

impl FirstLineLayout {
    fn of_header(cells: &[&str], columns: Vec<Option<KnownColumn>>) -> FirstLineLayout {
        let names = cells.iter().map(|&cell| cell.to_owned()).collect();
        FirstLineLayout { names: Some(names), ..FirstLineLayout::of_coupon(columns.len(), columns) }
    }

    fn of_coupon(cells_min: usize, columns: Vec<Option<KnownColumn>>) -> FirstLineLayout {
        let states = position(&columns, KnownColumn::State);
        let states = states.map(|at| (at, StateSign::Word)).into_iter().collect();
        FirstLineLayout { columns, states, names: None, export: None, cells_min }
    }

    /// The same; a column of the state says it as its name tells.
    fn with_signs_of(mut self, cells: &[&str]) -> FirstLineLayout {
        for (at, sign) in &mut self.states {
            *sign = StateSign::of(cells[*at]);
        }
        self
    }
}

#[cfg(test)]
mod tests;
