//! Text of others on a terminal, which obeys some characters instead of showing them: they can
//! colour, move and overwrite what was printed before, and set the title of the window.

use std::borrow::Cow;
use std::fmt::Write;

/// The controls that a text of several lines needs.
pub const LAYOUT: &[char] = &['\n', '\t'];

/// `text` with an escape in place of each control but those `kept`, and of each character that
/// changes the direction of what follows. In JSON the escape is the same character.
pub fn printable<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_shown = |c: char| kept.contains(&c) || !(c.is_control() || is_directional(c));
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_shown(c) {
            true => shown.push(c),
            // A `String` takes everything.
            false => drop(write!(shown, "\\u{:04x}", u32::from(c))),
        }
    }
    Cow::Owned(shown)
}

/// The bidirectional controls of Unicode, and its separators of lines.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let cases: [(&str, &str, &[char], &str); 8] = [
            ("words", "봄 2027 é", &[], "봄 2027 é"),
            ("a colour", "\u{1b}[31mred", LAYOUT, "\\u001b[31mred"),
            ("a title", "\u{1b}]0;x\u{7}", LAYOUT, "\\u001b]0;x\\u0007"),
            ("the same in one byte", "\u{9b}31m\u{7f}", LAYOUT, "\\u009b31m\\u007f"),
            ("over what was printed", "ok\rFAIL\u{8}", LAYOUT, "ok\\u000dFAIL\\u0008"),
            ("backwards", "\u{202e}nimda\u{2069}", LAYOUT, "\\u202enimda\\u2069"),
            ("lines", "a\tb\n", LAYOUT, "a\tb\n"),
            ("lines in a cell", "a\tb\n", &[], "a\\u0009b\\u000a"),
        ];
        for (name, text, kept, want) in cases {
            assert_eq!(printable(text, kept), want, "{name}");
        }
        let json = serde_json::to_string("\u{9b}\u{202e}\n").unwrap();
        let back: String = serde_json::from_str(&printable(&json, &[])).unwrap();
        assert_eq!(back, "\u{9b}\u{202e}\n", "in JSON nothing is lost");
    }
}
