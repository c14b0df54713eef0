//! The cells of one line, unquoted and trimmed.

use csv_core::{ReadRecordResult, Reader};

const BOM: char = '\u{feff}';

/// The line without blanks and marks at its ends. Joined files have a mark in the middle.
/// Separators stay: between two of them is an empty cell.
pub(super) fn bare(line: &str, separator: char) -> &str {
    let line = line.trim_start_matches(BOM);
    line.trim_matches(|c: char| c.is_whitespace() && c != separator)
}

/// The cells of one line, unquoted.
pub(super) struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    /// `None` when a quote is not closed.
    pub(super) fn split(line: &str, separator: char, reader: &mut Reader) -> Option<Cells> {
        let line = bare(line, separator);
        if line.is_empty() {
            return Some(Cells { text: String::new(), ends: vec![0] });
        }
        reader.reset();
        // Room for the most that can be found, and for one more, without which the reader stops.
        let mut text = vec![0; line.len() + 1];
        let mut ends = vec![0; line.matches(separator).count() + 2];
        let (_, read, text_len, ends_len) =
            reader.read_record(line.as_bytes(), &mut text, &mut ends);
        debug_assert_eq!(read, line.len(), "a line end in a line");
        // Within a quote, the line end is part of the cell.
        let (result, ..) = reader.read_record(b"\n", &mut text[text_len..], &mut ends[ends_len..]);
        if result != ReadRecordResult::Record {
            return None;
        }
        text.truncate(text_len);
        ends.truncate(ends_len + 1);
        let text = String::from_utf8(text).expect("only quotes and separators were taken out");
        Some(Cells { text, ends })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each of them, trimmed.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.text[start..*end].trim())
    }
}
