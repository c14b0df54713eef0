//! One record of a file, as text or as the reason why it is none.

use coupon::cell_guard::unguarded;

use super::super::cells::RecordCells;
use super::super::encoding::TextEncoding;
use super::super::row_error::{LINE_LEN_MAX, RowError};

/// How much of a line that is too long is kept for the report, in bytes: enough to recognise it.
pub const LONG_LINE_SHOWN_MAX: usize = 200;

/// Longest text of a rejected line that is kept, in characters. It is cut there, so such a text is no
/// whole line when it is sent again.
pub const REJECTED_TEXT_MAX: usize = 500;

const _: () = assert!(LONG_LINE_SHOWN_MAX <= LINE_LEN_MAX);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLine {
    /// The number of its first line in the file, from 1; the header and empty lines count.
    pub number: u64,
    shown: String,
    fault: Option<RowError>,
}

impl FileLine {
    /// `raw` is without its line end.
    pub(super) fn of(number: u64, raw: Vec<u8>, encoding: TextEncoding) -> FileLine {
        let (shown, fault) = read(raw, encoding);
        FileLine { number, shown, fault }
    }

    pub(super) fn with_open_quote(self, last: u64) -> FileLine {
        FileLine { fault: Some(RowError::OpenQuote { last }), ..self }
    }

    /// The line whose text is a cell of this record, which is a row of a file of rejected lines.
    pub(crate) fn rejected_before(self) -> FileLine {
        let Ok(row) = self.text() else { return self };
        let cells = RecordCells::split(row, ',');
        let text = cells.as_ref().and_then(|cells| cells.iter().nth(1)).map(unguarded);
        let fault = match &text {
            None => Some(RowError::Cells { found: 1, want: "4".to_owned() }),
            // Its end was cut off.
            Some(text) if text.chars().count() >= REJECTED_TEXT_MAX => Some(RowError::TooLong),
            Some(_) => None,
        };
        FileLine { number: self.number, shown: text.unwrap_or(self.shown), fault }
    }

    /// Whether it has no text, as the rows have with which a spreadsheet fills up a sheet.
    pub(crate) fn is_blank(&self) -> bool {
        let is_blank = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\u{feff}');
        self.fault.is_none() && self.shown.chars().all(is_blank)
    }

    /// The text of the record, without its line end.
    ///
    /// # Errors
    /// [`RowError::OpenQuote`], [`RowError::TooLong`], or else [`RowError::NotUtf8`] or [`RowError::TextEncoding`].
    pub fn text(&self) -> Result<&str, RowError> {
        match &self.fault {
            None => Ok(&self.shown),
            Some(fault) => Err(fault.clone()),
        }
    }

    /// The line as a report shows it: U+FFFD for what does not decode, and the first
    /// [`LONG_LINE_SHOWN_MAX`] bytes of a line that is too long.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

fn read(raw: Vec<u8>, encoding: TextEncoding) -> (String, Option<RowError>) {
    if raw.len() > LINE_LEN_MAX {
        let mut shown = encoding.shown(&raw);
        shown.truncate(shown.floor_char_boundary(LONG_LINE_SHOWN_MAX));
        return (shown, Some(RowError::TooLong));
    }
    if encoding != TextEncoding::UTF_8 {
        return match encoding.decoded(&raw) {
            Some(text) => (text, None),
            None => (encoding.shown(&raw), Some(RowError::Encoding { encoding: encoding.name() })),
        };
    }
    match String::from_utf8(raw) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(RowError::NotUtf8 { at }))
        }
    }
}
