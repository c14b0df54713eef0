//! From `code,state,user_id` to rows of the table, as the bytes come: the columns of a row that are
//! the same in all of a file are written behind each line, which PostgreSQL reads faster than it
//! works out a default.

use bytes::Bytes;
use loadtest::stock;

use crate::terms::{Campaign, Millis};

/// Turns parts of a file into rows of [`COPY`](super::statements::COPY).
pub(super) struct Rows {
    /// A line without its end yet.
    begun: Vec<u8>,
    header_seen: Option<()>,
    /// The columns written after each line.
    behind: Vec<u8>,
}

impl Rows {
    pub(super) fn of(campaign: &Campaign, now: Millis) -> Rows {
        let (day, number, now) = (campaign.expiry_day(), campaign.number, now.0);
        let (from, until) = (campaign.valid_from.0, campaign.expires_at.0);
        // The order of the columns in COPY; a comma inside of a text has a backslash before it.
        let event = format!(r#"{{"kind":"imported"\,"at":{now}\,"actor":"admin:import"}}\n"#);
        let behind = format!(",{day},{number},{number},{from},{until},{now},{event},{now},{now}\n");
        Rows { begun: Vec::new(), header_seen: None, behind: behind.into_bytes() }
    }

    /// The rows that end in `part`. `None` when the file is not plain lines below the header.
    pub(super) fn from(&mut self, part: &[u8]) -> Option<Bytes> {
        // Quotes and escapes are not read, so there must be none.
        if part.contains(&b'"') || part.contains(&b'\\') {
            return None;
        }
        let mut rows = Vec::with_capacity(part.len() * 8);
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            let Some(end) = piece.strip_suffix(b"\n") else {
                self.begun.extend_from_slice(piece);
                break;
            };
            if self.begun.is_empty() {
                line(&mut self.header_seen, &self.behind, end, &mut rows)?;
            } else {
                self.begun.extend_from_slice(end);
                line(&mut self.header_seen, &self.behind, &self.begun, &mut rows)?;
                self.begun.clear();
            }
        }
        Some(rows.into())
    }

    /// The last row, if its line had no end.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        let mut rows = Vec::new();
        if !self.begun.is_empty() {
            line(&mut self.header_seen, &self.behind, &self.begun, &mut rows)?;
        }
        self.header_seen.map(|()| rows.into())
    }
}

fn line(header: &mut Option<()>, behind: &[u8], line: &[u8], rows: &mut Vec<u8>) -> Option<()> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if header.is_none() {
        *header = (line == stock::HEADER.trim_end().as_bytes()).then_some(());
        return *header;
    }
    rows.extend_from_slice(line);
    rows.extend_from_slice(behind);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_any_parts() {
        let campaign = Campaign::new("any");
        let file = "code,state,user_id\r\nA,issued,ann\nB,available,";
        for part_bytes in [1, 2, 7, 100] {
            let mut rows = Rows::of(&campaign, Millis(7));
            let mut all = Vec::new();
            for part in file.as_bytes().chunks(part_bytes) {
                all.extend_from_slice(&rows.from(part).expect("it is plain"));
            }
            all.extend_from_slice(&rows.rest().expect("it has a header"));
            let all = String::from_utf8(all).expect("it is text");
            let begin: Vec<&str> = all.lines().map(|row| row.split_at(12).0).collect();
            assert_eq!(begin, ["A,issued,ann", "B,available,"], "parts of {part_bytes} bytes");
        }
    }

    #[test]
    fn what_is_not_plain() {
        for file in ["A,issued,ann\n", "code,state\n", "code,state,user_id\n\"A\",issued,ann\n", ""]
        {
            let mut rows = Rows::of(&Campaign::new("any"), Millis(7));
            let taken = rows.from(file.as_bytes()).and_then(|_| rows.rest());
            assert_eq!(taken, None, "{file:?}");
        }
    }
}
