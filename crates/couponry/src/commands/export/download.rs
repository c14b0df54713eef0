//! The lines of a file that a service sends.

use reqwest::Response;

use super::sink::Sink;
use crate::client::broken_off;
use crate::failure::CliError;

/// Longest line of a list: a redemption has at most some 2 KiB.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Writes the header and the lines of a download as they come.
pub(super) async fn lines(
    mut answer: Response,
    sink: &mut Sink<'_>,
    shown: fn(&str) -> String,
) -> Result<(), CliError> {
    let mut cut = Cut::default();
    while let Some(piece) = answer.chunk().await.map_err(broken_off)? {
        let lines = cut.whole_lines(&piece);
        if cut.rest.len() > LINE_BYTES_MAX {
            return Err(CliError::new("the service sends a line without an end"));
        }
        if let Some(header) = cut.header.take() {
            sink.header(&header)?;
        }
        sink.lines(&shown(&lines))?;
    }
    match cut.is_whole() {
        true => Ok(()),
        false => Err(CliError::new("the list broke off")),
    }
}

/// Lines of a text that arrives in pieces, without its first line, which is the header.
#[derive(Default)]
struct Cut {
    rest: Vec<u8>,
    had_header: bool,
    header: Option<String>,
}

impl Cut {
    /// The lines that `piece` completes.
    fn whole_lines(&mut self, piece: &[u8]) -> String {
        self.rest.extend_from_slice(piece);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        let text = String::from_utf8_lossy(&whole).into_owned();
        if self.had_header || text.is_empty() {
            return text;
        }
        self.had_header = true;
        let (header, rest) = text.split_once('\n').unwrap_or_default();
        self.header = Some(format!("{header}\n"));
        rest.to_owned()
    }

    fn is_whole(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_pieces() {
        let cases: [(&str, &[&str], &str, bool); 5] = [
            ("at once", &["code\nA\nB\n"], "A\nB\n", true),
            ("anywhere", &["co", "de\nA", "B", "C\nD\n"], "ABC\nD\n", true),
            ("in the header", &["code\n", "A\n"], "A\n", true),
            ("broken off", &["code\nA\nB"], "A\n", false),
            ("none", &["code\n"], "", true),
        ];
        for (case, pieces, want, is_whole) in cases {
            let mut cut = Cut::default();
            let found: String = pieces.iter().map(|it| cut.whole_lines(it.as_bytes())).collect();
            assert_eq!((found.as_str(), cut.is_whole()), (want, is_whole), "{case}");
        }
    }
}
