//! The first line without a column map.

use super::super::bad_header::{BadHeader, NoCoupon};
use super::super::columns::{Column, Guess, clipped};
use super::Layout;
use super::as_coupon::{Coupon, coupon, is_name};

/// The columns of a file without a header. All but the first may be missing at the end.
pub(super) const WITHOUT_HEADER: [Column; 3] = [Column::Code, Column::ValidFrom, Column::ExpiresAt];

/// The line as a coupon, or else as a header.
pub(super) fn unmapped(cells: &[&str]) -> Result<Layout, BadHeader> {
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

/// The line as a header: each cell has to name a column.
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
