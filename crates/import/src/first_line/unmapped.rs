//! The first line without a column map.

use super::super::columns::{Column, Guess, clipped, known};
use super::super::exports::{KnownExport, Meaning};
use super::super::format::FileFormat;
use super::as_coupon::{Coupon, coupon, is_name, name_fault};
use super::{BadHeader, Layout, MAP_IT, check_name};

/// The columns of a file without a header. All but the first may be missing at the end.
pub(super) const WITHOUT_HEADER: [Column; 3] = [Column::Code, Column::ValidFrom, Column::ExpiresAt];

pub(super) fn unmapped(cells: &[&str], format: &FileFormat) -> Result<Layout, BadHeader> {
    if let Some(export) = KnownExport::of(cells) {
        return of_export(export, cells, format);
    }
    if cells.iter().any(|cell| Column::named(cell) == Some(Column::Code)) {
        return header(cells, format);
    }
    let columns = WITHOUT_HEADER.map(Some);
    let coupon = match cells.len() {
        more if more > columns.len() => {
            Err(format!("it has {more} cells, and a coupon without a header has 1 to 3"))
        }
        _ => coupon(cells, &columns, format.dates),
    };
    let names_columns = || cells.iter().any(|cell| Column::meant(cell).is_some());
    match coupon {
        Ok(Coupon { is_dated: false }) if names_columns() => header(cells, format),
        Ok(Coupon { is_dated: false }) if is_name(cells[0]) => {
            Err(neither(&name_fault(1, cells[0]), &known()))
        }
        Ok(_) => Ok(Layout::of_coupon(1, columns.to_vec())),
        Err(_) if names_columns() => header(cells, format),
        Err(fault) => Err(neither(&fault, &known_or_guess(cells))),
    }
}

fn neither(fault: &str, columns: &str) -> BadHeader {
    BadHeader(format!(
        "the first line is neither a coupon nor a header: {fault}; the columns are {columns}; name \
         them in the first line, or {MAP_IT}"
    ))
}

fn known_or_guess(cells: &[&str]) -> String {
    match Guess::of(cells.iter().copied()) {
        Some(guess) => format!("{}; {guess}", known()),
        None => known(),
    }
}

fn of_export(
    export: &'static KnownExport,
    cells: &[&str],
    format: &FileFormat,
) -> Result<Layout, BadHeader> {
    let mut columns = vec![None; cells.len()];
    let mut states = Vec::new();
    for (nth, cell) in cells.iter().enumerate() {
        let is_ignored = format.ignore.names(nth + 1, cell);
        match export.meaning(cell).filter(|_| !is_ignored) {
            Some(Meaning::Column(column)) => columns[nth] = Some(column),
            Some(Meaning::State(sign)) => {
                columns[nth] = Some(Column::State);
                states.push((nth, sign));
            }
            Some(Meaning::Skipped) => {}
            None => skip(nth + 1, cell, cells, format)?,
        }
    }
    Ok(Layout { states, export: Some(export), ..Layout::of_header(cells, columns) })
}

/// Skips a column that is not known, if it may be: it has no name, or the caller ignores it.
fn skip(at: usize, name: &str, cells: &[&str], format: &FileFormat) -> Result<(), BadHeader> {
    check_name(at, name, format)?;
    if name.is_empty() || format.ignore.has_rest() || format.ignore.names(at, name) {
        return Ok(());
    }
    let (found, columns) = (clipped(name), known_or_guess(cells));
    Err(BadHeader(format!("column {at} is {found:?}, want one of {columns}; {MAP_IT}")))
}

/// The line as a header: each cell has to name a column, unless it is skipped.
fn header(cells: &[&str], format: &FileFormat) -> Result<Layout, BadHeader> {
    let mut columns: Vec<Option<Column>> = cells.iter().map(|cell| Column::meant(cell)).collect();
    for (nth, column) in columns.iter_mut().enumerate() {
        if format.ignore.names(nth + 1, cells[nth]) {
            *column = None;
        }
    }
    if !columns.contains(&Some(Column::Code)) {
        let found = columns.iter().flatten().next();
        let found = found.map(|found| format!("column {found} is there, but "));
        return Err(BadHeader(format!(
            "{}no column code; the columns are {}; {MAP_IT}",
            found.unwrap_or_default(),
            known_or_guess(cells)
        )));
    }
    for (nth, column) in columns.iter().enumerate() {
        let at = nth + 1;
        let Some(column) = *column else {
            skip(at, cells[nth], cells, format)?;
            continue;
        };
        if let Some(first) = columns[..nth].iter().position(|other| *other == Some(column)) {
            return Err(BadHeader(format!(
                "columns {} and {at} both mean {column}, want each at most once: {}; {MAP_IT}",
                first + 1,
                known()
            )));
        }
    }
    Ok(Layout::of_header(cells, columns).with_signs_of(cells))
}
