//! A file as it arrives: its head, its first line, then its other lines.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::bad_file::BadFile;
use super::encoding::TextEncoding;
use super::first_line::said_separator;
use super::format::FileFormat;
use super::lines::{FileLine, NotCsv, RecordSplitter, SNIFF_LEN, sniff};
use super::record::FileHeader;
use super::row_error::{LINE_LEN_MAX, RowError};
use super::workbook::{self, BadWorkbook, WORKBOOK_BYTES_MAX};

/// Lines that are looked at before the first is imported: a column of states shows in a few of them,
/// and a header is below a title or two.
const LOOK_AHEAD: usize = 20;

/// The header of a file of rejected lines, without its line end.
pub const REJECT_HEADER: &str = "line,text,reason,detail";

/// Why a file of rejected lines is refused: without a map, an expiry could become a first day.
const NO_HEADER: &str = "these are lines that an import rejected, without their header; say which column is \
    which by numbers, as in columns=code:1,expires_at:2";

/// The records of a stream of bytes, without those that are blank.
pub struct File<S> {
    rest: S,
    lines: RecordSplitter,
    encoding: TextEncoding,
    ahead: VecDeque<Result<FileLine, FileError>>,
    /// It is a file of lines that an import rejected: its lines are in a column.
    is_of_rejected: bool,
    is_over: bool,
}

pub struct FileBeginning {
    /// `None` for a file of blank lines.
    pub header: Option<FileHeader>,
    pub header_text: Option<String>,
    /// Lines that were read and still have to be imported.
    pub lines: Vec<FileLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Bad(#[from] BadFile),
    /// The stream ended in this error; what arrived before it can be used.
    #[error("{0}")]
    BrokenOff(String),
}

impl<S, E> File<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Reads the head of the stream; `named` is the encoding that the caller gives.
    ///
    /// # Errors
    /// [`FileError::Bad`] if it is neither CSV nor a workbook of Excel, [`FileError::BrokenOff`] if the stream ends in an error.
    pub async fn open(mut stream: S, named: Option<TextEncoding>) -> Result<File<S>, FileError> {
        let mut head = Vec::new();
        while head.len() < SNIFF_LEN {
            match stream.next().await {
                Some(Ok(chunk)) => head.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(FileError::BrokenOff(error.to_string())),
                None => break,
            }
        }
        let is_workbook = sniff(&head, named) == Err(NotCsv::Workbook);
        let (head, named) = match is_workbook {
            true => {
                let whole = whole(head, &mut stream).await?;
                (workbook::to_csv(whole).await.map_err(bad_workbook)?, Some(TextEncoding::UTF_8))
            }
            false => (head, named),
        };
        let encoding = sniff(&head, named).map_err(|error| BadFile::Kind(error.to_string()))?;
        let mut lines = RecordSplitter::of(encoding);
        lines.push(&head);
        let (ahead, is_over) = (VecDeque::new(), is_workbook);
        Ok(File { rest: stream, lines, encoding, ahead, is_of_rejected: false, is_over })
    }

    pub fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    pub(super) fn separate_by(&mut self, separator: char) {
        self.lines.separate_by(separator);
    }

    /// The next record that is not blank, or the error that ended the stream; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<FileLine, FileError>> {
        if let Some(ahead) = self.ahead.pop_front() { Some(ahead) } else { self.arrived().await }
    }

    async fn arrived(&mut self) -> Option<Result<FileLine, FileError>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                if line.is_blank() {
                    continue;
                }
                return Some(Ok(self.line(line)));
            }
            if self.is_over {
                let last = self.lines.finish().filter(|line| !line.is_blank());
                return last.map(|line| Ok(self.line(line)));
            }
            match self.rest.next().await {
                Some(Ok(chunk)) => self.lines.push(&chunk),
                Some(Err(error)) => return Some(Err(FileError::BrokenOff(error.to_string()))),
                None => self.is_over = true,
            }
        }
    }

    fn line(&self, line: FileLine) -> FileLine {
        if self.is_of_rejected { line.rejected_before() } else { line }
    }

    /// Reads up to the first line that is not blank, which says where the columns are.
    ///
    /// # Errors
    /// [`BadFile::Header`], [`FileError::BrokenOff`].
    pub async fn begin(&mut self, format: &FileFormat) -> Result<FileBeginning, FileError> {
        let none = || FileBeginning { header: None, header_text: None, lines: Vec::new() };
        let Some(mut first) = self.next().await.transpose()? else { return Ok(none()) };
        let said = first.text().ok().and_then(said_separator);
        let is_header = |line: &str| line.trim_start_matches('\u{feff}').trim() == REJECT_HEADER;
        self.is_of_rejected = first.text().is_ok_and(is_header);
        if said.is_some() || self.is_of_rejected {
            self.lines.separate_by(said.unwrap_or(','));
            let Some(line) = self.next().await.transpose()? else { return Ok(none()) };
            first = line;
        }
        let text = first_text(&first)?;
        let header = match said {
            Some(separator) => FileHeader::read_by(&[separator], text, format),
            None => FileHeader::read(text, format),
        };
        if let Ok(header) = &header
            && !self.is_of_rejected
        {
            self.lines.separate_by(header.separator());
        }
        self.look_ahead().await;
        let header = match header {
            Ok(header) if header.is_line() => header,
            // A title may be a word that could be a code.
            other => match (self.header_below(format), other) {
                (None, other) => other?,
                (Some(below), Ok(_)) => return Err(BadFile::Header(below).into()),
                (Some(below), Err(why)) => {
                    return Err(BadFile::Header(format!("{why}; or {below}")).into());
                }
            },
        };
        if self.is_of_rejected && !header.is_line() && format.columns.is_none() {
            return Err(BadFile::Header(NO_HEADER.to_owned()).into());
        }
        for line in [&first].into_iter().chain(self.ahead.iter().flatten()) {
            if let (true, Ok(text)) = (!header.is_line() || line.number > first.number, line.text())
            {
                header.check_skipped(text, format)?;
            }
        }
        let header_text = header.is_line().then(|| text.to_owned());
        let lines = if header_text.is_some() { Vec::new() } else { vec![first] };
        Ok(FileBeginning { header: Some(header), header_text, lines })
    }

    async fn look_ahead(&mut self) {
        while self.ahead.len() < LOOK_AHEAD {
            match self.arrived().await {
                Some(line) => self.ahead.push_back(line),
                None => return,
            }
            if self.ahead.back().is_some_and(Result::is_err) {
                return;
            }
        }
    }

    fn header_below(&self, format: &FileFormat) -> Option<String> {
        // By number, any line of words could be one.
        let is_by_number = format.columns.as_ref().is_some_and(|map| !map.has_names());
        if is_by_number {
            return None;
        }
        let is_header = |line: &&FileLine| {
            let text = line.text().ok();
            text.is_some_and(|text| FileHeader::read(text, format).is_ok_and(|it| it.is_line()))
        };
        let number = self.ahead.iter().flatten().find(is_header)?.number;
        Some(format!("line {number} is a header: delete the lines above it"))
    }
}

async fn whole<S, E>(mut begun: Vec<u8>, rest: &mut S) -> Result<Vec<u8>, FileError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    while let Some(chunk) = rest.next().await {
        begun.extend_from_slice(&chunk.map_err(|error| FileError::BrokenOff(error.to_string()))?);
        if begun.len() > WORKBOOK_BYTES_MAX {
            return Err(bad_workbook(BadWorkbook::Size));
        }
    }
    Ok(begun)
}

fn bad_workbook(error: BadWorkbook) -> FileError {
    BadFile::Kind(error.to_string()).into()
}

fn first_text(first: &FileLine) -> Result<&str, BadFile> {
    first.text().map_err(|error| {
        BadFile::Header(match error {
            RowError::TooLong => format!("the first line has more than {LINE_LEN_MAX} bytes"),
            RowError::OpenQuote { .. } => format!("in the first line {error}"),
            other => {
                format!("the first {other}; name the encoding of the file, or save it as CSV UTF-8")
            }
        })
    })
}
