//! Words of the shop: the id of a user, the name of an order or of a request. A number, an e-mail address, 김철수,
//! 주문-991.

use std::borrow::Cow;
use std::sync::Arc;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::BadName;

/// Longest `user_id`, `login_id`, `order_ref`, `issue_ref` or `revoke_ref`, in bytes of UTF-8: 128 letters of
/// English, 42 of Korean.
pub const WORD_LEN_MAX: usize = 128;

// An `issue_ref` may name the code that it replaces.
const _: () = assert!(WORD_LEN_MAX >= "replaces:".len() + crate::code::FOREIGN_LEN_MAX);

const WANT: &str = "letters, digits, marks and symbols, without spaces";

/// A text of 1 to [`WORD_LEN_MAX`] bytes of visible characters, without spaces, in the normal form C of Unicode.
///
/// Two texts that look the same because one has its accents as characters of their own (a Mac writes file names so)
/// are one word.
pub(super) fn word(text: &str) -> Result<Arc<str>, BadName> {
    // Most are ASCII, and each row of a store comes through here.
    if (1..=WORD_LEN_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !matches!(text, "." | "..")
    {
        return Ok(text.into());
    }
    // Normal form C may be longer, at most three times; nothing much longer than the limit is looked at.
    let text = match text.len() > WORD_LEN_MAX * 4 {
        true => Cow::Borrowed(text),
        false => ComposingNormalizerBorrowed::new_nfc().normalize(text),
    };
    if !(1..=WORD_LEN_MAX).contains(&text.len()) {
        return Err(BadName::Bytes { found: text.len(), max: WORD_LEN_MAX });
    }
    if let "." | ".." = text.as_ref() {
        // A client removes these from a path before it sends it, so nobody could ask for the name.
        return Err(BadName::Character { found: '.', at: 0, want: WANT });
    }
    match text.chars().enumerate().find(|(_, c)| !is_visible(*c)) {
        Some((at, found)) => Err(BadName::Character { found, at, want: WANT }),
        None => Ok(text.as_ref().into()),
    }
}

/// A letter of Braille without a dot: a symbol by its category, and a space to the eye.
const BRAILLE_BLANK: char = '\u{2800}';

/// Whether people see a character, and every release of Unicode takes it for the same.
fn is_visible(c: char) -> bool {
    // What is left of bytes that are no UTF-8: many words would become one.
    if c == char::REPLACEMENT_CHARACTER || c == BRAILLE_BLANK {
        return false;
    }
    // Fillers of Hangul and variation selectors are letters and marks by their category, and show nothing: one word
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

#[cfg(test)]
mod tests {
    use super::super::{IssueRef, OrderRef, RevokeRef, RotateRef, UserId};
    use super::*;

    #[test]
    fn which_texts_are_words() {
        let at_limit = format!("{}ab", "가".repeat(42));
        let past_limit = format!("{}abc", "가".repeat(42));
        let cases: [(&str, &str, Result<&str, &str>); 28] = [
            ("an e-mail address", "ann@example.com", Ok("ann@example.com")),
            ("Korean", "김철수", Ok("김철수")),
            ("an order in Korean", "주문/991", Ok("주문/991")),
            ("a colon in full width", "replaces：x", Ok("replaces：x")),
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
            let of_kind = [
                text.parse::<UserId>().map(|it| it.to_string()),
                text.parse::<OrderRef>().map(|it| it.to_string()),
                text.parse::<IssueRef>().map(|it| it.to_string()),
                text.parse::<RevokeRef>().map(|it| it.to_string()),
                text.parse::<RotateRef>().map(|it| it.to_string()),
            ];
            for found in of_kind {
                match (want, found.map_err(|error| error.to_string())) {
                    (Ok(want), found) => assert_eq!(found.as_deref(), Ok(want), "{name}"),
                    (Err(want), found) => {
                        let error = found.expect_err(name);
                        assert!(error.starts_with(want), "{name}: {error}");
                    }
                }
            }
        }
        let huge = "\u{fb2c}".repeat(1_000_000);
        assert!(word(&huge).is_err());
    }
}
