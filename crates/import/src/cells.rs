//! The cells of one record, unquoted and trimmed.

use super::quotes::{ByteKind, QuoteState};

const BOM: char = '\u{feff}';

/// Trims blanks, and the mark of a joined file. Separators stay: between two is an empty cell.
pub(super) fn bare(line: &str, separator: char) -> &str {
    let line = line.trim_start_matches(BOM);
    line.trim_matches(|c: char| c.is_whitespace() && c != separator)
}

/// The cells of a record, unquoted and trimmed; `None` if a quote is not closed.
pub fn record_cells(line: &str, separator: char) -> Option<Vec<String>> {
    let cells = RecordCells::split(line, separator)?;
    Some(cells.iter().map(str::to_owned).collect())
}

fn kind_of(found: char, separator: char) -> ByteKind {
    match found {
        '"' => ByteKind::Quote,
        _ if found == separator => ByteKind::Separator,
        _ if found.is_whitespace() || found == BOM => ByteKind::Blank,
        _ => ByteKind::Other,
    }
}

pub(super) struct RecordCells {
    text: String,
    ends: Vec<usize>,
}

impl RecordCells {
    /// `None` when a quote is not closed.
    pub(super) fn split(line: &str, separator: char) -> Option<RecordCells> {
        let mut cells = RecordCells { text: String::with_capacity(line.len()), ends: Vec::new() };
        let mut place = QuoteState::Start;
        for found in bare(line, separator).chars() {
            let kind = kind_of(found, separator);
            let next = place.after(kind);
            match (place, kind) {
                // A separator within quotes is text.
                (
                    QuoteState::Start | QuoteState::Plain | QuoteState::Closing,
                    ByteKind::Separator,
                ) => {
                    cells.ends.push(cells.text.len());
                }
                (QuoteState::Start | QuoteState::Quoted, ByteKind::Quote) => {}
                _ => cells.text.push(found),
            }
            place = next;
        }
        cells.ends.push(cells.text.len());
        (place != QuoteState::Quoted).then_some(cells)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.text[start..*end].trim())
    }
}
