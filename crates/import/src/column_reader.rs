//! One column of a file, such as its codes, for commands that do one thing with each of them.

use bytes::Bytes;
use futures::Stream;

use super::bad_file::BadFile;
use super::cells::RecordCells;
use super::columns::KnownColumn;
use super::exports::{ColumnMeaning, KnownExport};
use super::file::{File, FileError};
use super::first_line::{said_separator, separators};
use super::lines::FileLine;
use super::row_error::RowError;

/// The cells of a column, in the order of the file. It is found by the names of an import; of a file
/// without a header it is the first one.
pub struct ColumnReader<S> {
    file: File<S>,
    wanted: KnownColumn,
    /// Set by the first record.
    place: Option<ColumnPlace>,
    is_named: bool,
}

#[derive(Clone, Copy, Debug)]
struct ColumnPlace {
    column: usize,
    separator: char,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnCell {
    /// The first line of its record, from 1.
    pub line: u64,
    /// As it is written. Empty if the record has other cells only.
    pub text: Result<String, RowError>,
}

impl<S, E> ColumnReader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Reads the head of the stream.
    pub async fn open(stream: S, wanted: KnownColumn) -> Result<ColumnReader<S>, FileError> {
        let file = File::open(stream, None).await?;
        Ok(ColumnReader { file, wanted, place: None, is_named: false })
    }

    /// Whether a header names the column. Known after the first cell.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// The next cell, or why its record has none that can be read; `None` at the end.
    ///
    /// # Errors
    /// [`FileError::Bad`] if the header has no such column, before the first cell.
    /// [`FileError::BrokenOff`] if the stream ends in an error.
    pub async fn next(&mut self) -> Option<Result<ColumnCell, FileError>> {
        loop {
            let cell = self.file.next().await?.and_then(|line| self.read(&line));
            if let Some(cell) = cell.transpose() {
                return Some(cell);
            }
        }
    }

    /// `None` for the header.
    fn read(&mut self, line: &FileLine) -> Result<Option<ColumnCell>, FileError> {
        let cell = |text| Ok(Some(ColumnCell { line: line.number, text }));
        let text = match line.text() {
            Ok(text) => text,
            Err(fault) => return cell(Err(fault)),
        };
        let Some(place) = self.place else {
            if let Some(separator) = said_separator(text) {
                self.file.separate_by(separator);
                return Ok(None);
            }
            let (place, is_header) = place_of(text, self.wanted)?;
            self.file.separate_by(place.separator);
            (self.place, self.is_named) = (Some(place), is_header);
            return if is_header { Ok(None) } else { cell(cell_of(text, place)) };
        };
        cell(cell_of(text, place))
    }
}

fn cell_of(text: &str, place: ColumnPlace) -> Result<String, RowError> {
    let cells = RecordCells::split(text, place.separator).ok_or(RowError::Quote)?;
    Ok(cells.iter().nth(place.column).unwrap_or_default().to_owned())
}

/// Where the column is by the first record, and whether this is a header.
fn place_of(first: &str, wanted: KnownColumn) -> Result<(ColumnPlace, bool), BadFile> {
    let mut names_others = false;
    for separator in separators(first) {
        let Some(cells) = RecordCells::split(first, separator) else { continue };
        let cells: Vec<&str> = cells.iter().collect();
        let export = KnownExport::of(&cells);
        let meant = |cell: &&str| match export {
            Some(export) => export.meaning(cell) == Some(ColumnMeaning::Column(wanted)),
            None => KnownColumn::meant(cell) == Some(wanted),
        };
        if let Some(column) = cells.iter().position(meant) {
            return Ok((ColumnPlace { column, separator }, true));
        }
        names_others |= cells.iter().any(|cell| KnownColumn::meant(cell).is_some());
    }
    if names_others {
        let name = wanted.as_str();
        let why = format!("the first line names columns, but none of them {name}; name one {name}");
        return Err(BadFile::Header(why));
    }
    let separator = separators(first)[0];
    Ok((ColumnPlace { column: 0, separator }, false))
}
