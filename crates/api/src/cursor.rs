//! Cursors: where a page ended, as a text that is worth nothing beside another query.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon::time::Millis;
use engine::TieBreaker;
use xxhash_rust::xxh3::xxh3_64;

use crate::problem::{Problem, Result};

/// Longest cursor looked at, in bytes; ours have about 150.
pub(crate) const CURSOR_BYTES_MAX: usize = 512;

/// The cursor behind `position` in the list that `query` describes.
pub(crate) fn cursor(query: &str, position: &[&str]) -> String {
    let text = serde_json::json!([format!("{:016x}", xxh3_64(query.as_bytes())), position]);
    URL_SAFE_NO_PAD.encode(text.to_string())
}

/// The cursor behind an item of a list over both tiers, which is in the order of an instant.
pub(crate) fn tied(query: &str, at: Millis, tie: &TieBreaker) -> String {
    let (tier, tie) = match tie {
        TieBreaker::Hot(number) => ("hot", number.to_string()),
        TieBreaker::Cold(code) => ("cold", code.to_string()),
    };
    cursor(query, &[&at.0.to_string(), tier, &tie])
}

pub(crate) fn tied_position(query: &str, text: &str) -> Result<(Millis, TieBreaker)> {
    let words = position(query, text)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let position = match words.as_slice() {
        [at, "hot", number] => at.parse().ok().zip(number.parse().ok().map(TieBreaker::Hot)),
        [at, "cold", code] => at.parse().ok().zip(code.parse().ok().map(TieBreaker::Cold)),
        _ => None,
    };
    position.map(|(at, tie)| (Millis(at), tie)).ok_or_else(other)
}

/// The answer to a cursor that no page of this list ended with.
pub(crate) fn other() -> Problem {
    Problem::of_field("cursor", "is of another list, or damaged")
}

pub(crate) fn position(query: &str, cursor: &str) -> Result<Vec<String>> {
    if cursor.len() > CURSOR_BYTES_MAX {
        return Err(other());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| other())?;
    let (hash, words): (String, Vec<String>) =
        serde_json::from_slice(&bytes).map_err(|_| other())?;
    if hash == format!("{:016x}", xxh3_64(query.as_bytes())) { Ok(words) } else { Err(other()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_bound_to_its_query() {
        let made = cursor("holder=ann", &["17", "ABCD"]);
        assert_eq!(position("holder=ann", &made).unwrap(), ["17", "ABCD"]);
        let damaged = made.replace('A', "B");
        let cases = [
            ("another query", "holder=bob", made.as_str()),
            ("damaged", "holder=ann", damaged.get(1..).unwrap()),
            ("not base64", "holder=ann", "%%%"),
            ("too long", "holder=ann", &"A".repeat(CURSOR_BYTES_MAX + 1)),
            ("empty", "holder=ann", ""),
        ];
        for (name, query, text) in cases {
            assert!(position(query, text).is_err(), "{name}");
        }
    }
}
