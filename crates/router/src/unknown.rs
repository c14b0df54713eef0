//! What is known of a code that no coupon has.

use coupon::code::{CROCKFORD, Code, CodeText, MINTED_LEN};
use coupon::minted::CodeKey;

use crate::openings::home;

coupon::words! {
    /// What may be behind a code that no coupon has.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Unknown {
        /// A minted code with one wrong character, or two neighbours changed for each other.
        Mistyped = "mistyped",
        /// It looks like a minted code and is none, also not with one character otherwise: of another
        /// shop, or invented.
        Forged = "forged",
        /// It does not look like a minted code; or it is one, and belongs to no batch that is here.
        Other = "other",
    }
}

/// Tries 511 codes: about 0.1 ms for each key.
pub(crate) fn unknown(keys: &[CodeKey], text: &CodeText) -> Unknown {
    match text.minted() {
        Some(code) if home(keys, &code).is_none() => match meant(keys, &code) {
            Some(_) => Unknown::Mistyped,
            None => Unknown::Forged,
        },
        Some(_) | None => Unknown::Other,
    }
}

/// The minted code of which `code` has one wrong character, or two neighbours changed for each other.
pub(crate) fn meant(keys: &[CodeKey], code: &Code) -> Option<Code> {
    let opens = |characters: &[u8; MINTED_LEN]| {
        let text = std::str::from_utf8(characters).unwrap_or_default();
        text.parse::<Code>().ok().filter(|code| home(keys, code).is_some())
    };
    let right = <[u8; MINTED_LEN]>::try_from(code.as_str().as_bytes()).ok()?;
    let mut tried = right;
    for at in 0..MINTED_LEN {
        for character in CROCKFORD.iter().filter(|it| **it != right[at]) {
            tried[at] = *character;
            if let Some(code) = opens(&tried) {
                return Some(code);
            }
        }
        tried = right;
        if at > 0 {
            tried.swap(at - 1, at);
            if let Some(code) = opens(&tried).filter(|_| tried != right) {
                return Some(code);
            }
            tried = right;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use coupon::time::Day;

    use super::*;

    #[test]
    fn what_an_unknown_code_may_be() {
        let keys = [CodeKey::new([7; 16]), CodeKey::new([9; 16])];
        let code = keys[1].mint(Day(20_800), 120);
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = code.as_str().as_bytes().to_vec();
            change(&mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        let other = |byte: u8| if byte == b'7' { b'8' } else { b'7' };
        let first = changed(&|bytes| bytes[0] = other(bytes[0]));
        let last = changed(&|bytes| bytes[15] = other(bytes[15]));
        let two = changed(&|bytes| {
            bytes[0] = other(bytes[0]);
            bytes[15] = other(bytes[15]);
        });
        let at =
            (1..16).find(|at| code.as_str().as_bytes()[*at] != code.as_str().as_bytes()[at - 1]);
        let swapped = changed(&|bytes| bytes.swap(at.unwrap() - 1, at.unwrap()));
        let cases = [
            ("of a key", code.as_str().to_owned(), Unknown::Other),
            ("a wrong first character", first.clone(), Unknown::Mistyped),
            ("a wrong last character", last, Unknown::Mistyped),
            ("behind a prefix", format!("AA{first}"), Unknown::Mistyped),
            ("two wrong characters", two, Unknown::Forged),
            ("two neighbours changed", swapped, Unknown::Mistyped),
            ("a short word", "SUMMER".to_owned(), Unknown::Other),
            ("a letter that no minted code has", "U".repeat(16), Unknown::Other),
        ];
        for (name, text, want) in cases {
            assert_eq!(unknown(&keys, &text.parse().unwrap()), want, "{name}");
        }
    }
}
