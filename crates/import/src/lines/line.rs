//! One line of a file, as text or as the reason why it is none.

use super::super::encoding::Encoding;
use super::super::record::RowError;
use super::LINE_LEN_MAX;

/// How much of a line that is too long is kept for the report, in bytes: enough to recognise it.
pub const LONG_LINE_SHOWN_MAX: usize = 200;

const _: () = assert!(LONG_LINE_SHOWN_MAX <= LINE_LEN_MAX);

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1; the header and empty lines count.
    pub number: u64,
    shown: String,
    /// Why it is no text.
    fault: Option<RowError>,
}

impl Line {
    /// The line with these bytes, without its line end.
    pub(super) fn of(number: u64, raw: Vec<u8>, encoding: Encoding) -> Line {
        let (shown, fault) = read(raw, encoding);
        Line { number, shown, fault }
    }

    /// The text of the line, without its line end.
    ///
    /// # Errors
    /// [`RowError::TooLong`], or else [`RowError::NotUtf8`] or [`RowError::Encoding`].
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

fn read(raw: Vec<u8>, encoding: Encoding) -> (String, Option<RowError>) {
    if raw.len() > LINE_LEN_MAX {
        let mut shown = encoding.shown(&raw);
        shown.truncate(shown.floor_char_boundary(LONG_LINE_SHOWN_MAX));
        return (shown, Some(RowError::TooLong));
    }
    if encoding != Encoding::UTF_8 {
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
