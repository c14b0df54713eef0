//! The ids of users, which are words of the shop: a number, an e-mail address, 김철수.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::BadName;

/// Longest `user_id` or `login_id`, in bytes of UTF-8: 128 letters of English, 42 of Korean.
pub const USER_LEN_MAX: usize = 128;

const WANT: &str = "letters, digits, marks and symbols, without spaces";

/// A user, in the words of the shop: 1 to [`USER_LEN_MAX`] bytes of visible characters in the normal form C of
/// Unicode, without spaces.
///
/// Two texts that look the same because one has its accents as characters of their own (a Mac writes file names so)
/// are one user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
// Shared: many coupons have one holder.
pub struct UserId(Arc<str>);

impl UserId {
    /// Its text, in normal form C.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<UserId, BadName> {
        // Most are ASCII, and each row of a store comes through here.
        if (1..=USER_LEN_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !matches!(text, "." | "..")
        {
            return Ok(UserId(text.into()));
        }
        // Normal form C may be longer, at most three times; nothing much longer than the limit is looked at.
        let text = match text.len() > USER_LEN_MAX * 4 {
            true => Cow::Borrowed(text),
            false => ComposingNormalizerBorrowed::new_nfc().normalize(text),
        };
        if !(1..=USER_LEN_MAX).contains(&text.len()) {
            return Err(BadName::Bytes { found: text.len(), max: USER_LEN_MAX });
        }
        if let "." | ".." = text.as_ref() {
            // A client removes these from a path before it sends it, so nobody could ask for the name.
            return Err(BadName::Character { found: '.', at: 0, want: WANT });
        }
        match text.chars().enumerate().find(|(_, c)| !is_visible(*c)) {
            Some((at, found)) => Err(BadName::Character { found, at, want: WANT }),
            None => Ok(UserId(text.as_ref().into())),
        }
    }
}

/// A letter of Braille without a dot: a symbol by its category, and a space to the eye.
const BRAILLE_BLANK: char = '\u{2800}';

/// Whether people see a character, and every release of Unicode takes it for the same.
fn is_visible(c: char) -> bool {
    // What is left of bytes that are no UTF-8: many users would become one.
    if c == char::REPLACEMENT_CHARACTER || c == BRAILLE_BLANK {
        return false;
    }
    // Fillers of Hangul and variation selectors are letters and marks by their category, and show nothing: one user
    // could look like another.
    if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
        return false;
    }
    match CodePointMapData::<GeneralCategory>::new().get(c) {
        GeneralCategory::SpaceSeparator
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator
        // Marks of direction among them, with which one name can look like another.
        | GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::PrivateUse
        | GeneralCategory::Surrogate
        // Normal form C is the same for ever only for characters that exist already.
        | GeneralCategory::Unassigned => false,
        _ => true,
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_texts_are_users() {
        let at_limit = format!("{}ab", "가".repeat(42));
        let past_limit = format!("{}abc", "가".repeat(42));
        let cases: [(&str, &str, Result<&str, &str>); 26] = [
            ("an e-mail address", "ann@example.com", Ok("ann@example.com")),
            ("Korean", "김철수", Ok("김철수")),
            ("Korean in letters", "\u{1100}\u{1161}", Ok("가")),
            ("an accent of its own", "e\u{301}va", Ok("éva")),
            ("an emoji", "😀", Ok("😀")),
            ("letters from right to left", "שרה", Ok("שרה")),
            ("at the limit", &at_limit, Ok(&at_limit)),
            ("past the limit", &past_limit, Err("has 129 bytes, want 1 to 128")),
            ("nothing", "", Err("has 0 bytes, want 1 to 128")),
            ("a space", "김 철수", Err("has ' ' at 1")),
            ("a wide space", "김\u{3000}철수", Err("has '\\u{3000}' at 1")),
            ("a mark of direction", "ann\u{202e}", Err("has '\\u{202e}' at 3")),
            ("a space of no width", "ann\u{200b}", Err("has '\\u{200b}' at 3")),
            ("a grapheme joiner", "ann\u{34f}", Err("has '\\u{34f}' at 3")),
            ("a filler of first letters", "\u{115f}ann", Err("has '\u{115f}' at 0")),
            ("a filler of vowels", "ann\u{1160}", Err("has '\u{1160}' at 3")),
            ("a filler of Hangul", "김\u{3164}철수", Err("has '\u{3164}' at 1")),
            ("a narrow filler", "ann\u{ffa0}", Err("has '\u{ffa0}' at 3")),
            ("a variation selector", "❤\u{fe0f}", Err("has '\\u{fe0f}' at 1")),
            ("one of the other plane", "ann\u{e0100}", Err("has '\\u{e0100}' at 3")),
            ("Braille without a dot", "ann\u{2800}", Err("has '\u{2800}' at 3")),
            ("a line", "ann\nbob", Err("has '\\n' at 3")),
            ("no character yet", "\u{378}", Err("has '\\u{378}' at 0")),
            ("private use", "\u{e000}", Err("has '\\u{e000}' at 0")),
            ("what was no UTF-8", "a\u{fffd}", Err("has '\u{fffd}' at 1")),
            ("a dot", "..", Err("has '.' at 0")),
        ];
        for (name, text, want) in cases {
            let found = text.parse::<UserId>().map_err(|error| error.to_string());
            match want {
                Ok(want) => assert_eq!(found.as_ref().map(UserId::as_str), Ok(want), "{name}"),
                Err(want) => {
                    let error = found.expect_err(name);
                    assert!(error.starts_with(want), "{name}: {error}");
                }
            }
        }
        let huge = "\u{fb2c}".repeat(1_000_000);
        assert!(huge.parse::<UserId>().is_err());
    }
}
