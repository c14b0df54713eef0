//! The first line under the column map of a caller.

use super::super::bad_header::{BadHeader, NoCoupon};
use super::super::columns::{Column, ColumnMap, Source, clipped};
use super::Layout;
use super::as_coupon::{Coupon, coupon, is_name};

/// The line under the caller's map: a header if the map has names, else a coupon if it can be read
/// as one, else a header if no mapped cell looks like data.
pub(super) fn mapped(cells: &[&str], map: &ColumnMap) -> Result<Layout, BadHeader> {
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

/// Where a column of the map is in the first line, from 0.
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
