//! Reads a file of codes: the first cell of each line.

use engine::import::lines::{Line, Lines, SNIFF_LEN, sniff};

/// Takes a file in pieces of any size and returns its codes.
#[derive(Default)]
pub(super) struct Codes {
    lines: Lines,
    begun: bool,
    looked: bool,
}

impl Codes {
    /// Takes the next bytes. The first ones tell whether the file is CSV.
    ///
    /// # Errors
    /// A sentence about what the file is instead.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), String> {
        if !self.looked {
            self.looked = true;
            let head = &piece[..piece.len().min(SNIFF_LEN)];
            let encoding = sniff(head, None).map_err(|error| error.to_string())?;
            self.lines = Lines::of(encoding);
        }
        self.lines.push(piece);
        Ok(())
    }

    /// The next code whose line is complete.
    pub(super) fn next(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next_line()?;
            if let Some(code) = self.code(&line) {
                return Some(code);
            }
        }
    }

    /// The code of a last line without a line end.
    pub(super) fn last(&mut self) -> Option<String> {
        let line = self.lines.finish()?;
        self.code(&line)
    }

    /// `None` for the header and for empty lines.
    fn code(&mut self, line: &Line) -> Option<String> {
        let cell = first_cell(line.shown());
        if cell.is_empty() {
            return None;
        }
        let first = !std::mem::replace(&mut self.begun, true);
        (!(first && cell.eq_ignore_ascii_case("code"))).then_some(cell)
    }
}

fn first_cell(line: &str) -> String {
    let line = line.trim();
    match line.strip_prefix('"') {
        None => line.split([',', ';', '\t']).next().unwrap_or_default().trim().to_owned(),
        // Two quotes stand for one. No code has a quote, but an error shows the text.
        Some(quoted) => {
            let text = quoted.replace("\"\"", "\u{0}");
            let text = text.split('"').next().unwrap_or_default();
            text.replace('\u{0}', "\"").trim().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&str]) -> Vec<String> {
        let mut codes = Codes::default();
        let mut found = Vec::new();
        for piece in pieces {
            codes.push(piece.as_bytes()).unwrap();
            found.extend(std::iter::from_fn(|| codes.next()));
        }
        found.extend(codes.last());
        found
    }

    #[test]
    fn files() {
        let cases: [(&str, &[&str], &[&str]); 9] = [
            ("with a header", &["code\nA\nB\n"], &["A", "B"]),
            ("without", &["A\nB"], &["A", "B"]),
            ("more columns", &["Code,user\r\nA-B,ann\r\n"], &["A-B"]),
            ("a result fed back", &["code,result,detail\nA,ok,\n"], &["A"]),
            ("quoted", &["\"code\"\n\"A \"\"B\",x\n"], &["A \"B"]),
            ("a byte-order mark", &["\u{feff}code\nA\n"], &["A"]),
            ("empty lines", &["\n\ncode\n\nA\n  \n"], &["A"]),
            ("cut anywhere", &["co", "de\nA", "B\nC", "D"], &["AB", "CD"]),
            ("nothing", &[], &[]),
        ];
        for (name, pieces, want) in cases {
            assert_eq!(all(pieces), want, "{name}");
        }
    }

    #[test]
    fn not_csv() {
        assert!(Codes::default().push(b"PK\x03\x04rest").is_err());
    }
}
