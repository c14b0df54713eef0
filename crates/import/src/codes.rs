//! The codes of a file, for commands that do one thing with each of them.

use bytes::Bytes;
use futures::Stream;

use super::cells::Cells;
use super::columns::Column;
use super::exports::{KnownExport, Meaning};
use super::file::{BadFile, File, FileError};
use super::first_line::{said_separator, separators};
use super::lines::Line;
use super::record::RowError;

/// The codes of a file, in its order. Their column is found by the names of an import; a file
/// without a header has its codes in the first column.
pub struct Codes<S> {
    file: File<S>,
    /// Set by the first record.
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    column: usize,
    separator: char,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeOfFile {
    /// The first line of its record, from 1.
    pub line: u64,
    /// The code as it is written; it may be no code. Empty if the record has other cells only.
    pub text: Result<String, RowError>,
}

impl<S, E> Codes<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Reads the head of the stream.
    ///
    /// # Errors
    /// Those of [`File::open`].
    pub async fn open(stream: S) -> Result<Codes<S>, FileError> {
        Ok(Codes { file: File::open(stream, None).await?, place: None })
    }

    /// The next code, or why its record has none that can be read; `None` at the end.
    ///
    /// # Errors
    /// [`FileError::Bad`] if the header has no column of codes, before the first code.
    /// [`FileError::BrokenOff`] if the stream ends in an error.
    pub async fn next(&mut self) -> Option<Result<CodeOfFile, FileError>> {
        loop {
            let code = self.file.next().await?.and_then(|line| self.read(&line));
            if let Some(code) = code.transpose() {
                return Some(code);
            }
        }
    }

    /// `None` for the header.
    fn read(&mut self, line: &Line) -> Result<Option<CodeOfFile>, FileError> {
        let code = |text| Ok(Some(CodeOfFile { line: line.number, text }));
        let text = match line.text() {
            Ok(text) => text,
            Err(fault) => return code(Err(fault)),
        };
        let Some(place) = self.place else {
            if let Some(separator) = said_separator(text) {
                self.file.separate_by(separator);
                return Ok(None);
            }
            let (place, is_header) = place_of(text)?;
            self.file.separate_by(place.separator);
            self.place = Some(place);
            return if is_header { Ok(None) } else { code(code_of(text, place)) };
        };
        code(code_of(text, place))
    }
}

fn code_of(text: &str, place: Place) -> Result<String, RowError> {
    let cells = Cells::split(text, place.separator).ok_or(RowError::Quote)?;
    Ok(cells.iter().nth(place.column).unwrap_or_default().to_owned())
}

/// Where the codes are by the first record, and whether it is a header.
fn place_of(first: &str) -> Result<(Place, bool), BadFile> {
    let mut names_others = false;
    for separator in separators(first) {
        let Some(cells) = Cells::split(first, separator) else { continue };
        let cells: Vec<&str> = cells.iter().collect();
        let export = KnownExport::of(&cells);
        let meant = |cell: &&str| match export {
            Some(export) => export.meaning(cell) == Some(Meaning::Column(Column::Code)),
            None => Column::meant(cell) == Some(Column::Code),
        };
        if let Some(column) = cells.iter().position(meant) {
            return Ok((Place { column, separator }, true));
        }
        names_others |= cells.iter().any(|cell| Column::meant(cell).is_some());
    }
    if names_others {
        let why = "the first line names columns, but none of them code; name the column of the codes code";
        return Err(BadFile::Header(why.to_owned()));
    }
    let separator = separators(first)[0];
    Ok((Place { column: 0, separator }, false))
}
