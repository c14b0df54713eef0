//! The numbers of deliveries: higher ones are later, of one process and of one that goes on after it.
//!
//! A number has the second since 2020, four bits of the epoch of the process, and 18 bits that count. So two
//! processes that both believe that they post to an endpoint give no number twice, the time of a number is known,
//! and JavaScript reads it as it is: it is below 2^53 for 68 years.
//!
//! A *block* is the numbers of 512 seconds.

use std::time::Duration;

use super::{Result, damaged};

/// 2020-01-01, in seconds since 1970.
const FIRST_SECOND: i64 = 1_577_836_800;

const COUNT_BITS: u32 = 18;
const WRITER_BITS: u32 = 4;
const SECOND_AT: u32 = COUNT_BITS + WRITER_BITS;

#[derive(Debug)]
pub(crate) struct DeliveryNumbers {
    writer: i64,
    last: i64,
}

impl DeliveryNumbers {
    /// Those of the process with this epoch, all of them after `last`.
    pub(crate) fn after(last: i64, epoch: i64) -> DeliveryNumbers {
        DeliveryNumbers { writer: epoch.rem_euclid(1 << WRITER_BITS), last }
    }

    pub(crate) fn next(&mut self, now_ms: i64) -> i64 {
        let second = second_of(now_ms).max(self.last >> SECOND_AT);
        let first = |second: i64| (second << SECOND_AT) | (self.writer << COUNT_BITS);
        let number = first(second).max(self.last + 1);
        let is_ours = number >> COUNT_BITS == first(second) >> COUNT_BITS;
        self.last = if is_ours { number } else { first(second + 1) };
        self.last
    }
}

/// A number for something that is only logged: the second, the millisecond, and 12 random bits.
pub(crate) fn single(now_ms: i64, random: u32) -> i64 {
    let in_second = (now_ms.rem_euclid(1_000) << 12) | i64::from(random & 0xFFF);
    (second_of(now_ms) << SECOND_AT) | in_second
}

fn second_of(now_ms: i64) -> i64 {
    (now_ms.div_euclid(1_000) - FIRST_SECOND).max(0)
}

/// The seconds of a block, as a power of two.
const BLOCK_BITS: u32 = 9;

/// The block of a number, even of a number that no process gave.
pub(crate) fn block_of(number: i64) -> i64 {
    number.max(0) >> (SECOND_AT + BLOCK_BITS)
}

/// The block in which a delivery waits: of the numbers that one process gives. Another one that goes on after it has
/// blocks of its own, so the first one, if it was frozen, drops nothing of the second.
pub(crate) fn waiting_block_of(number: i64) -> i64 {
    let writer = (number.max(0) >> COUNT_BITS) & ((1 << WRITER_BITS) - 1);
    (block_of(number) << WRITER_BITS) | writer
}

/// When a block begins, in milliseconds since 1970.
pub(crate) fn begin_of_block(block: i64) -> i64 {
    ((block << BLOCK_BITS) + FIRST_SECOND) * 1_000
}

/// A number as a key: it sorts as the number does.
pub(crate) fn numbered(number: i64) -> Vec<u8> {
    number.to_be_bytes().into()
}

pub(crate) fn number_of(key: &[u8]) -> Result<i64> {
    let bytes = key.try_into().map_err(|_| damaged("a key of a webhook"))?;
    Ok(i64::from_be_bytes(bytes))
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_600_000_000;

    #[test]
    fn they_rise_and_no_two_processes_give_one_twice() {
        let mut one = DeliveryNumbers::after(0, 3);
        let mut two = DeliveryNumbers::after(0, 4);
        let mut all = Vec::new();
        for _ in 0..1_000 {
            all.extend([one.next(NOW), two.next(NOW)]);
        }
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
        assert!(all.iter().all(|&number| number < 1 << 53));
    }

    #[test]
    fn what_comes_after() {
        let later = NOW + 7_000;
        let cases = [
            ("the next second", NOW, 3, later, 3),
            ("in the same second, of a later process", NOW, 3, NOW, 4),
            ("in the same second, of one with less bits", NOW, 3, NOW, 2),
            ("after a clock that was ahead", later, 3, NOW, 4),
        ];
        for (name, before, first, now, second) in cases {
            let last = DeliveryNumbers::after(0, first).next(before);
            let mut numbers = DeliveryNumbers::after(last, second);
            let found = [numbers.next(now), numbers.next(now)];
            assert!(last < found[0] && found[0] < found[1], "{name}");
        }
        let mut full = DeliveryNumbers::after(
            DeliveryNumbers::after(0, 3).next(NOW) + (1 << COUNT_BITS) - 1,
            3,
        );
        assert_eq!(full.next(NOW), DeliveryNumbers::after(0, 3).next(NOW + 1_000), "a full second");
    }

    #[test]
    fn blocks() {
        for number in [DeliveryNumbers::after(0, 0).next(NOW), single(NOW, u32::MAX)] {
            let begin = begin_of_block(block_of(number));
            assert!((begin..begin + 512_000).contains(&NOW), "{begin}");
            assert_eq!(number_of(&numbered(number)).unwrap(), number);
        }
        for wrong in [-1, i64::MIN] {
            assert_eq!(block_of(wrong), 0);
        }
        assert!(number_of(&[1]).is_err());
    }
}
