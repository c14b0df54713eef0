//! Checksums of data files: a byte that changed on the network or on a disk is an error, never
//! another coupon.
//!
//! Parquet's writer leaves out checksums of pages, and a page with a flipped bit often still
//! decodes, to another date or another name. So the key-value metadata of each footer has the
//! XXH3-64 of every row group, and of the tail: the bytes from the last row group to the end, with
//! the tail's own checksum replaced by zeros.

use parquet::file::metadata::KeyValue;
use xxhash_rust::xxh3::xxh3_64;

/// The checksums of the row groups: sixteen hexadecimal digits each, without separators.
const GROUPS: &str = "couponry.row_groups";

const TAIL: &str = "couponry.tail";

/// Precedes the checksum of the tail, so that it can be found.
const MARK: &str = "xxh3-64:";

const DIGITS: usize = 16;

/// The metadata for row groups with these checksums. The checksum of the tail is still zero.
pub(crate) fn entries(groups: &[u64]) -> [KeyValue; 2] {
    let groups: String = groups.iter().map(|sum| digits(*sum)).collect();
    let tail = format!("{MARK}{}", digits(0));
    [KeyValue::new(GROUPS.into(), groups), KeyValue::new(TAIL.into(), tail)]
}

pub(crate) fn seal(tail: &mut [u8]) -> Option<()> {
    let at = location(tail)?;
    let sum = digits(xxh3_64(tail));
    tail.get_mut(at..at + DIGITS)?.copy_from_slice(sum.as_bytes());
    Some(())
}

pub(crate) fn is_sealed(tail: &[u8]) -> bool {
    let Some(at) = location(tail) else { return false };
    let mut bare = tail.to_vec();
    let Some(sum) = bare.get_mut(at..at + DIGITS) else { return false };
    sum.copy_from_slice(digits(0).as_bytes());
    tail.get(at..at + DIGITS) == Some(digits(xxh3_64(&bare)).as_bytes())
}

/// The checksums of the row groups; `None` if they are missing or cannot be read.
pub(crate) fn of_groups(entries: Option<&Vec<KeyValue>>) -> Option<Vec<u64>> {
    let text = entries?.iter().find(|entry| entry.key == GROUPS)?.value.as_ref()?;
    let sums = text.as_bytes().chunks(DIGITS);
    sums.map(|sum| u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()).collect()
}

fn digits(sum: u64) -> String {
    format!("{sum:0DIGITS$x}")
}

/// The position of the digits in the tail.
fn location(tail: &[u8]) -> Option<usize> {
    let mark = MARK.as_bytes();
    // The last one: a name in the statistics before it may contain the same text.
    Some(tail.windows(mark.len()).rposition(|window| window == mark)? + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let [groups, tail] = entries(&[1, u64::MAX]);
        let mut bytes = b"somebody is called xxh3-64:0123456789abcdef ".to_vec();
        bytes.extend(tail.value.unwrap_or_default().bytes());
        bytes.extend(b" behind");
        seal(&mut bytes).unwrap();
        assert!(is_sealed(&bytes), "as it was written");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(!is_sealed(&flipped), "bit {bit} of byte {at}");
            }
        }
        assert_eq!(of_groups(Some(&vec![groups])), Some(vec![1, u64::MAX]));
    }
}
