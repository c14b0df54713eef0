//! What is kept of a code that no coupon has.

/// Characters of an unknown code that are shown at its beginning, and at its end.
const SHOWN: (usize, usize) = (4, 2);

/// Fewest characters that are hidden.
const HIDDEN_MIN: usize = 4;

const HIDDEN: char = '*';

/// A code that no coupon has, without most of its characters: it may be of another shop, or a password. One that is
/// masked already stays as it is.
pub fn masked(code: &str) -> String {
    if code.contains(HIDDEN) {
        return code.to_owned();
    }
    let all = code.chars().filter(char::is_ascii_alphanumeric).count();
    let (first, last) = if all >= SHOWN.0 + SHOWN.1 + HIDDEN_MIN { SHOWN } else { (2, 0) };
    let mut seen = 0;
    let shown = |character: char| {
        if !character.is_ascii_alphanumeric() {
            return character;
        }
        seen += 1;
        if seen <= first || seen > all - last { character } else { HIDDEN }
    };
    code.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_an_unknown_code_is_hidden() {
        let cases = [
            ("as it is printed", "7K2M-9QXD-4TRB-H0VE", "7K2M-****-****-**VE"),
            ("a word", "SUMMER2026", "SUMM****26"),
            ("a short word", "SUMMER202", "SU*******"),
            ("the shortest", "ABCD", "AB**"),
        ];
        for (name, code, want) in cases {
            assert_eq!(masked(code), want, "{name}");
            assert_eq!(masked(&masked(code)), want, "{name}: twice");
        }
    }
}
