//! Minted codes: the only place where a serial becomes a code and a code a serial.
//!
//! A minted code is 80 bits, enciphered as one block and written as 16 characters:
//! expiry day (14 bits, days since 2020-01-01) · serial (40) · tag (26, all zero). Two serials of
//! a day never make the same code, because the cipher is a permutation. A code that was not minted
//! here has a tag other than zero, so it is refused without reading a store. One guess in 2^26,
//! 67 million, passes that check.

mod key_id;
mod spelling;

use std::fmt;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

use crate::code::{Code, MINTED_LEN};
use crate::ff1::{Ff1, VALUE_BITS};
use crate::time::Day;

pub use key_id::{BadKeyId, KeyId};
use spelling::{CHARACTER_BITS, for_each_text, spell, value_of};

/// Serials of one expiry day, 2^40: a hundred times ten billion, for every day.
pub const SERIALS_PER_DAY: u64 = 1 << SERIAL_BITS;

/// The first day that a code can name: 2020-01-01.
pub const FIRST_DAY: Day = Day(18_262);

/// The last day that a code can name: 2064-11-08, 14 bits later.
pub const LAST_DAY: Day = Day(FIRST_DAY.0 + (1 << DAY_BITS) - 1);

const DAY_BITS: u32 = 14;
const SERIAL_BITS: u32 = 40;
const TAG_BITS: u32 = 26;

const _: () = assert!(DAY_BITS + SERIAL_BITS + TAG_BITS == VALUE_BITS);
const _: () = assert!(MINTED_LEN * CHARACTER_BITS == VALUE_BITS as usize);

/// Codes that one call of the cipher enciphers: the size of its groups, and one kilobyte of text.
const GROUP: usize = 64;

/// What a minted code contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minted {
    /// The partition for which it was minted, from [`FIRST_DAY`] to [`LAST_DAY`].
    pub day: Day,
    /// Its number among the codes of that day, below [`SERIALS_PER_DAY`].
    pub serial: u64,
}

/// A secret key that mints and opens codes. Whoever has it can mint.
pub struct CodeKey {
    id: KeyId,
    ff1: Ff1,
    person_key: [u8; 32],
}

impl CodeKey {
    /// The key with these 16 secret bytes.
    pub fn new(key: [u8; 16]) -> CodeKey {
        let cipher = Aes128::new(&Array::from(key));
        let block_of = |plain: u8| -> [u8; 16] {
            let mut block = Array::from([plain; 16]);
            cipher.encrypt_block(&mut block);
            block.into()
        };
        let check_value = u128::from_be_bytes(block_of(0)) >> 96;
        let mut person_key = [0; 32];
        // No code and no check value enciphers these.
        person_key[..16].copy_from_slice(&block_of(0xFE));
        person_key[16..].copy_from_slice(&block_of(0xFF));
        CodeKey { id: KeyId(check_value as u32), ff1: Ff1::new(key), person_key }
    }

    /// A secret for hashes of persons. It opens no code.
    pub fn person_key(&self) -> &[u8; 32] {
        &self.person_key
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The code number `serial` of `day`. About 0.2 µs.
    ///
    /// # Panics
    /// When `day` lies outside [`FIRST_DAY`] to [`LAST_DAY`], or `serial` is not below
    /// [`SERIALS_PER_DAY`]: the result would be another serial's code, which somebody may hold.
    pub fn mint(&self, day: Day, serial: u64) -> Code {
        assert!(serial < SERIALS_PER_DAY, "serial {serial}, want below {SERIALS_PER_DAY}");
        Code::minted(&spell(self.ff1.encrypt(first_of(day) + (u128::from(serial) << TAG_BITS))))
    }

    /// Calls `each` with the text of the `count` codes `first`, `first + 1`, … of `day`, in this
    /// order: the same codes as [`CodeKey::mint`]. About 0.03 µs per code; allocates nothing. To
    /// stop early, ask for shorter runs.
    ///
    /// # Panics
    /// As [`CodeKey::mint`], for the day and for the last serial; before the first code.
    pub fn mint_run(&self, day: Day, first: u64, count: usize, each: &mut dyn FnMut(&str)) {
        let end = first.checked_add(count as u64).filter(|end| *end <= SERIALS_PER_DAY);
        assert!(end.is_some(), "{count} serials from {first} on, want below {SERIALS_PER_DAY}");
        let start = first_of(day) + (u128::from(first) << TAG_BITS);
        for done in (0..count).step_by(GROUP) {
            let mut values: [u128; GROUP] =
                std::array::from_fn(|i| start + (((done + i) as u128) << TAG_BITS));
            let values = &mut values[..GROUP.min(count - done)];
            self.ff1.encrypt_blocks(values);
            for_each_text(values, each);
        }
    }

    /// Day and serial of `code`. `None` if it is not 16 Crockford characters, or this key did not
    /// mint it. About 0.2 µs; reads no store.
    ///
    /// One in 67 million codes that were not minted here opens all the same. The caller has to look
    /// up whether the serial belongs to a batch of this key.
    pub fn open(&self, code: &Code) -> Option<Minted> {
        let value = self.ff1.decrypt(value_of(code)?);
        if value & ((1 << TAG_BITS) - 1) != 0 {
            return None;
        }
        let serial = (value >> TAG_BITS) as u64 & (SERIALS_PER_DAY - 1);
        let day = (value >> (TAG_BITS + SERIAL_BITS)) as i32;
        Some(Minted { day: Day(FIRST_DAY.0 + day), serial })
    }
}

/// Shows the name, never the key.
impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CodeKey").field(&self.id).finish()
    }
}

/// The plain value of serial 0 of `day`.
fn first_of(day: Day) -> u128 {
    assert!(
        (FIRST_DAY..=LAST_DAY).contains(&day),
        "day {}, want {} to {}",
        day.0,
        FIRST_DAY.0,
        LAST_DAY.0
    );
    u128::from((day.0 - FIRST_DAY.0).unsigned_abs()) << (SERIAL_BITS + TAG_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::CROCKFORD;

    /// 2026-12-31.
    const DAY: Day = Day(20_818);

    fn key() -> CodeKey {
        CodeKey::new(*b"a key of 16 byte")
    }

    #[test]
    fn corners_open_as_they_were_minted() {
        let cases = [
            ("the first code of all", FIRST_DAY, 0),
            ("the last of the first day", FIRST_DAY, SERIALS_PER_DAY - 1),
            ("an ordinary one", DAY, 123_456_789),
            ("the first of the last day", LAST_DAY, 0),
            ("the last code of all", LAST_DAY, SERIALS_PER_DAY - 1),
        ];
        for (name, day, serial) in cases {
            let code = key().mint(day, serial);
            assert_eq!(code.as_str().len(), MINTED_LEN, "{name}");
            assert_eq!(key().open(&code), Some(Minted { day, serial }), "{name}");
            assert_eq!(code.as_str().parse::<Code>(), Ok(code), "{name}");
        }
    }

    /// The values were computed elsewhere, with openssl and the formula above.
    #[test]
    fn what_is_printed_today_opens_for_ever() {
        let key = CodeKey::new([0x2b; 16]);
        assert_eq!(key.id().to_string(), "f27dc739");
        assert_eq!(key.mint(DAY, 1).as_str(), "9RAWBSVSAS51FH13");
    }

    #[test]
    fn the_day_range_is_14_bits() {
        assert_eq!(FIRST_DAY.start().0, 1_577_836_800_000, "2020-01-01T00:00:00Z");
        assert_eq!(LAST_DAY.0 - FIRST_DAY.0, 16_383);
        let mint = |day, serial| std::panic::catch_unwind(|| key().mint(day, serial)).is_ok();
        let run = |first, count| {
            std::panic::catch_unwind(|| key().mint_run(DAY, first, count, &mut |_| ())).is_ok()
        };
        let cases = [
            ("the first day", mint(FIRST_DAY, 0), true),
            ("the day before it", mint(Day(FIRST_DAY.0 - 1), 0), false),
            ("the last day", mint(LAST_DAY, 0), true),
            ("the day after it", mint(Day(LAST_DAY.0 + 1), 0), false),
            ("one serial too many", mint(DAY, SERIALS_PER_DAY), false),
            ("a run up to the last serial", run(SERIALS_PER_DAY - 10, 10), true),
            ("a run past the last serial", run(SERIALS_PER_DAY - 10, 11), false),
            ("a run that overflows", run(u64::MAX, 2), false),
            ("an empty run at the end", run(SERIALS_PER_DAY, 0), true),
        ];
        for (name, found, want) in cases {
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn a_run_is_what_one_by_one_makes() {
        let key = key();
        for count in [0, 1, 63, 64, 65, 1_000] {
            let mut run = Vec::new();
            key.mint_run(DAY, 77, count, &mut |code| run.push(code.to_owned()));
            let want: Vec<String> =
                (77..77 + count as u64).map(|serial| key.mint(DAY, serial).to_string()).collect();
            assert_eq!(run, want, "{count} codes");
        }
    }

    /// About 11 s in the dev profile, where this crate is not optimised.
    #[test]
    fn no_two_codes_of_a_run_are_equal() {
        const COUNT: usize = 10_000_000;
        // Half of each code's text times an odd number, plus the other half: if these differ the
        // codes do, at 80 MB instead of 160.
        let mut sums: Vec<u64> = Vec::with_capacity(COUNT);
        key().mint_run(DAY, 1 << 39, COUNT, &mut |code| {
            let text: &[u8; MINTED_LEN] = code.as_bytes().try_into().unwrap();
            let text = u128::from_be_bytes(*text);
            let high = ((text >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            sums.push(high.wrapping_add(text as u64));
        });
        assert_eq!(sums.len(), COUNT);
        sums.sort_unstable();
        assert!(sums.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn one_wrong_character_is_refused() {
        let key = key();
        let mut tried = 0;
        for serial in 0..200 {
            let code = key.mint(DAY, serial * 1_000_003);
            for at in 0..MINTED_LEN {
                for byte in CROCKFORD {
                    let mut wrong = code.as_str().as_bytes().to_vec();
                    if std::mem::replace(&mut wrong[at], *byte) != *byte {
                        assert_refused(&key, &wrong);
                        tried += 1;
                    }
                }
            }
        }
        assert_eq!(tried, 200 * 16 * 31);
    }

    #[test]
    fn two_swapped_neighbours_are_refused() {
        let key = key();
        for serial in 0..1_000 {
            let code = key.mint(DAY, serial * 1_000_003);
            for at in 1..MINTED_LEN {
                let mut wrong = code.as_str().as_bytes().to_vec();
                wrong.swap(at - 1, at);
                if wrong != code.as_str().as_bytes() {
                    assert_refused(&key, &wrong);
                }
            }
        }
    }

    fn assert_refused(key: &CodeKey, wrong: &[u8]) {
        let wrong: Code = str::from_utf8(wrong).unwrap().parse().unwrap();
        assert_eq!(key.open(&wrong), None, "{wrong}");
    }

    #[test]
    fn what_is_not_minted_does_not_open() {
        let key = key();
        let code = key.mint(DAY, 5);
        let cases = [
            ("a character short", code.as_str()[1..].to_owned()),
            ("a character more", format!("0{code}")),
            ("no Crockford character", format!("U{}", &code.as_str()[1..])),
            ("another key's", CodeKey::new([9; 16]).mint(DAY, 5).to_string()),
            ("all zero", "0".repeat(16)),
        ];
        for (name, text) in cases {
            assert_eq!(key.open(&text.parse().unwrap()), None, "{name}");
        }
    }

    #[test]
    fn the_id_of_a_key() {
        let key = CodeKey::new(std::array::from_fn(|i| i as u8));
        assert_eq!(key.id().to_string(), "c6a13b37", "as openssl has it");
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = key();
        assert_eq!(format!("{key:?}"), format!("CodeKey({})", key.id()));
    }
}
