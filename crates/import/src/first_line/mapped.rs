//! The first line under the column map of a caller.

use super::super::bad_file::BadFile;
use super::super::columns::{ColumnMap, ColumnSource, KnownColumn, clipped};
use super::super::format::FileFormat;
use super::super::layout::{FirstLineLayout, position};
use super::as_coupon::{CouponLine, coupon, is_name, name_fault};
use super::check_name;

/// The line under the caller's map: a header if the map has names, else a coupon if it can be read
/// as one, else a header if no mapped cell looks like data.
pub(super) fn mapped(
    cells: &[&str],
    map: &ColumnMap,
    format: &FileFormat,
) -> Result<FirstLineLayout, BadFile> {
    let mut columns: Vec<Option<KnownColumn>> = vec![None; cells.len()];
    for (column, source) in map.entries() {
        let at = place_of(cells, *column, source)?;
        if let Some(other) = columns[at].replace(*column) {
            let at = at + 1;
            return Err(BadFile::Header(format!(
                "columns maps both {other} and {column} to column {at}"
            )));
        }
    }
    if map.has_names() {
        return header(cells, columns, format);
    }
    let code_name = position(&columns, KnownColumn::Code).filter(|at| is_name(cells[*at]));
    let fault = match (coupon(cells, &columns, format.dates), code_name) {
        (Ok(CouponLine { is_dated: false }), Some(at)) => name_fault(at + 1, cells[at]),
        (Ok(_), _) => {
            return Ok(FirstLineLayout::of_coupon(columns.len(), columns));
        }
        (Err(fault), _) => fault,
    };
    let mut of_map = cells.iter().zip(&columns).filter(|(_, column)| column.is_some());
    let looks_like_names =
        of_map.all(|(cell, _)| !cell.is_empty() && !cell.bytes().any(|b| b.is_ascii_digit()));
    match looks_like_names {
        true => header(cells, columns, format),
        false => Err(BadFile::Header(format!(
            "the first line may be a header or a coupon that cannot be read: {fault}; map the \
             columns by name if it is a header, correct it if it is a coupon"
        ))),
    }
}

/// The line as a header: a column that is skipped must not look like a state.
fn header(
    cells: &[&str],
    columns: Vec<Option<KnownColumn>>,
    format: &FileFormat,
) -> Result<FirstLineLayout, BadFile> {
    let has_state = columns.contains(&Some(KnownColumn::State));
    // Beside a state, a time only says when: a line that says `redeemed` is rejected without it.
    let is_told = |cell: &str| has_state && KnownColumn::named(cell).is_some();
    for (nth, column) in columns.iter().enumerate() {
        if column.is_none() && !is_told(cells[nth]) {
            check_name(nth + 1, cells[nth], format)?;
        }
    }
    Ok(FirstLineLayout::of_header(cells, columns).with_signs_of(cells))
}

/// Where a column of the map is in the first line, from 0.
fn place_of(cells: &[&str], column: KnownColumn, source: &ColumnSource) -> Result<usize, BadFile> {
    let why = match source {
        ColumnSource::Number(number) if *number <= cells.len() => return Ok(number - 1),
        ColumnSource::Number(number) => {
            format!("column {number}, but the first line has {}", cells.len())
        }
        ColumnSource::Name(name) => {
            let lower = name.to_lowercase();
            let mut found = cells.iter().enumerate().filter(|(_, it)| it.to_lowercase() == lower);
            let name = clipped(name);
            match (found.next(), found.next()) {
                (Some((at, _)), None) => return Ok(at),
                (Some(_), Some(_)) => {
                    format!("{name:?}, and the first line has that twice: give a number")
                }
                (None, _) => {
                    let cells: Vec<String> =
                        cells.iter().map(|cell| format!("{:?}", clipped(cell))).collect();
                    format!("{name:?}, but the first line has {}", cells.join(", "))
                }
            }
        }
    };
    Err(BadFile::Header(format!("columns maps {column} to {why}")))
}
