//! Answers as a plant makes them.

use std::collections::BTreeMap;

use cql_session::{BoundValue, RowPage};
use scylla::frame::response::result::ColumnSpec;

use simulated_cluster::cql::{cells, put_cell};

pub(super) fn row<'c>(cells: impl IntoIterator<Item = Option<&'c [u8]>>) -> Vec<u8> {
    let mut row = Vec::new();
    for cell in cells {
        put_cell(&mut row, cell);
    }
    row
}

/// Whether a conditional update was applied.
pub(super) fn is_applied(page: &RowPage) -> bool {
    page.rows.first().and_then(|row| row.get(4)) == Some(&1)
}

/// Whether the first cell is null or missing.
pub(super) fn is_null(page: &RowPage) -> bool {
    let first = page.rows.first().and_then(|row| cells(row).first().copied().flatten());
    first.is_none()
}

/// The answer to a conditional update with so many columns; to a plain write, which has none.
pub(super) fn verdict(applied: bool, columns: usize) -> RowPage {
    let cell = [u8::from(applied)];
    let cells = (0..columns).map(|column| (column == 0).then_some(cell.as_slice()));
    let rows = if columns == 0 { Vec::new() } else { vec![row(cells)] };
    RowPage { rows, next: None }
}

/// The answer with another value in some columns.
pub(super) fn with(
    page: RowPage,
    specs: &[ColumnSpec<'_>],
    columns: &[&str],
    value: Option<&[u8]>,
) -> RowPage {
    let changed = |old: &Vec<u8>| {
        let named = specs.iter().zip(cells(old));
        row(named.map(|(spec, cell)| if columns.contains(&spec.name()) { value } else { cell }))
    };
    RowPage { rows: page.rows.iter().map(changed).collect(), next: page.next }
}

/// The values of a row by their columns.
pub(super) fn named(specs: &[ColumnSpec<'_>], row: &[u8]) -> BTreeMap<String, BoundValue> {
    let value = |cell: Option<&[u8]>| {
        cell.map_or(BoundValue::Null, |cell| BoundValue::Value(cell.to_vec()))
    };
    specs.iter().zip(cells(row)).map(|(spec, cell)| (spec.name().to_owned(), value(cell))).collect()
}

/// A row of bound values.
pub(super) fn of_values<'v>(values: impl IntoIterator<Item = &'v BoundValue>) -> Vec<u8> {
    row(values.into_iter().map(|value| match value {
        BoundValue::Value(bytes) => Some(bytes.as_slice()),
        BoundValue::Null | BoundValue::Unset => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        assert!(is_applied(&verdict(true, 3)) && !is_applied(&verdict(false, 3)));
        let one: &[u8] = &[1];
        assert_eq!(cells(&verdict(true, 3).rows[0]), [Some(one), None, None]);
        assert!(verdict(true, 0).rows.is_empty());
        assert!(is_null(&RowPage::default()) && !is_null(&verdict(false, 1)));
    }
}
