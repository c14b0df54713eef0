//! Coupon codes: the only place where text becomes a [`Code`].
//!
//! A `Code` holds 4 to 64 characters of `A-Z0-9`, without hyphens. Every other module relies on
//! that, so none of them checks a code a second time. A typed text can be a minted code or a
//! *foreign* one, a code of another system. Only the keys and the directory tell which:
//! [`CodeText`] keeps both readings.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Shortest code accepted, in characters. Shorter codes are too easy to guess.
pub const FOREIGN_LEN_MIN: usize = 4;

/// Longest code accepted, in characters. Keeps a partition key below 64 bytes, and has room for a
/// prefix in front of a minted code.
pub const FOREIGN_LEN_MAX: usize = 64;

/// Characters of a minted code: 80 bits at five bits each.
pub const MINTED_LEN: usize = 16;

/// Longest typed text accepted, in bytes, before hyphens and spaces are dropped: the longest code
/// with a hyphen after every character.
pub const TEXT_LEN_MAX: usize = 128;

const _: () = assert!(TEXT_LEN_MAX >= 2 * FOREIGN_LEN_MAX);
const _: () = assert!(FOREIGN_LEN_MIN <= MINTED_LEN && MINTED_LEN < FOREIGN_LEN_MAX);

/// Crockford's base 32: no `I`, `L` and `O`, which are read as digits, and no `U`.
pub const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters between two hyphens of a printed code.
const PRINTED_GROUP: usize = 4;

/// A well-formed code, in upper case and without hyphens. Such a coupon need not exist.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(Box<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    #[error("text of a code has {found} bytes, want at most {TEXT_LEN_MAX}")]
    TextLength { found: usize },
    #[error("code has {found:?} at {at}, want A-Z or 0-9")]
    Character {
        found: char,
        /// Its position in the text, in characters from 0.
        at: usize,
    },
    #[error("code has {found} characters, want {FOREIGN_LEN_MIN} to {FOREIGN_LEN_MAX}")]
    Length { found: usize },
}

impl Code {
    /// The code in upper case, without hyphens.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is as long as a minted code or longer. A foreign code of that length has to be
    /// looked up even if no key opens it.
    pub fn is_long(&self) -> bool {
        self.0.len() >= MINTED_LEN
    }

    /// A minted code as people read it, `PREFIX-7K2M-9QXD-4TRB-H0VE`.
    ///
    /// [`CodeText`] reads back a prefix of at most `FOREIGN_LEN_MAX - MINTED_LEN` characters; with
    /// a longer one the text is no code.
    pub fn printed(&self, prefix: Option<&str>) -> String {
        let prefix_len = prefix.map_or(0, |prefix| prefix.len() + 1);
        let mut text = String::with_capacity(prefix_len + self.0.len() * 5 / PRINTED_GROUP);
        if let Some(prefix) = prefix {
            text.push_str(prefix);
            text.push('-');
        }
        for (at, c) in self.0.chars().enumerate() {
            if at > 0 && at % PRINTED_GROUP == 0 {
                text.push('-');
            }
            text.push(c);
        }
        text
    }

    /// The minted code with these characters, all of them of [`CROCKFORD`].
    pub(crate) fn minted(characters: &[u8; MINTED_LEN]) -> Code {
        debug_assert!(characters.iter().all(|byte| CROCKFORD.contains(byte)));
        Code(characters.iter().map(|byte| char::from(*byte)).collect())
    }
}

impl FromStr for Code {
    type Err = BadCode;

    /// Reads a foreign code: changes ASCII letters to upper case, drops hyphens and spaces.
    fn from_str(text: &str) -> Result<Code, BadCode> {
        if text.len() > TEXT_LEN_MAX {
            return Err(BadCode::TextLength { found: text.len() });
        }
        let is_bare = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if (FOREIGN_LEN_MIN..=FOREIGN_LEN_MAX).contains(&text.len()) && text.bytes().all(is_bare) {
            // The form that every store has: nothing to drop.
            return Ok(Code(text.into()));
        }
        let mut bare = String::with_capacity(text.len());
        for (at, found) in text.chars().enumerate() {
            match found {
                '-' | ' ' => {}
                'A'..='Z' | 'a'..='z' | '0'..='9' => bare.push(found.to_ascii_uppercase()),
                _ => return Err(BadCode::Character { found, at }),
            }
        }
        if !(FOREIGN_LEN_MIN..=FOREIGN_LEN_MAX).contains(&bare.len()) {
            return Err(BadCode::Length { found: bare.len() });
        }
        Ok(Code(bare.into()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text with letters, digits and signs of the usual width: keyboards for Korean and Japanese also make wide ones, as in
/// `ＡＢ－１２`. For what people type; programs send codes as they are.
pub fn half_width(text: &str) -> Cow<'_, str> {
    /// From `！` to `!`, and so for each character up to `~`.
    const DISTANCE: u32 = 0xfee0;
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(u32::from(c) - DISTANCE).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    };
    if text.is_ascii() { Cow::from(text) } else { text.chars().map(narrow).collect() }
}

/// What somebody typed as a code, and the codes that it can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeText(Code);

impl CodeText {
    /// The whole text as a foreign code.
    pub fn foreign(&self) -> &Code {
        &self.0
    }

    /// The last 16 characters as a minted code, with `O` read as 0, and `I` and `L` as 1. `None` if
    /// there are fewer characters, or one that no minted code has. Whether a key opens it is
    /// another question.
    pub fn minted(&self) -> Option<Code> {
        let mut last: [u8; MINTED_LEN] = *self.0.as_str().as_bytes().last_chunk()?;
        for byte in &mut last {
            *byte = match *byte {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                byte if CROCKFORD.contains(&byte) => byte,
                _ => return None,
            };
        }
        Some(Code::minted(&last))
    }

    pub fn is_long(&self) -> bool {
        self.0.is_long()
    }
}

impl From<Code> for CodeText {
    fn from(code: Code) -> CodeText {
        CodeText(code)
    }
}

impl FromStr for CodeText {
    type Err = BadCode;

    fn from_str(text: &str) -> Result<CodeText, BadCode> {
        Ok(CodeText(text.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn foreign_codes() {
        let repeat = |text: &str, count| text.repeat(count);
        let cases = [
            ("as it is", "SUMMER2026".into(), Ok("SUMMER2026")),
            ("lower case", "summer2026".into(), Ok("SUMMER2026")),
            ("hyphens and spaces", " sum-mer  20-26-".into(), Ok("SUMMER2026")),
            ("O, I and L stay", "oil0".into(), Ok("OIL0")),
            ("the shortest", "A-B C-D".into(), Ok("ABCD")),
            ("one too short", "A-B C-".into(), Err(BadCode::Length { found: 3 })),
            ("empty", String::new(), Err(BadCode::Length { found: 0 })),
            ("nothing but hyphens", "----".into(), Err(BadCode::Length { found: 0 })),
            ("one too long", repeat("A", 65), Err(BadCode::Length { found: 65 })),
            ("an underscore", "AB_CD".into(), Err(BadCode::Character { found: '_', at: 2 })),
            ("a tab", "AB\tCD".into(), Err(BadCode::Character { found: '\t', at: 2 })),
            ("outside ASCII", "ÄBCD".into(), Err(BadCode::Character { found: 'Ä', at: 0 })),
            (
                "upper case is ASCII's",
                "ABCDß".into(),
                Err(BadCode::Character { found: 'ß', at: 4 }),
            ),
            ("the longest text", repeat(" ", 124) + "ABCD", Ok("ABCD")),
            (
                "one byte too much text",
                repeat(" ", 125) + "ABCD",
                Err(BadCode::TextLength { found: 129 }),
            ),
        ];
        for (name, text, want) in cases {
            let found = text.parse::<Code>();
            assert_eq!(found.as_ref().map(Code::as_str), want.as_ref().copied(), "{name}");
        }
        let longest = "a-".repeat(FOREIGN_LEN_MAX);
        assert_eq!(longest.parse::<Code>().unwrap().as_str(), "A".repeat(FOREIGN_LEN_MAX));
    }

    #[test]
    fn wide_characters() {
        let cases = [
            ("as usual", "AB-12", "AB-12"),
            ("wide ones", "ＡＢ－１２　ｚ", "AB-12 z"),
            ("the first and the last", "！～", "!~"),
            ("their neighbours", "\u{ff00}｟", "\u{ff00}｟"),
            ("Korean", "쿠폰１", "쿠폰1"),
        ];
        for (name, text, want) in cases {
            assert_eq!(half_width(text), want, "{name}");
        }
    }

    #[test]
    fn typed_text_as_minted() {
        let cases = [
            ("as printed", "7K2M-9QXD-4TRB-H0VE", Some("7K2M9QXD4TRBH0VE")),
            ("look-alikes", "7k2m 9qxd 4trb hOve", Some("7K2M9QXD4TRBH0VE")),
            ("I and L are 1", "IL2M-9QXD-4TRB-H0VE", Some("112M9QXD4TRBH0VE")),
            ("behind a prefix", "OIL-UP-7K2M-9QXD-4TRB-H0VE", Some("7K2M9QXD4TRBH0VE")),
            ("one character short", "7K2M-9QXD-4TRB-H0V", None),
            ("U is no look-alike", "UK2M-9QXD-4TRB-H0VE", None),
            ("U in the prefix only", "U7K2M-9QXD-4TRB-H0VE", Some("7K2M9QXD4TRBH0VE")),
        ];
        for (name, text, want) in cases {
            let text: CodeText = text.parse().unwrap();
            assert_eq!(text.minted().as_ref().map(Code::as_str), want, "{name}");
        }
    }

    #[test]
    fn long_from_sixteen_characters_on() {
        for (text, want) in [("A".repeat(15), false), ("A".repeat(16), true)] {
            assert_eq!(text.parse::<CodeText>().unwrap().is_long(), want, "{text}");
        }
    }

    #[test]
    fn printed_codes() {
        let code: Code = "7K2M9QXD4TRBH0VE".parse().unwrap();
        assert_eq!(code.printed(None), "7K2M-9QXD-4TRB-H0VE");
        assert_eq!(code.printed(Some("SPRING")), "SPRING-7K2M-9QXD-4TRB-H0VE");
        let prefix = "P".repeat(FOREIGN_LEN_MAX - MINTED_LEN);
        let typed: CodeText = code.printed(Some(&prefix)).parse().unwrap();
        assert_eq!(typed.minted(), Some(code.clone()));
        let longer = code.printed(Some(&(prefix + "P")));
        assert_eq!(longer.parse::<CodeText>(), Err(BadCode::Length { found: 65 }));
    }

    #[test]
    fn an_error_says_what_was_found() {
        let cases = [
            ("AB_C".into(), "code has '_' at 2, want A-Z or 0-9"),
            ("ABC".into(), "code has 3 characters, want 4 to 64"),
            ("A".repeat(129), "text of a code has 129 bytes, want at most 128"),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse::<Code>().unwrap_err().to_string(), want);
        }
    }

    proptest! {
        #[test]
        fn a_code_reads_as_itself(text in "[A-Z0-9]{4,64}") {
            let code: Code = text.parse().unwrap();
            prop_assert_eq!(code.as_str(), text.as_str());
            prop_assert_eq!(code.to_string().parse::<Code>(), Ok(code));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,140}") {
            if let Ok(typed) = text.parse::<CodeText>() {
                let again: CodeText = typed.foreign().as_str().parse().unwrap();
                prop_assert_eq!(again.minted(), typed.minted());
            }
        }
    }
}
