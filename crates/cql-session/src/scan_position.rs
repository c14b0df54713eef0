//! The position of a page in a scan, as a text.

use crate::{Result, damaged};

pub(crate) fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes_of(text: &str) -> Result<Vec<u8>> {
    let pairs = (0..text.len() / 2).map(|at| text.get(2 * at..2 * at + 2).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(damaged)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back() {
        for bytes in [&[] as &[u8], &[0, 1, 0xff], b"state"] {
            assert_eq!(bytes_of(&text_of(bytes)).ok().as_deref(), Some(bytes));
        }
        assert!(bytes_of("zz").is_err());
    }
}
