//! How much of a text of a token an error repeats.

/// Longest piece of a token repeated in an error, in characters.
const ECHO_CHARS_MAX: usize = 64;

pub(super) fn echo(text: &str) -> String {
    text.chars().take(ECHO_CHARS_MAX).collect()
}
