//! Marks of direction in what others wrote: the only place that keeps each within its own words.
//!
//! U+202A to U+202E and U+2066 to U+2069 change the order in which people read all that follows, until they are
//! closed (UAX 9). In a reason or a name somebody could open one, or close the one that a sentence has around it, and
//! so turn the words of the console.

/// Begins what is isolated, and ends it.
const ISOLATE: (char, char) = ('\u{2068}', '\u{2069}');

/// Shown for a mark that would reach out: people see that something was there.
const REMOVED: char = char::REPLACEMENT_CHARACTER;

fn is_mark(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text with none of the marks, between two that isolate it.
pub(crate) fn isolated(text: &str) -> String {
    format!("{}{}{}", ISOLATE.0, without_marks(text), ISOLATE.1)
}

/// A page of which no text between two tags has a mark that reaches out of it.
pub(crate) fn contained(html: String) -> String {
    if !html.contains(is_mark) {
        return html;
    }
    let mut page = String::with_capacity(html.len());
    for part in html.split_inclusive('<') {
        // Attributes are before it: none is among the words of a sentence, and a field keeps its value.
        let (tag, text) = part.split_at(part.find('>').map_or(0, |at| at + 1));
        page.push_str(tag);
        if is_closed(text) { page.push_str(text) } else { page.push_str(&without_marks(text)) }
    }
    page
}

/// Whether the marks of a text are those of [`isolated`] texts within it.
fn is_closed(text: &str) -> bool {
    let mut is_open = false;
    for mark in text.chars().filter(|c| is_mark(*c)) {
        if mark != (if is_open { ISOLATE.1 } else { ISOLATE.0 }) {
            return false;
        }
        is_open = !is_open;
    }
    !is_open
}

fn without_marks(text: &str) -> String {
    text.chars().map(|c| if is_mark(c) { REMOVED } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_within_their_words() {
        let cases = [
            ("no marks", "<p>a</p>", "<p>a</p>"),
            ("a sentence", "<p>a \u{2068}b\u{2069} c</p>", "<p>a \u{2068}b\u{2069} c</p>"),
            (
                "two",
                "<p>\u{2068}b\u{2069}\u{2068}c\u{2069}",
                "<p>\u{2068}b\u{2069}\u{2068}c\u{2069}",
            ),
            ("an end too many", "<p><bdi>a\u{2069}</bdi> b", "<p><bdi>a\u{fffd}</bdi> b"),
            ("one not closed", "<bdi>\u{2067}a</bdi>", "<bdi>\u{fffd}a</bdi>"),
            ("closed elsewhere", "<b>\u{2068}a</b>\u{2069}", "<b>\u{fffd}a</b>\u{fffd}"),
            ("an override", "<q>\u{202e}a\u{202c}</q>", "<q>\u{fffd}a\u{fffd}</q>"),
            ("a field", "<input value=\"\u{202e}a\">b", "<input value=\"\u{202e}a\">b"),
        ];
        for (name, page, want) in cases {
            assert_eq!(contained(page.to_owned()), want, "{name}");
        }
        let text = isolated("a\u{2069}\u{202e}b");
        assert_eq!(text, "\u{2068}a\u{fffd}\u{fffd}b\u{2069}");
        assert_eq!(contained(text.clone()), text);
    }
}
