//! Reads a file of codes: the first cell of each line.

use engine::Failure;
use engine::import::File;
use engine::import::lines::Line;
use tokio_util::io::ReaderStream;

use crate::files::Source;

/// The codes of a file, in its order.
pub(super) struct Codes {
    file: File<ReaderStream<Source>>,
    begun: bool,
}

impl Codes {
    /// Reads the first bytes, which tell whether the file is CSV.
    pub(super) async fn open(source: Source) -> Result<Codes, Failure> {
        let file = File::open(ReaderStream::new(source), None).await?;
        Ok(Codes { file, begun: false })
    }

    /// The next code; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        while let Some(line) = self.file.next().await {
            if let Some(code) = self.code(&line?) {
                return Ok(Some(code));
            }
        }
        Ok(None)
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
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn all(pieces: &[&'static str]) -> Vec<String> {
        let mut source: Source = Box::new(tokio::io::empty());
        for piece in pieces {
            source = Box::new(source.chain(piece.as_bytes()));
        }
        let mut codes = Codes::open(source).await.unwrap();
        let mut found = Vec::new();
        while let Some(code) = codes.next().await.unwrap() {
            found.push(code);
        }
        found
    }

    #[tokio::test]
    async fn files() {
        let cases: [(&str, &[&'static str], &[&str]); 9] = [
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
            assert_eq!(all(pieces).await, want, "{name}");
        }
    }

    #[tokio::test]
    async fn not_csv() {
        assert!(Codes::open(Box::new(&b"PK\x03\x04rest"[..])).await.is_err());
    }
}
