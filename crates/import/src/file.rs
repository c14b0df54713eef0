//! A file as it arrives: its head, its first line, then its other lines.

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::BLANK_LINES_MAX;
use super::columns::ColumnMap;
use super::encoding::Encoding;
use super::first_line::BadHeader;
use super::lines::{LINE_LEN_MAX, Line, Lines, SNIFF_LEN, sniff};
use super::record::{Header, RowError};

/// The lines of a stream of bytes.
pub struct File<S> {
    head: Option<Bytes>,
    rest: S,
    lines: Lines,
    encoding: Encoding,
    is_over: bool,
}

/// How a file begins.
pub struct Begin {
    /// Where the columns are; `None` for a file of blank lines.
    pub header: Option<Header>,
    /// The header, if the file has one.
    pub header_text: Option<String>,
    /// Lines that were read and still have to be imported.
    pub lines: Vec<Line>,
}

/// Why a file cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file cannot be used at all.
    #[error(transparent)]
    Bad(#[from] BadFile),
    /// The stream ended in this error; what arrived before it can be used.
    #[error("{0}")]
    BrokenOff(String),
}

/// Why a file cannot be imported at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// It is not CSV.
    #[error("{0}")]
    Kind(String),
    /// Its header cannot be used.
    #[error("{0}")]
    Header(String),
}

impl<S, E> File<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Reads the head of the stream; `named` is the encoding that the caller gives.
    ///
    /// # Errors
    /// [`FileError::Bad`] if it is no CSV, [`FileError::BrokenOff`] if the stream ends in an error.
    pub async fn open(mut stream: S, named: Option<Encoding>) -> Result<File<S>, FileError> {
        let mut head = Vec::new();
        while head.len() < SNIFF_LEN {
            match stream.next().await {
                Some(Ok(chunk)) => head.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(FileError::BrokenOff(error.to_string())),
                None => break,
            }
        }
        let encoding = sniff(&head, named).map_err(|error| BadFile::Kind(error.to_string()))?;
        let lines = Lines::of(encoding);
        Ok(File { head: Some(head.into()), rest: stream, lines, encoding, is_over: false })
    }

    /// The encoding in which its lines are read.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The next line, or the error that ended the stream; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Line, FileError>> {
        loop {
            if self.is_over {
                return self.lines.finish().map(Ok);
            }
            if let Some(line) = self.lines.next_line() {
                return Some(Ok(line));
            }
            match self.chunk().await {
                Some(Ok(chunk)) => self.lines.push(&chunk),
                Some(Err(error)) => return Some(Err(error)),
                None => self.is_over = true,
            }
        }
    }

    async fn chunk(&mut self) -> Option<Result<Bytes, FileError>> {
        if let Some(head) = self.head.take() {
            return Some(Ok(head));
        }
        let chunk = self.rest.next().await?;
        Some(chunk.map_err(|error| FileError::BrokenOff(error.to_string())))
    }

    /// Reads up to the first line that is not blank, which says where the columns are.
    ///
    /// # Errors
    /// [`BadFile::Header`], [`FileError::BrokenOff`].
    pub async fn begin(&mut self, map: Option<&ColumnMap>) -> Result<Begin, FileError> {
        let refused = |why: String| FileError::Bad(BadFile::Header(why));
        let mut lines = Vec::new();
        let first = loop {
            let Some(line) = self.next().await else {
                return Ok(Begin { header: None, header_text: None, lines });
            };
            let line = line?;
            if !line.shown().trim_start_matches('\u{feff}').trim().is_empty() {
                break line;
            }
            if lines.len() == BLANK_LINES_MAX {
                let why = format!("the file begins with more than {BLANK_LINES_MAX} blank lines");
                return Err(refused(why));
            }
            lines.push(line);
        };
        let text = first.text().map_err(|error| match error {
            RowError::TooLong => {
                refused(format!("the first line has more than {LINE_LEN_MAX} bytes"))
            }
            other => refused(format!(
                "the first {other}; name the encoding of the file, or save it as CSV UTF-8"
            )),
        })?;
        let header = Header::read(text, map).map_err(|BadHeader(why)| refused(why))?;
        let header_text = header.is_line().then(|| text.to_owned());
        if header_text.is_none() {
            lines.push(first);
        }
        Ok(Begin { header: Some(header), header_text, lines })
    }
}
