//! Texts of a token: which may be a name, and how much of one an error repeats.

/// Longest piece of a token repeated in an error, in characters.
const ECHO_CHARS_MAX: usize = 64;

pub(super) fn visible(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn echo(text: &str) -> String {
    text.chars().take(ECHO_CHARS_MAX).collect()
}
