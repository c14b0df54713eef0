//! The first line without a column map.

use super::super::columns::{Column, Guess, clipped, known};
use super::as_coupon::{Coupon, coupon, is_name, name_fault};
use super::{BadHeader, Layout, MAP_IT};

/// The columns of a file without a header. All but the first may be missing at the end.
pub(super) const WITHOUT_HEADER: [Column; 3] = [Column::Code, Column::ValidFrom, Column::ExpiresAt];

/// The line as a coupon, or else as a header.
pub(super) fn unmapped(cells: &[&str]) -> Result<Layout, BadHeader> {
    if cells.iter().any(|cell| Column::named(cell) == Some(Column::Code)) {
        return header(cells);
    }
    let columns = WITHOUT_HEADER.map(Some);
    let coupon = match cells.len() {
        more if more > columns.len() => {
            Err(format!("it has {more} cells, and a coupon without a header has 1 to 3"))
        }
        _ => coupon(cells, &columns),
    };
    let names_columns = || cells.iter().any(|cell| Column::meant(cell).is_some());
    match coupon {
        Ok(Coupon { is_dated: false }) if names_columns() => header(cells),
        Ok(Coupon { is_dated: false }) if is_name(cells[0]) => {
            Err(neither(&name_fault(1, cells[0]), &known()))
        }
        Ok(_) => {
            let columns = columns.to_vec();
            Ok(Layout { is_header: false, columns, cells_min: 1, code_name: None })
        }
        Err(_) if names_columns() => header(cells),
        Err(fault) => Err(neither(&fault, &known_or_guess(cells))),
    }
}

fn neither(fault: &str, columns: &str) -> BadHeader {
    BadHeader(format!(
        "the first line is neither a coupon nor a header: {fault}; the columns are {columns}; name \
         them in the first line, or {MAP_IT}"
    ))
}

/// The names of all columns, and the one that a cell was perhaps meant to be.
fn known_or_guess(cells: &[&str]) -> String {
    match Guess::of(cells.iter().copied()) {
        Some(guess) => format!("{}; {guess}", known()),
        None => known(),
    }
}

/// The line as a header: each cell has to name a column.
fn header(cells: &[&str]) -> Result<Layout, BadHeader> {
    let columns: Vec<Option<Column>> = cells.iter().map(|cell| Column::meant(cell)).collect();
    if !columns.contains(&Some(Column::Code))
        && let Some(found) = columns.iter().copied().flatten().next()
    {
        return Err(BadHeader(format!(
            "column {found} is there, but no column code; the columns are {}; {MAP_IT}",
            known_or_guess(cells)
        )));
    }
    for (nth, column) in columns.iter().enumerate() {
        let at = nth + 1;
        let Some(column) = *column else {
            let (found, columns) = (clipped(cells[nth]), known_or_guess(cells));
            return Err(BadHeader(format!(
                "column {at} is {found:?}, want one of {columns}; {MAP_IT}"
            )));
        };
        if let Some(first) = columns[..nth].iter().position(|other| *other == Some(column)) {
            return Err(BadHeader(format!(
                "columns {} and {at} both mean {column}, want each at most once: {}; {MAP_IT}",
                first + 1,
                known()
            )));
        }
    }
    Ok(Layout::of_header(cells, columns))
}
