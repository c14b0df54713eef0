//! The first line without a column map.

use super::super::bad_file::BadFile;
use super::super::columns::{KnownColumn, clipped, guess, known};
use super::super::exports::{ColumnMeaning, KnownExport};
use super::super::format::FileFormat;
use super::super::layout::{FirstLineLayout, position};
use super::as_coupon::{CouponLine, coupon, is_name, name_fault};
use super::{MAP_IT, check_name};

/// The columns of a file without a header. All but the first may be missing at the end.
pub(super) const WITHOUT_HEADER: [KnownColumn; 3] =
    [KnownColumn::Code, KnownColumn::ValidFrom, KnownColumn::ExpiresAt];

pub(super) fn unmapped(cells: &[&str], format: &FileFormat) -> Result<FirstLineLayout, BadFile> {
    if let Some(export) = KnownExport::of(cells) {
        return of_export(export, cells, format);
    }
    if cells.iter().any(|cell| KnownColumn::named(cell) == Some(KnownColumn::Code)) {
        return header(cells, format);
    }
    let columns = WITHOUT_HEADER.map(Some);
    let coupon = match cells.len() {
        more if more > columns.len() => {
            Err(format!("it has {more} cells, and a coupon without a header has 1 to 3"))
        }
        _ => coupon(cells, &columns, format.dates),
    };
    let names_columns = || cells.iter().any(|cell| KnownColumn::meant(cell).is_some());
    match coupon {
        Ok(CouponLine { is_dated: false }) if names_columns() => header(cells, format),
        Ok(CouponLine { is_dated: false }) if is_name(cells[0]) => {
            Err(neither(&name_fault(1, cells[0]), &known()))
        }
        Ok(_) => Ok(FirstLineLayout::of_coupon(1, columns.to_vec())),
        Err(_) if names_columns() => header(cells, format),
        Err(fault) => Err(neither(&fault, &known_or_guess(cells))),
    }
}

fn neither(fault: &str, columns: &str) -> BadFile {
    BadFile::Header(format!(
        "the first line is neither a coupon nor a header: {fault}; the columns are {columns}; name \
         them in the first line, or {MAP_IT}"
    ))
}

fn known_or_guess(cells: &[&str]) -> String {
    match guess(cells) {
        Some(guess) => format!("{}; {guess}", known()),
        None => known(),
    }
}

fn of_export(
    export: &'static KnownExport,
    cells: &[&str],
    format: &FileFormat,
) -> Result<FirstLineLayout, BadFile> {
    let mut columns = vec![None; cells.len()];
    let mut states = Vec::new();
    for (nth, cell) in cells.iter().enumerate() {
        let is_ignored = format.ignore.names(nth + 1, cell);
        match export.meaning(cell).filter(|_| !is_ignored) {
            Some(ColumnMeaning::Column(column)) => columns[nth] = Some(column),
            Some(ColumnMeaning::State(sign)) => {
                columns[nth] = Some(KnownColumn::State);
                states.push((nth, sign));
            }
            Some(ColumnMeaning::Skipped) => {}
            None => skip(nth + 1, cell, cells, format)?,
        }
    }
    Ok(FirstLineLayout {
        states,
        export: Some(export),
        ..FirstLineLayout::of_header(cells, columns)
    })
}

/// Skips a column that is not known, if it may be: it has no name, or the caller ignores it.
fn skip(at: usize, name: &str, cells: &[&str], format: &FileFormat) -> Result<(), BadFile> {
    check_name(at, name, format)?;
    if name.is_empty() || format.ignore.has_rest() || format.ignore.names(at, name) {
        return Ok(());
    }
    let (found, columns) = (clipped(name), known_or_guess(cells));
    Err(BadFile::Header(format!("column {at} is {found:?}, want one of {columns}; {MAP_IT}")))
}

/// The line as a header: each cell has to name a column, unless it is skipped.
fn header(cells: &[&str], format: &FileFormat) -> Result<FirstLineLayout, BadFile> {
    let mut columns: Vec<Option<KnownColumn>> =
        cells.iter().map(|cell| KnownColumn::meant(cell)).collect();
    for (nth, column) in columns.iter_mut().enumerate() {
        if format.ignore.names(nth + 1, cells[nth]) {
            *column = None;
        }
    }
    if !columns.contains(&Some(KnownColumn::Code)) {
        let found = columns.iter().flatten().next();
        let found = found.map(|found| format!("column {found} is there, but "));
        return Err(BadFile::Header(format!(
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
        if let Some(first) = position(&columns[..nth], column) {
            return Err(BadFile::Header(format!(
                "columns {} and {at} both mean {column}, want each at most once: {}; {MAP_IT}",
                first + 1,
                known()
            )));
        }
    }
    Ok(FirstLineLayout::of_header(cells, columns).with_signs_of(cells))
}
