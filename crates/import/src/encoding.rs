//! Text encodings of an imported file: the only place that knows any besides UTF-8.
//!
//! Detection reads the head of a file and is conservative. A head that is valid UTF-8 is UTF-8; of
//! the older encodings only CP949 is detected, by text that is mostly Hangul. The caller has to
//! name any other encoding. A line that does not decode is rejected alone; no line is ever imported
//! with replaced characters. Absent on purpose: lines, and what they mean.

use std::fmt;
use std::str::FromStr;

use encoding_rs::{EUC_KR, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

/// Names of CP949 that the Encoding Standard does not have.
const CP949: [&str; 4] = ["cp949", "ms949", "uhc", "949"];

/// Longest name of an encoding that an error repeats, in characters.
const FOUND_LEN_MAX: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextEncoding(&'static encoding_rs::Encoding);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is {0:?}, want utf-8, cp949, euc-kr, utf-16le, utf-16be, shift_jis, gb18030, big5 or \
     another name of the Encoding Standard"
)]
pub struct BadEncoding(String);

impl TextEncoding {
    pub const UTF_8: TextEncoding = TextEncoding(UTF_8);
    /// CP949, which has all of EUC-KR.
    pub const CP949: TextEncoding = TextEncoding(EUC_KR);
    /// UTF-16, little-endian: what Excel calls "Unicode text".
    pub const UTF_16LE: TextEncoding = TextEncoding(UTF_16LE);
    pub const UTF_16BE: TextEncoding = TextEncoding(UTF_16BE);

    /// [`FromStr`] takes it back.
    pub fn name(self) -> &'static str {
        if self == TextEncoding::CP949 { "CP949" } else { self.0.name() }
    }

    /// Whether each character, a line end too, has two bytes or more.
    pub fn is_utf16(self) -> bool {
        self == TextEncoding::UTF_16LE || self == TextEncoding::UTF_16BE
    }

    /// The bytes of the byte-order mark; empty for encodings without one.
    pub fn mark(self) -> &'static [u8] {
        let marks: [&[u8]; 3] = [b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"];
        let is_own = |mark: &&[u8]| marked(mark) == Some(self);
        marks.into_iter().find(is_own).unwrap_or_default()
    }

    /// `None` if any byte does not decode.
    pub fn decoded(self, raw: &[u8]) -> Option<String> {
        let text = self.0.decode_without_bom_handling_and_without_replacement(raw)?;
        Some(text.into_owned())
    }

    /// The text of `raw` for people, with U+FFFD for what does not decode.
    pub fn shown(self, raw: &[u8]) -> String {
        self.0.decode_without_bom_handling(raw).0.into_owned()
    }

    /// UTF-8 if nothing in `head` points to another one.
    pub fn detected(head: &[u8]) -> TextEncoding {
        if let Some(marked) = marked_utf16(head) {
            return marked;
        }
        if head.contains(&0) {
            return utf16_without_mark(head).unwrap_or(TextEncoding::UTF_8);
        }
        match std::str::from_utf8(head) {
            Ok(_) => TextEncoding::UTF_8,
            // The end of the head cuts a character.
            Err(error) if error.error_len().is_none() => TextEncoding::UTF_8,
            Err(_) if is_hangul(head) => TextEncoding::CP949,
            Err(_) => TextEncoding::UTF_8,
        }
    }

    /// The encoding that the caller named, with the byte order of the file's own mark.
    pub fn named(self, head: &[u8]) -> TextEncoding {
        match marked_utf16(head) {
            Some(marked) if self.is_utf16() => marked,
            _ => self,
        }
    }
}

/// The encoding whose byte-order mark `head` begins with.
fn marked(head: &[u8]) -> Option<TextEncoding> {
    encoding_rs::Encoding::for_bom(head).map(|(encoding, _)| TextEncoding(encoding))
}

fn marked_utf16(head: &[u8]) -> Option<TextEncoding> {
    marked(head).filter(|encoding| encoding.is_utf16())
}

/// UTF-16 by its ASCII characters: a file of coupons is full of digits, commas and line ends. At
/// least a quarter of all characters must be ASCII in one byte order, and none in the other.
fn utf16_without_mark(head: &[u8]) -> Option<TextEncoding> {
    let whole = &head[..head.len() & !1];
    let ascii = |high: usize| {
        let is_text = |low: u8| low.is_ascii_graphic() || b" \t\r\n".contains(&low);
        whole.chunks_exact(2).filter(|unit| unit[high] == 0 && is_text(unit[1 - high])).count()
    };
    let (little, big) = (ascii(1), ascii(0));
    let encoding = match (little, big) {
        (1.., 0) => TextEncoding::UTF_16LE,
        (0, 1..) => TextEncoding::UTF_16BE,
        _ => return None,
    };
    let is_enough = (little + big) * 4 >= whole.len() / 2;
    let is_text = encoding.decoded(whole).is_some_and(|text| !text.contains('\0'));
    (is_enough && is_text).then_some(encoding)
}

/// Whether everything in the head that is not ASCII decodes as CP949, and at least three quarters
/// of it are Hangul of KS X 1001. Wide letters and digits, as codes are typed with, say nothing. UTF-8
/// that is read as CP949 fails this: half of it is ideographs and rare syllables.
fn is_hangul(head: &[u8]) -> bool {
    let (mut hangul, mut others) = (0_usize, 0_usize);
    let mut rest = head;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if first.is_ascii() {
            continue;
        }
        // The second half comes after the head.
        let [second, tail @ ..] = rest else { break };
        if TextEncoding::CP949.decoded(&[*first, *second]).is_none() {
            return false;
        }
        rest = tail;
        match (first, second) {
            (0xB0..=0xC8, 0xA1..) => hangul += 1,
            (0xA3, 0xA1..) => {}
            _ => others += 1,
        }
    }
    hangul > 0 && hangul >= 3 * others
}

impl fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TextEncoding {
    type Err = BadEncoding;

    fn from_str(text: &str) -> Result<TextEncoding, BadEncoding> {
        if CP949.iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Ok(TextEncoding::CP949);
        }
        // In these a line end can be half of another character, or nothing decodes at all.
        let unfit = [ISO_2022_JP, REPLACEMENT, X_USER_DEFINED];
        let known = encoding_rs::Encoding::for_label(text.as_bytes());
        let known = known.filter(|known| !unfit.contains(known)).map(TextEncoding);
        known.ok_or_else(|| BadEncoding(text.chars().take(FOUND_LEN_MAX).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cp949(text: &str) -> Vec<u8> {
        EUC_KR.encode(text).0.into_owned()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    const KOREAN: &str = "쿠폰번호,만료일\n가나다-1,20261231\n";

    #[test]
    fn detection() {
        let cut = "쿠폰번호".as_bytes();
        let spoilt = [KOREAN.as_bytes(), b"caf\xE9\n"].concat();
        let mixed = [&cp949(KOREAN)[..], b"\xFF\n"].concat();
        let marked = [b"\xFF\xFE", &utf16(KOREAN, u16::to_le_bytes)[..]].concat();
        let marked_big = [b"\xFE\xFF", &utf16(KOREAN, u16::to_be_bytes)[..]].concat();
        let cases: [(&str, &[u8], TextEncoding); 21] = [
            ("nothing", b"", TextEncoding::UTF_8),
            ("ASCII", b"code,expires_at\nABCD,20261231\n", TextEncoding::UTF_8),
            ("UTF-8", KOREAN.as_bytes(), TextEncoding::UTF_8),
            ("UTF-8 with a mark", "\u{feff}쿠폰번호".as_bytes(), TextEncoding::UTF_8),
            ("UTF-8 cut in a character", &cut[..cut.len() - 1], TextEncoding::UTF_8),
            ("UTF-8 with a spoilt line", &spoilt, TextEncoding::UTF_8),
            ("Latin-1", b"caf\xE9,b\n", TextEncoding::UTF_8),
            ("Latin-1 before a letter", b"\xC4A,b\n", TextEncoding::UTF_8),
            ("Japanese in Shift_JIS", b"\x83N\x81[\x83|\x83\x93\n", TextEncoding::UTF_8),
            ("Chinese in GBK", b"\xD3\xC5\xBB\xDD\xC2\xEB\n", TextEncoding::UTF_8),
            ("CP949", &cp949(KOREAN), TextEncoding::CP949),
            ("CP949 cut in a character", &cp949(KOREAN)[..3], TextEncoding::CP949),
            ("CP949 with a rare syllable", &cp949("쿠폰번호,똠방각하\n"), TextEncoding::CP949),
            (
                "CP949 with a wide code",
                &cp949("상태\nＡＡＡＡ１１１１,미사용\n"),
                TextEncoding::CP949,
            ),
            ("CP949 with a spoilt line", &mixed, TextEncoding::UTF_8),
            ("UTF-16LE with a mark", &marked, TextEncoding::UTF_16LE),
            ("UTF-16BE with a mark", &marked_big, TextEncoding::UTF_16BE),
            ("UTF-16LE", &utf16(KOREAN, u16::to_le_bytes), TextEncoding::UTF_16LE),
            ("UTF-16BE", &utf16(KOREAN, u16::to_be_bytes), TextEncoding::UTF_16BE),
            ("UTF-16LE cut in a character", b"c\0o\0d\0e", TextEncoding::UTF_16LE),
            ("a zero byte in ASCII", b"ABCDEFGHIJK\0", TextEncoding::UTF_8),
        ];
        for (name, head, want) in cases {
            assert_eq!(TextEncoding::detected(head), want, "{name}");
        }
    }

    /// Whatever Korean text there is: UTF-8 is never read as anything else, at any length.
    #[test]
    fn utf8_is_always_utf8() {
        let syllables: Vec<char> = ('가'..='힣').collect();
        for chunk in syllables.chunks(7) {
            let text: String = chunk.iter().chain(&[',', '1', '\n']).collect();
            for len in 0..=text.len() {
                let head = &text.as_bytes()[..len];
                assert_eq!(
                    TextEncoding::detected(head),
                    TextEncoding::UTF_8,
                    "{text:?} cut at {len}"
                );
            }
        }
    }

    #[test]
    fn names() {
        let cases = [
            ("utf-8", Some("UTF-8")),
            ("UTF8", Some("UTF-8")),
            ("cp949", Some("CP949")),
            ("CP949", Some("CP949")),
            ("euc-kr", Some("CP949")),
            ("ks_c_5601-1987", Some("CP949")),
            ("utf-16", Some("UTF-16LE")),
            ("utf-16be", Some("UTF-16BE")),
            ("shift_jis", Some("Shift_JIS")),
            ("gb18030", Some("gb18030")),
            ("windows-1252", Some("windows-1252")),
            ("iso-2022-jp", None),
            ("iso-2022-kr", None),
            ("x-user-defined", None),
            ("korean please", None),
            ("", None),
        ];
        for (name, want) in cases {
            let found = name.parse::<TextEncoding>();
            assert_eq!(found.as_ref().ok().map(|it| it.name()), want, "{name}");
            let again = found.map(|it| it.name().parse::<TextEncoding>().is_ok());
            assert!(again.unwrap_or(true), "{name} is taken back");
        }
        assert_eq!(TextEncoding::UTF_16LE.named(b"\xFE\xFF"), TextEncoding::UTF_16BE);
        assert_eq!(TextEncoding::CP949.named(b"\xFE\xFF"), TextEncoding::CP949);
    }

    #[test]
    fn a_bad_sequence_does_not_decode() {
        let cases: [(&str, TextEncoding, &[u8]); 5] = [
            ("UTF-8", TextEncoding::UTF_8, b"a\xFF"),
            ("CP949, half a character", TextEncoding::CP949, b"a\xB0"),
            ("CP949, no such pair", TextEncoding::CP949, b"\xC9\x41"),
            ("UTF-16, half a pair", TextEncoding::UTF_16LE, b"\x00\xD8a\0"),
            ("UTF-16, half a unit", TextEncoding::UTF_16LE, b"a\0b"),
        ];
        for (name, encoding, raw) in cases {
            assert_eq!(encoding.decoded(raw), None, "{name}");
            assert!(encoding.shown(raw).contains('\u{fffd}'), "{name}");
        }
    }
}
