//! The coupons and users of a run. Each is computed from a number, so no list is needed, a run can
//! continue where another one ended, and a peer can get the same coupons.

/// Characters of a code: 60 bits. Fewer than sixteen, so that a code never looks minted.
pub const CODE_CHARS: usize = 12;

/// Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How often the halves of a number are mixed: after three rounds neighbours are unrelated.
const ROUNDS: u64 = 4;

/// A prime larger than any stock, so that they have no common factor.
const STRIDE: u128 = 1_000_000_000_039;

/// How the names of users follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum UserOrder {
    /// As in real life: the next one is somewhere else in every index.
    #[default]
    Scattered,
    /// The next one is the last one in every index, which is easier for a server.
    Ascending,
}

impl UserOrder {
    /// The user who holds coupon `number`.
    ///
    /// # Panics
    /// If the number is 2⁶⁰ or larger.
    pub fn user(self, number: u64) -> String {
        match self {
            UserOrder::Scattered => format!("u{}", code(number)),
            UserOrder::Ascending => format!("u{number:010}"),
        }
    }

    /// One line of a file to import: coupon `number`, issued to its user.
    ///
    /// # Panics
    /// If the number is 2⁶⁰ or larger.
    pub fn line(self, number: u64) -> String {
        format!("{},issued,{}\n", code(number), self.user(number))
    }
}

/// The code of coupon `number`: different for each number below 2⁶⁰, and as random as the codes of
/// a real shop, so that neighbours are far apart in every index.
///
/// # Panics
/// If the number is larger.
pub fn code(number: u64) -> String {
    const HALF: u64 = (1 << 30) - 1;
    assert!(number < 1 << 60, "there are 2^60 codes");
    // A Feistel network: two numbers never give the same code.
    let (mut left, mut right) = (number >> 30, number & HALF);
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ (mixed(right ^ (round << 32)) & HALF));
    }
    let bits = left << 30 | right;
    let character = |at: usize| char::from(ALPHABET[(bits >> (5 * at)) as usize & 31]);
    (0..CODE_CHARS).rev().map(character).collect()
}

/// The `nth` of `count` coupons to change: each once, in a scattered order.
///
/// # Panics
/// Without coupons.
pub fn shuffled(nth: u64, count: u64) -> u64 {
    (u128::from(nth) * STRIDE % u128::from(count)) as u64
}

/// Header of the lines of [`line`].
pub const HEADER: &str = "code,state,user_id\n";

/// `splitmix64` (Steele, Lea and Flood 2014).
pub(crate) fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_codes_are_equal() {
        let codes: HashSet<String> = (0..200_000).map(code).collect();
        assert_eq!(codes.len(), 200_000);
        assert!(codes.iter().all(|code| code.len() == CODE_CHARS));
    }

    #[test]
    fn neighbours_are_far_apart() {
        let first: HashSet<u8> = (0..1_000).map(|number| code(number).as_bytes()[0]).collect();
        assert_eq!(first.len(), ALPHABET.len());
    }

    #[test]
    fn each_once() {
        for count in [1, 2, 1_000, 65_536] {
            let all: HashSet<u64> = (0..count).map(|nth| shuffled(nth, count)).collect();
            assert_eq!(all.len() as u64, count);
        }
    }
}
