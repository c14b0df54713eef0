//! Records of an import: the only place where bytes that arrive in pieces become numbered records.
//!
//! A record is one line, or several if a quoted cell has line ends in it (RFC 4180). A file is
//! refused as a whole only if it is no CSV at all ([`sniff()`]). A fault of one record, such as its
//! length or its encoding, rejects that record alone; the others are read as if it were not there.
//! Absent on purpose: files, sockets, and what a record means.

mod line;
mod sniff;

use super::encoding::TextEncoding;
use super::quotes::{ByteKind, QuoteState};
use super::row_error::LINE_LEN_MAX;

pub use line::{FileLine, LONG_LINE_SHOWN_MAX, REJECTED_TEXT_MAX};
pub use sniff::{NotCsv, SNIFF_LEN, sniff};

/// Most lines of one record. Excel allows 253 line ends in a cell, so a record with more has a quote
/// that is never closed. It is rejected as a whole, and reading goes on after it: without a bound,
/// one stray quote would take the rest of the file with it.
pub const RECORD_LINES_MAX: u64 = 300;

/// The characters that can separate cells, while the first record has not said which one does.
const SEPARATORS: &[u8] = b",;\t";

/// Longest byte-order mark, in bytes: that of UTF-8.
const MARK_LEN_MAX: usize = 3;

/// Bytes kept of a record before its end arrives: one at the limit, with a mark and a `\r` of two
/// bytes.
const RAW_LEN_MAX: usize = LINE_LEN_MAX + MARK_LEN_MAX + 2;

/// Splits bytes that arrive in chunks of any size into records. Where the chunks end makes no
/// difference.
///
/// Lines end with `\n` or `\r\n`; a byte-order mark at the start is dropped. Each record is decoded
/// by itself, so bytes that do not decode are the fault of one record. Keeps the chunks that were
/// pushed since [`RecordSplitter::next_line`] last returned `None`, and at most [`LINE_LEN_MAX`] of the
/// started record, however many lines it has.
#[derive(Debug)]
pub struct RecordSplitter {
    encoding: TextEncoding,
    separator: Option<u8>,
    waiting: Vec<u8>,
    /// How much of `waiting` has been read.
    read: usize,
    started: Vec<u8>,
    quoting: QuoteState,
    /// Line ends in the quoted cells of the started record.
    inner: u64,
    /// Whether text after the end of a quoted cell shows that its quote was none.
    is_stray: bool,
    /// Lines of the records that were taken.
    taken: u64,
}

impl RecordSplitter {
    pub fn of(encoding: TextEncoding) -> RecordSplitter {
        RecordSplitter {
            encoding,
            separator: None,
            waiting: Vec::new(),
            read: 0,
            started: Vec::new(),
            quoting: QuoteState::Start,
            inner: 0,
            is_stray: false,
            taken: 0,
        }
    }

    /// From now on only this character, one of ASCII, begins the next cell.
    pub(super) fn separate_by(&mut self, separator: char) {
        self.separator = u8::try_from(separator).ok();
    }

    pub fn push(&mut self, chunk: &[u8]) {
        self.waiting.drain(..self.read);
        self.read = 0;
        self.waiting.extend_from_slice(chunk);
    }

    /// The next record whose end was pushed; `None` until there is one.
    pub fn next_line(&mut self) -> Option<FileLine> {
        let width = if self.encoding.is_utf16() { 2 } else { 1 };
        // Half of a unit of two bytes waits for the other half.
        let end = self.read + (self.waiting.len() - self.read) / width * width;
        let (begin, mark) = (self.read, self.encoding.mark());
        for at in (begin..end).step_by(width) {
            let unit = &self.waiting[at..at + width];
            let found = ascii(unit, self.encoding);
            let before = self.started.len() + at - begin;
            let is_mark = mark.get(before..before + width) == Some(unit);
            if found == Some(b'\n') && self.ends_record() {
                start(&mut self.started, &self.waiting[begin..at]);
                self.read = at + width;
                return Some(self.take());
            }
            // Also the mark of a second file that was joined to the first.
            let kind = if is_mark { ByteKind::Blank } else { self.kind_of(found) };
            self.is_stray |= self.inner > 0 && self.quoting.is_stray(kind);
            self.quoting = self.quoting.after(kind);
        }
        start(&mut self.started, &self.waiting[begin..end]);
        self.read = end;
        None
    }

    /// The next record after the last bytes were pushed; the last one may have no line end. After
    /// `None` there are no more.
    pub fn finish(&mut self) -> Option<FileLine> {
        let line = self.next_line();
        if line.is_some() {
            return line;
        }
        start(&mut self.started, &self.waiting[self.read..]);
        self.read = self.waiting.len();
        let only_mark = self.taken == 0 && self.started == self.encoding.mark();
        (!self.started.is_empty() && !only_mark).then(|| self.take())
    }

    /// Asked of each line end found; counts it if it is inside a quoted cell.
    fn ends_record(&mut self) -> bool {
        let is_inner = self.quoting == QuoteState::Quoted && self.inner + 1 < RECORD_LINES_MAX;
        self.inner += u64::from(is_inner);
        !is_inner
    }

    fn kind_of(&self, found: Option<u8>) -> ByteKind {
        match found {
            Some(b'"') => ByteKind::Quote,
            Some(byte) if self.separator.map_or(SEPARATORS.contains(&byte), |it| it == byte) => {
                ByteKind::Separator
            }
            Some(b' ' | b'\t' | b'\r') => ByteKind::Blank,
            Some(_) | None => ByteKind::Other,
        }
    }

    fn take(&mut self) -> FileLine {
        let mut raw = std::mem::take(&mut self.started);
        let carriage_return = carriage_return(self.encoding);
        if raw.ends_with(carriage_return) {
            raw.truncate(raw.len() - carriage_return.len());
        }
        if self.taken == 0 && raw.starts_with(self.encoding.mark()) {
            raw.drain(..self.encoding.mark().len());
        }
        let (number, inner) = (self.taken + 1, std::mem::take(&mut self.inner));
        self.taken = number + inner;
        let is_open = std::mem::take(&mut self.quoting) == QuoteState::Quoted;
        let is_stray = std::mem::take(&mut self.is_stray);
        let line = FileLine::of(number, raw, self.encoding);
        if inner > 0 && (is_open || is_stray) { line.with_open_quote(self.taken) } else { line }
    }
}

/// The character of a unit, if it is one of ASCII. In every encoding except UTF-16, a byte that could
/// be a quote, a separator or a line end is never half of another character.
fn ascii(unit: &[u8], encoding: TextEncoding) -> Option<u8> {
    let byte = match *unit {
        [byte] => byte,
        [byte, 0] if encoding == TextEncoding::UTF_16LE => byte,
        [0, byte] if encoding == TextEncoding::UTF_16BE => byte,
        _ => return None,
    };
    byte.is_ascii().then_some(byte)
}

fn carriage_return(encoding: TextEncoding) -> &'static [u8] {
    if !encoding.is_utf16() {
        return b"\r";
    }
    if encoding == TextEncoding::UTF_16LE { b"\r\0" } else { b"\0\r" }
}

/// Adds bytes to a started record. One byte past the limit is kept, as the proof that it is too long.
fn start(started: &mut Vec<u8>, bytes: &[u8]) {
    let room = RAW_LEN_MAX + 1 - started.len();
    started.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use super::super::row_error::RowError;
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<FileLine> {
        split_as(TextEncoding::UTF_8, chunks)
    }

    fn split_as(encoding: TextEncoding, chunks: &[&[u8]]) -> Vec<FileLine> {
        let mut lines = RecordSplitter::of(encoding);
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            found.extend(std::iter::from_fn(|| lines.next_line()));
        }
        found.extend(std::iter::from_fn(|| lines.finish()));
        found
    }

    /// `n:text`, or `n!WORD`.
    fn brief(lines: &[FileLine]) -> Vec<String> {
        let brief = |line: &FileLine| match line.text() {
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

    /// A record ends at a line end that is not in a quoted cell.
    #[test]
    fn records() {
        let cases: [(&str, &[u8], &[&str]); 14] = [
            ("a line end in a cell", b"a,\"b\nc\"\nd", &["1:a,\"b\nc\"", "3:d"]),
            ("of Windows", b"a,\"b\r\nc\"\r\nd", &["1:a,\"b\r\nc\"", "3:d"]),
            ("blank lines in a cell", b"\"a\n\n\nb\"\nc", &["1:\"a\n\n\nb\"", "5:c"]),
            ("a doubled quote", b"\"a\"\"\nb\"\nc", &["1:\"a\"\"\nb\"", "3:c"]),
            ("an empty quoted cell", b"\"\",a\nb", &["1:\"\",a", "2:b"]),
            ("a quote within a cell", b"a\"b\nc\"d\n", &["1:a\"b", "2:c\"d"]),
            ("a blank before the quote", b"a, \"b\nc\"\nd", &["1:a, \"b\nc\"", "3:d"]),
            ("after semicolons", b"a;\"b\nc\"\nd", &["1:a;\"b\nc\"", "3:d"]),
            ("after a mark", b"\xEF\xBB\xBF\"a\nb\"\nc", &["1:\"a\nb\"", "3:c"]),
            (
                "after a second mark",
                b"x\n\xEF\xBB\xBF\"a\nb\"\nc",
                &["1:x", "2:\u{feff}\"a\nb\"", "4:c"],
            ),
            ("a quote that is never closed", b"a\nb,\"c\nd\ne", &["1:a", "2!QUOTE"]),
            ("a stray quote before a quoted cell", b"a,\"b\nc,\"d\"\ne", &["1!QUOTE", "3:e"]),
            ("an open quote in the last line", b"a\n\"b", &["1:a", "2:\"b"]),
            ("text after a quoted cell in one line", b"\"a\"b\nc", &["1:\"a\"b", "2:c"]),
        ];
        for (name, file, want) in cases {
            assert_eq!(brief(&split(&[file])), want, "{name}");
            let bytes: Vec<&[u8]> = file.chunks(1).collect();
            assert_eq!(brief(&split(&bytes)), want, "{name}, byte by byte");
        }
    }

    /// One stray quote rejects as many lines as a cell can have, and no more.
    #[test]
    fn an_open_quote_does_not_take_the_rest_of_the_file() {
        let file = |lines: u64, end: &str| {
            format!("a\nb,\"{}{end}\nlast", "x\n".repeat(lines as usize - 1))
        };
        let closed = split(&[file(RECORD_LINES_MAX, "x\"").as_bytes()]);
        assert_eq!(closed.len(), 3, "at the limit");
        assert!(closed[1].text().is_ok());
        let last = RECORD_LINES_MAX + 1;
        let open = split(&[file(RECORD_LINES_MAX, "x").as_bytes()]);
        assert_eq!(open[1].text(), Err(RowError::OpenQuote { last }));
        assert_eq!((open[2].number, open[2].text()), (last + 1, Ok("last")));
        let past = split(&[file(RECORD_LINES_MAX + 1, "x\"").as_bytes()]);
        assert_eq!(past[1].text(), Err(RowError::OpenQuote { last }), "past the limit");
        let separated = |separator: char| {
            let mut lines = RecordSplitter::of(TextEncoding::UTF_8);
            lines.separate_by(separator);
            lines.push(b"a;\"b\nc\"\n");
            std::iter::from_fn(|| lines.finish()).count()
        };
        assert_eq!(
            (separated(';'), separated(',')),
            (1, 2),
            "only its own separator begins a cell"
        );
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

    /// The lines of a file in UTF-16 do not depend on the ends of its chunks.
    #[test]
    fn utf16_in_pieces() {
        let file: Vec<u8> = "\u{feff}쿠폰번호\r\n\u{0A0D}만\u{0D0A}\r\nABCD\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        let split = |pieces: &[&[u8]]| {
            let lines = split_as(TextEncoding::UTF_16BE, pieces).into_iter();
            lines.map(|line| line.shown().to_owned()).collect::<Vec<_>>()
        };
        let want = ["쿠폰번호", "\u{0A0D}만\u{0D0A}", "ABCD"];
        for at in 0..=file.len() {
            assert_eq!(split(&[&file[..at], &file[at..]]), want, "split at {at}");
        }
        let bytes: Vec<&[u8]> = file.chunks(1).collect();
        assert_eq!(split(&bytes), want, "byte by byte");
        assert_eq!(split(&[&file, b"\0"]), ["쿠폰번호", "\u{0A0D}만\u{0D0A}", "ABCD", "\u{fffd}"]);
    }

    fn splitmix64(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The lines when a chunk is pushed before all lines of the one before it were taken.
    fn split_lazily(file: &[u8], random: &mut u64) -> Vec<FileLine> {
        let mut lines = RecordSplitter::of(TextEncoding::UTF_8);
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
    fn any_chunks_of_the_tricky_file_give_the_same_lines() {
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
        let file = tricky();
        let whole = split(&[&file]);
        assert_eq!(brief(&whole), want);
        for at in 0..=file.len() {
            assert_eq!(split(&[&file[..at], &file[at..]]), whole, "split at {at}");
        }
        let bytes: Vec<&[u8]> = file.chunks(1).collect();
        assert_eq!(split(&bytes), whole, "byte by byte");
        for seed in 0..500 {
            assert_eq!(split_lazily(&file, &mut { seed }), whole, "seed {seed}");
        }
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let mut lines = RecordSplitter::of(TextEncoding::UTF_8);
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
}
