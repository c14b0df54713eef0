//! Lines of an import: the only place where bytes that arrive in pieces become numbered lines.
//!
//! A file is refused as a whole only when it is no CSV at all ([`sniff`]). Whatever is wrong with
//! one line, its length and its encoding too, is that line's fault, and the lines after it are
//! read as if it were not there. Absent on purpose: files, sockets, and what a line means.

use super::encoding::Encoding;
use super::record::RowError;

/// Longest line, in bytes without its line end. All columns at their limits make about 400, so
/// ten times that is a wide margin; what is longer is no line of coupons but a file without line
/// ends, and must not fill the memory.
pub const LINE_LEN_MAX: usize = 4_096;

/// How much of an over-long line is kept for the report, in bytes: enough to recognise it by.
pub const LONG_LINE_SHOWN_MAX: usize = 200;

/// How many bytes [`sniff`] looks at: every signature lies in the first few, and UTF-16 without
/// a byte-order mark has its zero bytes everywhere.
pub const SNIFF_LEN: usize = 1_024;

/// Longest byte-order mark, in bytes: that of UTF-8.
const MARK_LEN_MAX: usize = 3;

/// What is kept of a line before its end is seen: with a mark and a `\r` of two bytes a line at the
/// limit fits.
const RAW_LEN_MAX: usize = LINE_LEN_MAX + MARK_LEN_MAX + 2;

const _: () = assert!(LONG_LINE_SHOWN_MAX <= LINE_LEN_MAX);

/// What a file is instead of a CSV, and what its sender can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCsv {
    /// A zip archive with a workbook in it.
    #[error("this is an Excel workbook; save it as CSV UTF-8 and send that")]
    Workbook,
    /// The format before xlsx.
    #[error("this is an old Excel workbook (xls); save it as CSV UTF-8 and send that")]
    OldWorkbook,
    /// Any other zip archive.
    #[error("this is a zip archive; unpack it and send the CSV that is in it")]
    Zip,
    /// A gzip stream.
    #[error("this is gzip; unpack it and send the CSV that is in it")]
    Gzip,
    /// Zero bytes: no text, or text in an encoding that is not recognised.
    #[error(
        "this has zero bytes in it, as a binary file has; save it as CSV UTF-8, or name its \
         encoding if it is UTF-16"
    )]
    ZeroBytes,
    /// A PDF document.
    #[error("this is a PDF document; export the codes as CSV UTF-8 and send that")]
    Pdf,
    /// A Parquet file.
    #[error("this is a Parquet file; export it as CSV UTF-8 and send that")]
    Parquet,
    /// JSON or JSON lines.
    #[error("this looks like JSON; convert it to CSV UTF-8 with a column `code` and send that")]
    Json,
    /// A page, very often that of a login or of an error.
    #[error("this is an HTML or XML page, often an error page saved as a file; send the CSV")]
    Html,
    /// Lines that end with `\r` alone.
    #[error("the lines end as on an old Mac (CR alone); save it with Unix or Windows line ends")]
    OldMac,
}

/// The encoding of a file that begins with `head`, if it can be a CSV: `named`, or the one that is
/// detected. Only the first [`SNIFF_LEN`] bytes count.
///
/// # Errors
/// [`NotCsv`] for what is plainly something else. No code that could be imported is mistaken for
/// a signature: a file may begin with the coupon `PK1234` or `PAR12345`.
pub fn sniff(head: &[u8], named: Option<Encoding>) -> Result<Encoding, NotCsv> {
    let head = &head[..head.len().min(SNIFF_LEN)];
    if let Some(other) = binary_kind(head) {
        return Err(other);
    }
    let encoding = match named {
        Some(encoding) => encoding.named(head),
        None => Encoding::detected(head),
    };
    let text = encoding.shown(head.strip_prefix(encoding.mark()).unwrap_or(head));
    if text.contains('\0') {
        return Err(NotCsv::ZeroBytes);
    }
    match text_kind(text.as_bytes()) {
        Some(other) => Err(other),
        None => Ok(encoding),
    }
}

fn binary_kind(head: &[u8]) -> Option<NotCsv> {
    let begins = |signature: &[u8]| head.starts_with(signature);
    if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") || begins(b"PK\x07\x08") {
        return Some(if is_workbook(head) { NotCsv::Workbook } else { NotCsv::Zip });
    }
    if begins(b"\xD0\xCF\x11\xE0") {
        return Some(NotCsv::OldWorkbook);
    }
    if begins(b"\x1F\x8B") {
        return Some(NotCsv::Gzip);
    }
    if begins(b"PAR1") && head.iter().any(|b| b.is_ascii_control() && !b.is_ascii_whitespace()) {
        return Some(NotCsv::Parquet);
    }
    begins(b"%PDF").then_some(NotCsv::Pdf)
}

/// An xlsx names one of these in its first entries.
fn is_workbook(head: &[u8]) -> bool {
    let names = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    names(b"[Content_Types].xml") || names(b"_rels/.rels") || names(b"xl/")
}

fn text_kind(head: &[u8]) -> Option<NotCsv> {
    match head.trim_ascii_start().first() {
        Some(b'{' | b'[') => return Some(NotCsv::Json),
        Some(b'<') => return Some(NotCsv::Html),
        Some(_) | None => {}
    }
    // A `\r` at the very end may have its `\n` behind it.
    let inner = &head[..head.len().saturating_sub(1)];
    (inner.contains(&b'\r') && !head.contains(&b'\n')).then_some(NotCsv::OldMac)
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts the file's lines from 1, the header and empty ones included.
    pub number: u64,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    Undecoded { shown: String, error: RowError },
    TooLong { shown: String },
}

impl Line {
    /// The text of the line, without its line end.
    ///
    /// # Errors
    /// [`RowError::TooLong`], or else [`RowError::NotUtf8`] or [`RowError::Encoding`].
    pub fn text(&self) -> Result<&str, RowError> {
        match &self.content {
            Content::Text(text) => Ok(text),
            Content::Undecoded { error, .. } => Err(error.clone()),
            Content::TooLong { .. } => Err(RowError::TooLong),
        }
    }

    /// The line as a report can show it: what does not decode as U+FFFD, and of an over-long line
    /// the first [`LONG_LINE_SHOWN_MAX`] bytes.
    pub fn shown(&self) -> &str {
        match &self.content {
            Content::Text(shown)
            | Content::Undecoded { shown, .. }
            | Content::TooLong { shown } => shown,
        }
    }
}

/// Splits bytes that arrive in chunks of any size into lines; where the chunks end makes no
/// difference.
///
/// Lines end with `\n` or `\r\n`; a byte-order mark at the start is dropped. Each line is decoded
/// by itself, so that what does not decode is the fault of one line. Keeps the chunks that were
/// pushed since [`Lines::next_line`] last answered `None`, and at most one started line of
/// [`LINE_LEN_MAX`].
#[derive(Debug)]
pub struct Lines {
    encoding: Encoding,
    waiting: Vec<u8>,
    /// How much of `waiting` has been read.
    read: usize,
    started: Vec<u8>,
    taken: u64,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::of(Encoding::UTF_8)
    }
}

impl Lines {
    /// A splitter at the start of a file in UTF-8.
    pub fn new() -> Lines {
        Lines::default()
    }

    /// A splitter at the start of a file.
    pub fn of(encoding: Encoding) -> Lines {
        Lines { encoding, waiting: Vec::new(), read: 0, started: Vec::new(), taken: 0 }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, chunk: &[u8]) {
        self.waiting.drain(..self.read);
        self.read = 0;
        self.waiting.extend_from_slice(chunk);
    }

    /// The next line whose end has been pushed; `None` until there is one.
    pub fn next_line(&mut self) -> Option<Line> {
        let unread = &self.waiting[self.read..];
        let (end, width) = line_end(unread, self.encoding);
        match end {
            Some(len) => {
                start(&mut self.started, &unread[..len]);
                self.read += len + width;
                Some(self.take())
            }
            None => {
                // Half of a unit of two bytes waits for its other half.
                let whole = unread.len() / width * width;
                start(&mut self.started, &unread[..whole]);
                self.read += whole;
                None
            }
        }
    }

    /// The next line when no more bytes come: those not taken yet, then one that has no line end.
    /// After `None` there are none.
    pub fn finish(&mut self) -> Option<Line> {
        let line = self.next_line();
        if line.is_some() {
            return line;
        }
        start(&mut self.started, &self.waiting[self.read..]);
        self.read = self.waiting.len();
        let only_mark = self.taken == 0 && self.started == self.encoding.mark();
        (!self.started.is_empty() && !only_mark).then(|| self.take())
    }

    fn take(&mut self) -> Line {
        let mut raw = std::mem::take(&mut self.started);
        let carriage_return = unit(b'\r', self.encoding);
        if raw.ends_with(carriage_return) {
            raw.truncate(raw.len() - carriage_return.len());
        }
        if self.taken == 0 && raw.starts_with(self.encoding.mark()) {
            raw.drain(..self.encoding.mark().len());
        }
        self.taken += 1;
        Line { number: self.taken, content: content_of(raw, self.encoding) }
    }
}

/// Where the first line end of `unread` begins, and how many bytes it has. In every encoding but
/// UTF-16 the byte `\n` is never half of another character.
fn line_end(unread: &[u8], encoding: Encoding) -> (Option<usize>, usize) {
    if !encoding.is_utf16() {
        return (unread.iter().position(|b| *b == b'\n'), 1);
    }
    let newline = unit(b'\n', encoding);
    (unread.chunks_exact(2).position(|unit| unit == newline).map(|at| at * 2), 2)
}

/// A line-end character in an encoding.
fn unit(ascii: u8, encoding: Encoding) -> &'static [u8] {
    let [narrow, little, big]: [&[u8]; 3] = match ascii {
        b'\r' => [b"\r", b"\r\0", b"\0\r"],
        _ => [b"\n", b"\n\0", b"\0\n"],
    };
    if !encoding.is_utf16() {
        return narrow;
    }
    if encoding == Encoding::UTF_16LE { little } else { big }
}

/// Adds to a started line. One byte past the limit is kept as the proof that it is over-long.
fn start(started: &mut Vec<u8>, bytes: &[u8]) {
    let room = RAW_LEN_MAX + 1 - started.len();
    started.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

fn content_of(raw: Vec<u8>, encoding: Encoding) -> Content {
    if raw.len() > LINE_LEN_MAX {
        let mut shown = encoding.shown(&raw);
        shown.truncate(shown.floor_char_boundary(LONG_LINE_SHOWN_MAX));
        return Content::TooLong { shown };
    }
    if encoding != Encoding::UTF_8 {
        return match encoding.decoded(&raw) {
            Some(text) => Content::Text(text),
            None => Content::Undecoded {
                shown: encoding.shown(&raw),
                error: RowError::Encoding { encoding: encoding.name() },
            },
        };
    }
    match String::from_utf8(raw) {
        Ok(text) => Content::Text(text),
        Err(error) => Content::Undecoded {
            shown: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            error: RowError::NotUtf8 { at: error.utf8_error().valid_up_to() },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            found.extend(std::iter::from_fn(|| lines.next_line()));
        }
        found.extend(std::iter::from_fn(|| lines.finish()));
        found
    }

    /// `n:text`, or `n!WORD`.
    fn brief(lines: &[Line]) -> Vec<String> {
        let brief = |line: &Line| match line.text() {
            Ok(text) => format!("{}:{text}", line.number),
            Err(error) => format!("{}!{}", line.number, error.as_str()),
        };
        lines.iter().map(brief).collect()
    }

    fn tricky() -> Vec<u8> {
        let mut file = Vec::new();
        file.extend_from_slice(b"\xEF\xBB\xBFcode,state\r\n");
        file.extend_from_slice(b"AAAA1111\n\n\r\nB\xC3\xA4\xE2\x82\xAC\n\xFF\xFE\nA\rB\r\r\n");
        for len in [LINE_LEN_MAX, LINE_LEN_MAX + 1, 3 * LINE_LEN_MAX] {
            file.extend(std::iter::repeat_n(b'x', len));
            file.extend_from_slice(b"\r\n");
        }
        file.extend_from_slice(b"\xEF\xBB\xBFlate\nlast\r");
        file
    }

    #[test]
    fn lines_of_a_file() {
        let at_limit = "x".repeat(LINE_LEN_MAX);
        let marked = format!("\u{feff}{at_limit}\r\nb");
        let past_limit = format!("{at_limit}x\nb");
        let marked_past = format!("\u{feff}{at_limit}x\r\nb");
        let marked_more = format!("\u{feff}{at_limit}\rx\nb");
        let cases: [(&str, &[u8], &[&str]); 18] = [
            ("nothing", b"", &[]),
            ("a byte-order mark alone", b"\xEF\xBB\xBF", &[]),
            ("half a mark", b"\xEF\xBB", &["1!NOT_UTF8"]),
            ("a mark and an empty line", b"\xEF\xBB\xBF\n", &["1:"]),
            ("with a last newline", b"a\nb\n", &["1:a", "2:b"]),
            ("without one", b"a\nb", &["1:a", "2:b"]),
            ("Windows", b"a\r\nb\r\n", &["1:a", "2:b"]),
            ("a carriage return at the very end", b"a\r\nb\r", &["1:a", "2:b"]),
            ("a carriage return inside stays", b"a\rb\n", &["1:a\rb"]),
            ("of two only the last goes", b"a\r\r\n", &["1:a\r"]),
            ("empty lines count", b"a\n\n\r\nb", &["1:a", "2:", "3:", "4:b"]),
            ("a mark later on is text", b"a\n\xEF\xBB\xBFb", &["1:a", "2:\u{feff}b"]),
            ("not UTF-8 is one line's fault", b"a\n\xE4\nb", &["1:a", "2!NOT_UTF8", "3:b"]),
            ("a character cut by the end", b"a\xC3", &["1!NOT_UTF8"]),
            ("at the limit", marked.as_bytes(), &[&format!("1:{at_limit}"), "2:b"]),
            ("past the limit", past_limit.as_bytes(), &["1!TOO_LONG", "2:b"]),
            ("past the limit with a mark", marked_past.as_bytes(), &["1!TOO_LONG", "2:b"]),
            ("past it by what is no line end", marked_more.as_bytes(), &["1!TOO_LONG", "2:b"]),
        ];
        for (name, file, want) in cases {
            assert_eq!(brief(&split(&[file])), want, "{name}");
        }
    }

    #[test]
    fn what_a_report_shows() {
        let euros = "€".repeat(LINE_LEN_MAX);
        let one_past = "x".repeat(LINE_LEN_MAX + 1);
        let cases: [(&str, &[u8], &str); 4] = [
            ("text as it is", b"a,b", "a,b"),
            ("what is not UTF-8 as a sign", b"caf\xE9,b", "caf\u{fffd},b"),
            ("an over-long line cut", one_past.as_bytes(), &one_past[..LONG_LINE_SHOWN_MAX]),
            ("and never within a character", euros.as_bytes(), &euros[..198]),
        ];
        for (name, file, want) in cases {
            assert_eq!(split(&[file])[0].shown(), want, "{name}");
        }
        assert_eq!(split(&[b"ab\xFF"])[0].text(), Err(RowError::NotUtf8 { at: 2 }));
    }

    #[test]
    fn the_tricky_file() {
        let long = format!("8:{}", "x".repeat(LINE_LEN_MAX));
        let want = [
            "1:code,state",
            "2:AAAA1111",
            "3:",
            "4:",
            "5:Bä€",
            "6!NOT_UTF8",
            "7:A\rB\r",
            &long,
            "9!TOO_LONG",
            "10!TOO_LONG",
            "11:\u{feff}late",
            "12:last",
        ];
        assert_eq!(brief(&split(&[&tricky()])), want);
    }

    #[test]
    fn every_split_in_two_gives_the_same_lines() {
        let file = tricky();
        let want = split(&[&file]);
        for at in 0..=file.len() {
            assert_eq!(split(&[&file[..at], &file[at..]]), want, "split at {at}");
        }
    }

    #[test]
    fn byte_by_byte_gives_the_same_lines() {
        let file = tricky();
        let bytes: Vec<&[u8]> = file.chunks(1).collect();
        assert_eq!(split(&bytes), split(&[&file]));
    }

    fn splitmix64(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The lines when a chunk is pushed before all lines of the one before it were taken.
    fn split_lazily(file: &[u8], random: &mut u64) -> Vec<Line> {
        let mut lines = Lines::new();
        let mut found = Vec::new();
        let mut rest = file;
        while !rest.is_empty() {
            let scale = 1 << (splitmix64(random) % 14);
            let len = rest.len().min((splitmix64(random) % scale) as usize);
            lines.push(&rest[..len]);
            rest = &rest[len..];
            for _ in 0..splitmix64(random) % 3 {
                found.extend(lines.next_line());
            }
        }
        found.extend(std::iter::from_fn(|| lines.finish()));
        found
    }

    #[test]
    fn any_chunks_give_the_same_lines() {
        let file = tricky();
        let want = split(&[&file]);
        for seed in 0..500 {
            assert_eq!(split_lazily(&file, &mut { seed }), want, "seed {seed}");
        }
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let mut lines = Lines::new();
        for _ in 0..1_000 {
            lines.push(&[b'x'; 65_536]);
            assert_eq!(lines.next_line(), None);
        }
        assert!(lines.started.len() <= RAW_LEN_MAX + 1, "{} bytes", lines.started.len());
        assert!(lines.waiting.capacity() <= 4 * 65_536, "{} bytes", lines.waiting.capacity());
        lines.push(b"\nnext\n");
        assert_eq!(brief(&[lines.next_line().unwrap()]), ["1!TOO_LONG"]);
        assert_eq!(brief(&[lines.next_line().unwrap()]), ["2:next"]);
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn what_is_no_csv() {
        let far_zero = [&[b'A'; SNIFF_LEN][..], b"\0"].concat();
        let near_zero = [&[b'A'; SNIFF_LEN - 1][..], b"\0"].concat();
        const UTF_8: Result<Encoding, NotCsv> = Ok(Encoding::UTF_8);
        let cases: [(&str, &[u8], Result<Encoding, NotCsv>); 38] = [
            ("nothing", b"", UTF_8),
            ("a header", b"code,state\n", UTF_8),
            ("a marked header", b"\xEF\xBB\xBFcode\r\n", UTF_8),
            ("no line end", b"ABCD1234", UTF_8),
            ("Latin-1 is for the lines to say", b"code\n\xE4\n", UTF_8),
            ("a code like a zip", b"PK123456\n", UTF_8),
            ("a code like Parquet", b"PAR1ABCD\r\n", UTF_8),
            ("a code like Parquet, with a tab", b"PAR1ABCD\t\r\n", UTF_8),
            ("a code like a PDF", b"PDF14567\n", UTF_8),
            ("quoted", b"\"ABCD\"\n", UTF_8),
            ("xlsx", b"PK\x03\x04\x14\0[Content_Types].xml", Err(NotCsv::Workbook)),
            ("xlsx, other order", b"PK\x03\x04\x14\0xl/workbook.xml", Err(NotCsv::Workbook)),
            ("xlsx, relations first", b"PK\x03\x04\x14\0_rels/.rels", Err(NotCsv::Workbook)),
            ("zip", b"PK\x03\x04\x14\0codes.csv", Err(NotCsv::Zip)),
            ("an empty zip", b"PK\x05\x06\0\0", Err(NotCsv::Zip)),
            ("a zip in parts", b"PK\x07\x08\0\0", Err(NotCsv::Zip)),
            ("xls", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Err(NotCsv::OldWorkbook)),
            ("gzip", b"\x1F\x8B\x08\0", Err(NotCsv::Gzip)),
            ("UTF-16 LE", b"\xFF\xFEc\0o\0", Ok(Encoding::UTF_16LE)),
            ("UTF-16 BE", b"\xFE\xFF\0c\0o", Ok(Encoding::UTF_16BE)),
            ("UTF-16 without a mark", b"c\0o\0d\0e\0", Ok(Encoding::UTF_16LE)),
            ("JSON in UTF-16", b"\xFF\xFE[\0]\0", Err(NotCsv::Json)),
            ("UTF-32", b"\xFF\xFE\0\0c\0\0\0", Err(NotCsv::ZeroBytes)),
            ("a zero byte at the limit", &near_zero, Err(NotCsv::ZeroBytes)),
            ("a zero byte past it", &far_zero, UTF_8),
            ("PDF", b"%PDF-1.7\n", Err(NotCsv::Pdf)),
            ("Parquet", b"PAR1\x15\x04\x15\x80", Err(NotCsv::Parquet)),
            ("a JSON object", b"{\"code\": 1}", Err(NotCsv::Json)),
            ("a JSON list, indented", b"\xEF\xBB\xBF\n  [1]", Err(NotCsv::Json)),
            ("HTML", b"\r\n<!doctype html>", Err(NotCsv::Html)),
            ("XML", b"<?xml version=\"1.0\"?>", Err(NotCsv::Html)),
            ("old Mac", b"code\rABCD1234\r", Err(NotCsv::OldMac)),
            ("old Mac, empty lines", b"code\r\r", Err(NotCsv::OldMac)),
            ("a head cut between \\r and \\n", b"code\r", UTF_8),
            ("Windows", b"code\r\nABCD1234\r\n", UTF_8),
            ("twice converted", b"code\r\r\nABCD1234\r\r\n", UTF_8),
            ("one stray carriage return", b"code\nAB\rCD\n", UTF_8),
            ("blank", b" \n \n", UTF_8),
        ];
        for (name, head, want) in cases {
            assert_eq!(sniff(head, None), want, "{name}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert_eq!(
            NotCsv::Workbook.to_string(),
            "this is an Excel workbook; save it as CSV UTF-8 and send that"
        );
    }
}
