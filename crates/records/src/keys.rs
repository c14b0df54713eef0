//! Keys of rows that sort as the numbers in them do.

use hot::HotError;

use crate::Result;

/// The name under which all campaigns together are counted. No campaign has it.
pub(crate) const ALL_CAMPAIGNS: &str = "*";

pub(crate) fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The numbers at the beginning of a key, and the rest of it.
pub(crate) fn numbers<const N: usize>(key: &[u8]) -> Result<([i64; N], &[u8])> {
    let (mut found, mut rest) = ([0; N], key);
    for number in &mut found {
        let bytes;
        (bytes, rest) = rest.split_first_chunk().ok_or_else(|| damaged("a short key"))?;
        *number = i64::from_be_bytes(*bytes) ^ i64::MIN;
    }
    Ok((found, rest))
}

pub(crate) fn damaged(why: impl ToString) -> HotError {
    HotError::Damaged(format!("a record: {}", why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_numbers_do() {
        let numbers_in_order = [i64::MIN, -1, 0, 1, 255, 256, i64::MAX];
        let keys = numbers_in_order.map(ordered);
        assert!(keys.is_sorted());
        for (number, key) in numbers_in_order.into_iter().zip(keys) {
            assert_eq!(numbers(&key).expect("a number"), ([number], &[][..]));
        }
        let (both, rest) = numbers::<2>(&[&ordered(7)[..], &ordered(-7), b"rest"].concat())
            .map(|(both, rest)| (both, rest.to_vec()))
            .expect("two numbers");
        assert_eq!((both, rest.as_slice()), ([7, -7], &b"rest"[..]));
        assert!(numbers::<1>(&[1, 2, 3]).is_err());
    }
}
