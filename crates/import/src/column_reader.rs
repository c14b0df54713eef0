//! The codes of a file, for commands that do one thing with each of them.

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

/// The codes of a file, in its order. Their column is found by the names of an import; a file
/// without a header has its codes in the first column.
pub struct CodeReader<S> {
    file: File<S>,
    /// Set by the first record.
    place: Option<CodeColumn>,
}

#[derive(Clone, Copy, Debug)]
struct CodeColumn {
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

impl<S, E> CodeReader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Reads the head of the stream.
    ///
    /// # Errors
    /// Those of [`File::open`].
    pub async fn open(stream: S) -> Result<CodeReader<S>, FileError> {
        Ok(CodeReader { file: File::open(stream, None).await?, place: None })
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
    fn read(&mut self, line: &FileLine) -> Result<Option<CodeOfFile>, FileError> {
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

fn code_of(text: &str, place: CodeColumn) -> Result<String, RowError> {
    let cells = RecordCells::split(text, place.separator).ok_or(RowError::Quote)?;
    Ok(cells.iter().nth(place.column).unwrap_or_default().to_owned())
}

/// Where the codes are by the first record, and whether it is a header.
fn place_of(first: &str) -> Result<(CodeColumn, bool), BadFile> {
    let mut names_others = false;
    for separator in separators(first) {
        let Some(cells) = RecordCells::split(first, separator) else { continue };
        let cells: Vec<&str> = cells.iter().collect();
        let export = KnownExport::of(&cells);
        let meant = |cell: &&str| match export {
            Some(export) => export.meaning(cell) == Some(ColumnMeaning::Column(KnownColumn::Code)),
            None => KnownColumn::meant(cell) == Some(KnownColumn::Code),
        };
        if let Some(column) = cells.iter().position(meant) {
            return Ok((CodeColumn { column, separator }, true));
        }
        names_others |= cells.iter().any(|cell| KnownColumn::meant(cell).is_some());
    }
    if names_others {
        let why = "the first line names columns, but none of them code; name the column of the codes code";
        return Err(BadFile::Header(why.to_owned()));
    }
    let separator = separators(first)[0];
    Ok((CodeColumn { column: 0, separator }, false))
}
