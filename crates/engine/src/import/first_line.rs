//! The first line of an import, which decides how all the others are read.
//!
//! It is a *coupon*, and the columns are code, valid_from, expires_at; or a *header*, all of whose
//! cells name columns; or the file is refused. No column is ever taken by its position unless the
//! first line is a coupon, or the caller said so: a header that is not recognised would make each
//! expiry a first day. The first line also says what stands between the cells.

use coupon::calendar::{Date, parse_instant};
use coupon::code::Code;
use csv_core::{ReaderBuilder, Terminator};

use super::bad_header::{BadHeader, NoCoupon};
use super::cells::{Cells, bare};
use super::columns::{Column, ColumnMap, Guess, Source, clipped};
use super::record::Header;

/// What may stand between cells. A comma where the first line has one cell.
const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// The columns of a file without a header; all but the first may be left out at the end.
pub(super) const WITHOUT_HEADER: [Column; 3] = [Column::Code, Column::ValidFrom, Column::ExpiresAt];

/// Words that stand above a list of codes and could be codes themselves. No alias, since each of
/// them is as often something else than the code.
const WORDS: [&str; 8] =
    ["codes", "coupon", "coupons", "voucher", "vouchers", "serial", "number", "numbers"];

/// What the first line turned out to be.
#[derive(Debug)]
pub enum HeaderOrFirst {
    /// The header: no coupon.
    Header(Header),
    /// There is no header: the line is the first row, still to be parsed.
    First(Header),
}

impl Header {
    /// Reads the first line of a file.
    ///
    /// Without a mapping it is a coupon when its first cell is a code, the second and third are
    /// dates or empty, and there are no more; one without a date is a coupon only if no cell is
    /// the name or alias of a column. It is a header when a cell is `code`, or when it is no
    /// coupon and names a column. So a coupon cannot be called `CODE`, and one called `STATE` needs
    /// a date, a header or a mapping where it is the first.
    ///
    /// # Errors
    /// [`BadHeader`], which refuses the file.
    pub fn read(first_line: &str, map: Option<&ColumnMap>) -> Result<HeaderOrFirst, BadHeader> {
        let mut verdicts = Vec::new();
        for separator in separators(first_line) {
            let mut reader = ReaderBuilder::new()
                .terminator(Terminator::Any(b'\n'))
                .delimiter(separator as u8)
                .build();
            let cells = Cells::split(first_line, separator, &mut reader);
            let verdict = cells.ok_or(BadHeader::Quote).and_then(|cells| {
                let cells: Vec<&str> = cells.iter().collect();
                match map {
                    Some(map) => mapped(&cells, map),
                    None => unmapped(&cells),
                }
            });
            match verdict {
                // A coupon is one with one separator at most; a header by numbers may be one with
                // each.
                Ok(layout @ Layout { is_header: false, .. }) => {
                    return Ok(HeaderOrFirst::First(layout.header(separator, reader)));
                }
                other => verdicts.push(other.map(|layout| (layout, separator, reader))),
            }
        }
        let at = verdicts.iter().position(Result::is_ok).unwrap_or(0);
        let (layout, separator, reader) = verdicts.swap_remove(at)?;
        Ok(HeaderOrFirst::Header(layout.header(separator, reader)))
    }
}

/// The separators that the line may have, the one that makes the most cells first.
fn separators(line: &str) -> Vec<char> {
    // Tabs at the end may be blanks: no separator is known by them. One in front is an empty cell,
    // without which a date would stand where the code does.
    let line = bare(line, '\t').trim_end();
    let count = |separator: &char| line.matches(*separator).count();
    let mut there: Vec<char> =
        SEPARATORS.into_iter().filter(|separator| count(separator) > 0).collect();
    // Stable: of equals the comma goes first.
    there.sort_by_key(|separator| std::cmp::Reverse(count(separator)));
    if there.is_empty() { vec![','] } else { there }
}

/// What the first line says of the others.
struct Layout {
    is_header: bool,
    columns: Vec<Option<Column>>,
    cells_min: usize,
    /// What the header calls the code: a row that says so again is a header in the middle.
    code_name: Option<String>,
}

impl Layout {
    fn of_header(cells: &[&str], columns: Vec<Option<Column>>) -> Layout {
        let code = columns.iter().position(|column| *column == Some(Column::Code));
        let code_name = code.map(|at| cells[at].to_owned());
        Layout { is_header: true, cells_min: columns.len(), columns, code_name }
    }

    fn header(self, separator: char, reader: csv_core::Reader) -> Header {
        let Layout { columns, cells_min, code_name, .. } = self;
        Header::of(columns, cells_min, code_name, separator, reader)
    }
}

fn unmapped(cells: &[&str]) -> Result<Layout, BadHeader> {
    if cells.iter().any(|cell| Column::named(cell) == Some(Column::Code)) {
        return header(cells);
    }
    let columns = WITHOUT_HEADER.map(Some);
    let coupon = match cells.len() {
        more if more > columns.len() => Err(NoCoupon::Cells(more)),
        _ => coupon(cells, &columns),
    };
    let names_columns = || cells.iter().any(|cell| Column::meant(cell).is_some());
    match coupon {
        Ok(Coupon { is_dated: false }) if names_columns() => header(cells),
        Ok(Coupon { is_dated: false }) if is_name(cells[0]) => {
            let fault = NoCoupon::Name { at: 1, found: clipped(cells[0]) };
            Err(BadHeader::Neither { fault, guess: None })
        }
        Ok(_) => {
            let columns = columns.to_vec();
            Ok(Layout { is_header: false, columns, cells_min: 1, code_name: None })
        }
        Err(_) if names_columns() => header(cells),
        Err(fault) => Err(BadHeader::Neither { fault, guess: Guess::of(cells.iter().copied()) }),
    }
}

/// Whether a cell that could be a code is what headers say.
fn is_name(cell: &str) -> bool {
    Column::meant(cell).is_some() || WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// The header whose cells all name columns.
fn header(cells: &[&str]) -> Result<Layout, BadHeader> {
    let columns: Vec<Option<Column>> = cells.iter().map(|cell| Column::meant(cell)).collect();
    let guess = || Guess::of(cells.iter().copied());
    if !columns.contains(&Some(Column::Code))
        && let Some(found) = columns.iter().copied().flatten().next()
    {
        return Err(BadHeader::NoCode { found, guess: guess() });
    }
    for (at, column) in columns.iter().enumerate() {
        let Some(column) = *column else {
            let found = clipped(cells[at]);
            return Err(BadHeader::Unknown { found, at: at + 1, guess: guess() });
        };
        if let Some(first) = columns[..at].iter().position(|other| *other == Some(column)) {
            return Err(BadHeader::Doubled { column, first: first + 1, then: at + 1 });
        }
    }
    Ok(Layout::of_header(cells, columns))
}

/// The line under the caller's mapping: a header if a name of the mapping stands in it, else a
/// coupon if it can be read as one, else a header if nothing in the mapped cells looks like data.
fn mapped(cells: &[&str], map: &ColumnMap) -> Result<Layout, BadHeader> {
    let mut columns: Vec<Option<Column>> = vec![None; cells.len()];
    let mut has_names = false;
    for (column, source) in map.entries() {
        has_names |= matches!(source, Source::Name(_));
        let at = position(cells, *column, source)?;
        if let Some(other) = columns[at].replace(*column) {
            return Err(BadHeader::SameCell { one: other, other: *column, at: at + 1 });
        }
    }
    if has_names {
        return Ok(Layout::of_header(cells, columns));
    }
    let code_name = || {
        let code = columns.iter().position(|column| *column == Some(Column::Code));
        code.filter(|at| is_name(cells[*at]))
    };
    let fault = match (coupon(cells, &columns), code_name()) {
        (Ok(Coupon { is_dated: false }), Some(at)) => {
            NoCoupon::Name { at: at + 1, found: clipped(cells[at]) }
        }
        (Ok(_), _) => {
            let cells_min = columns.len();
            return Ok(Layout { is_header: false, columns, cells_min, code_name: None });
        }
        (Err(fault), _) => fault,
    };
    let mut of_map = cells.iter().zip(&columns).filter(|(_, column)| column.is_some());
    let looks_like_names =
        of_map.all(|(cell, _)| !cell.is_empty() && !cell.bytes().any(|b| b.is_ascii_digit()));
    match looks_like_names {
        true => Ok(Layout::of_header(cells, columns)),
        false => Err(BadHeader::Unclear { fault }),
    }
}

/// Where a column of the mapping is in the first line, from 0.
fn position(cells: &[&str], column: Column, source: &Source) -> Result<usize, BadHeader> {
    match source {
        Source::Number(number) if *number <= cells.len() => Ok(number - 1),
        Source::Number(number) => {
            Err(BadHeader::TooFar { column, number: *number, cells: cells.len() })
        }
        Source::Name(name) => {
            let lower = name.to_lowercase();
            let mut found = cells.iter().enumerate().filter(|(_, it)| it.to_lowercase() == lower);
            match (found.next(), found.next()) {
                (Some((at, _)), None) => Ok(at),
                (Some(_), Some(_)) => Err(BadHeader::NotOne { column, name: clipped(name) }),
                (None, _) => {
                    let cells = cells.iter().map(|cell| clipped(cell)).collect();
                    Err(BadHeader::NotThere { column, name: clipped(name), cells })
                }
            }
        }
    }
}

/// A line that can be read as a coupon.
struct Coupon {
    /// With a date in it, which no header has.
    is_dated: bool,
}

/// Whether the cells are a coupon under these columns: the code is one, and dates are dates or
/// empty. What else is wrong with it is its own fault.
fn coupon(cells: &[&str], columns: &[Option<Column>]) -> Result<Coupon, NoCoupon> {
    let mut is_dated = false;
    for (nth, (cell, column)) in cells.iter().zip(columns).enumerate() {
        let (at, found) = (nth + 1, || clipped(cell));
        match column {
            Some(Column::Code) if cell.parse::<Code>().is_err() => {
                return Err(NoCoupon::Code { at, found: found() });
            }
            Some(
                column @ (Column::ValidFrom
                | Column::ExpiresAt
                | Column::IssuedAt
                | Column::RedeemedAt),
            ) if !cell.is_empty() => {
                if cell.parse::<Date>().is_err() && parse_instant(cell).is_err() {
                    return Err(NoCoupon::Date { column: *column, at, found: found() });
                }
                is_dated = true;
            }
            _ => {}
        }
    }
    Ok(Coupon { is_dated })
}

#[cfg(test)]
mod tests;
