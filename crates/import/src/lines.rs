//! Lines of an import: the only place where bytes that arrive in pieces become numbered lines.
//!
//! A file is refused as a whole only if it is no CSV at all ([`sniff()`]). A fault of one line,
//! such as its length or its encoding, rejects that line alone; the other lines are read as if it
//! were not there. Absent on purpose: files, sockets, and what a line means.

mod line;
mod sniff;

use super::encoding::Encoding;

pub use line::{LONG_LINE_SHOWN_MAX, Line};
pub use sniff::{NotCsv, SNIFF_LEN, sniff};

/// Longest line, in bytes without its line end. All columns at their limits have about 400 bytes,
/// so this is a wide margin. A longer line is no coupon but a file without line ends, which must
/// not fill the memory.
pub const LINE_LEN_MAX: usize = 4_096;

/// Longest byte-order mark, in bytes: that of UTF-8.
const MARK_LEN_MAX: usize = 3;

/// Bytes kept of a line before its end arrives: a line at the limit, with a mark and a `\r` of two
/// bytes.
const RAW_LEN_MAX: usize = LINE_LEN_MAX + MARK_LEN_MAX + 2;

/// Splits bytes that arrive in chunks of any size into lines. Where the chunks end makes no
/// difference.
///
/// Lines end with `\n` or `\r\n`; a byte-order mark at the start is dropped. Each line is decoded
/// by itself, so bytes that do not decode are the fault of one line. Keeps the chunks that were
/// pushed since [`Lines::next_line`] last returned `None`, and at most one started line of
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

impl Lines {
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

    /// The next line whose end was pushed; `None` until there is one.
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
                // Half of a unit of two bytes waits for the other half.
                let whole = unread.len() / width * width;
                start(&mut self.started, &unread[..whole]);
                self.read += whole;
                None
            }
        }
    }

    /// The next line after the last bytes were pushed; the last one may have no line end. After
    /// `None` there are no more.
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
        Line::of(self.taken, raw, self.encoding)
    }
}

/// Where the first line end of `unread` begins, and how many bytes it has. In every encoding except
/// UTF-16, the byte `\n` is never half of another character.
fn line_end(unread: &[u8], encoding: Encoding) -> (Option<usize>, usize) {
    if !encoding.is_utf16() {
        return (unread.iter().position(|b| *b == b'\n'), 1);
    }
    let newline = unit(b'\n', encoding);
    (unread.chunks_exact(2).position(|unit| unit == newline).map(|at| at * 2), 2)
}

/// The bytes of a line-end character in an encoding.
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

/// Adds bytes to a started line. One byte past the limit is kept, as the proof that the line is too
/// long.
fn start(started: &mut Vec<u8>, bytes: &[u8]) {
    let room = RAW_LEN_MAX + 1 - started.len();
    started.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use super::super::record::RowError;
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::of(Encoding::UTF_8);
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
        let mut lines = Lines::of(Encoding::UTF_8);
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
        let mut lines = Lines::of(Encoding::UTF_8);
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
