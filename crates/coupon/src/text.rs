//! Texts of callers in answers.

/// The first `chars_max` characters of a text, and `…` if there are more: an answer repeats what somebody sent so
/// that they know it again, and is no copy of it.
pub fn clipped(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_and_none_is_cut() {
        let cases = [
            ("empty", "", ""),
            ("as long as allowed", "쿠폰은", "쿠폰은"),
            ("longer by one", "쿠폰은행", "쿠폰은…"),
        ];
        for (name, text, expected) in cases {
            assert_eq!(clipped(text, 3), expected, "{name}");
        }
    }
}
