//! Lines of one file that have the same code.
//!
//! Other systems tell `abc-1` and `ABC1` apart, couponry does not: two of their coupons would become
//! one. So the spelling of a code is compared with that of the earlier line.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use coupon::code::Code;

/// Codes of a file that are remembered, the first ones: they take 7 MB. Lines of a longer file are
/// compared with these only.
pub const REPEATS_MAX: usize = 200_000;

/// Why a line is rejected whose code an earlier line has in another spelling.
pub(super) const REPEATED_CODE: &str = "REPEATED_CODE";

/// The codes of a file by their hashes: of a billion lines, one in 100,000 files has two codes with one hash.
#[derive(Default)]
pub(super) struct SeenCodes {
    hasher: RandomState,
    /// The first line of each code, and the hash of its spelling.
    seen: HashMap<u64, (u64, u64)>,
}

impl SeenCodes {
    /// The earlier line with the same code. Remembers this one; `written` is its code as it stands there.
    ///
    /// # Errors
    /// The earlier line, if it has the code in another spelling.
    pub(super) fn take(
        &mut self,
        number: u64,
        written: &str,
        code: &Code,
    ) -> Result<Option<u64>, u64> {
        let spelling = self.hasher.hash_one(written);
        let of_code = self.hasher.hash_one(code.as_str());
        match self.seen.get(&of_code) {
            Some((earlier, same)) if *same == spelling => Ok(Some(*earlier)),
            Some((earlier, _)) => Err(*earlier),
            None => {
                if self.seen.len() < REPEATS_MAX {
                    self.seen.insert(of_code, (number, spelling));
                }
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let cases = [
            ("the same", "ABCD-1", Ok(Some(1))),
            ("lower case", "abcd-1", Err(1)),
            ("another hyphen", "ABC-D1", Err(1)),
            ("without", "ABCD1", Err(1)),
        ];
        for (name, text, want) in cases {
            let (mut repeats, code) = (SeenCodes::default(), "ABCD1".parse().unwrap());
            assert_eq!(repeats.take(1, "ABCD-1", &code), Ok(None), "{name}: first");
            assert_eq!(repeats.take(2, text, &code), want, "{name}");
        }
    }

    #[test]
    fn only_the_first_codes_are_remembered() {
        let mut repeats = SeenCodes::default();
        let code = |nth: usize| -> Code { format!("CODE{nth:06}").parse().unwrap() };
        for nth in 0..=REPEATS_MAX {
            assert_eq!(repeats.take(nth as u64, "", &code(nth)), Ok(None), "{nth}");
        }
        let last = REPEATS_MAX as u64 - 1;
        assert_eq!(repeats.take(0, "", &code(REPEATS_MAX - 1)), Ok(Some(last)));
        assert_eq!(repeats.take(0, "", &code(REPEATS_MAX)), Ok(None), "one too many");
    }
}
