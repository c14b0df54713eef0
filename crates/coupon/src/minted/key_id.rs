//! Key ids: the names of code keys.

use std::fmt;
use std::str::FromStr;

/// The name of a code key, computed from the key: the first four bytes of a zero block enciphered
/// under it, the usual check value of a key. It reveals nothing about the key. Printed as 8
/// lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyId {
    #[error("key id has {found} bytes, want 8")]
    Length { found: usize },
    #[error("key id has {found:?} at {at}, want 0-9 or a-f")]
    Character {
        found: char,
        /// Its position, from 0.
        at: usize,
    },
}

impl FromStr for KeyId {
    type Err = BadKeyId;

    fn from_str(text: &str) -> Result<KeyId, BadKeyId> {
        if text.len() != 8 {
            return Err(BadKeyId::Length { found: text.len() });
        }
        let mut id = 0;
        for (at, found) in text.chars().enumerate() {
            match found.to_digit(16) {
                Some(digit) if !found.is_ascii_uppercase() => id = id << 4 | digit,
                _ => return Err(BadKeyId::Character { found, at }),
            }
        }
        Ok(KeyId(id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids() {
        let cases = [
            ("all digits", "0123abcd", Ok(KeyId(0x0123_abcd))),
            ("the highest", "ffffffff", Ok(KeyId(u32::MAX))),
            ("too short", "0123abc", Err(BadKeyId::Length { found: 7 })),
            ("too long", "0123abcd0", Err(BadKeyId::Length { found: 9 })),
            ("upper case", "0123Abcd", Err(BadKeyId::Character { found: 'A', at: 4 })),
            ("a sign", "+123abcd", Err(BadKeyId::Character { found: '+', at: 0 })),
        ];
        for (name, text, want) in cases {
            assert_eq!(text.parse::<KeyId>(), want, "{name}");
        }
    }
}
