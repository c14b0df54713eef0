//! Crockford's base 32: the only place that spells an 80-bit value and reads it back.

use super::GROUP;
use crate::code::{CROCKFORD, Code, MINTED_LEN};

/// Bits that one character spells.
pub(super) const CHARACTER_BITS: usize = 5;

/// The entry of [`VALUE_OF`] for a byte that is no Crockford character.
const NO_VALUE: u8 = 0xff;

const VALUE_OF: [u8; 256] = {
    let mut values = [NO_VALUE; 256];
    let mut value = 0;
    while value < CROCKFORD.len() {
        values[CROCKFORD[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Calls `each` with the text of every value; at most [`GROUP`] values.
pub(super) fn for_each_text(values: &[u128], each: &mut dyn FnMut(&str)) {
    let mut bytes = [[0; MINTED_LEN]; GROUP];
    for (text, value) in bytes.iter_mut().zip(values) {
        *text = spell(*value);
    }
    // Checked once per group, not once per code.
    let text = str::from_utf8(bytes.as_flattened()).expect("Crockford characters are ASCII");
    for at in 0..values.len() {
        each(&text[at * MINTED_LEN..(at + 1) * MINTED_LEN]);
    }
}

/// The 16 characters of an 80-bit value, the most significant five bits first.
pub(super) fn spell(value: u128) -> [u8; MINTED_LEN] {
    // Two words of 40 bits: shifting a u128 sixteen times costs more than the cipher.
    let words = [(value >> 40) as u64, value as u64];
    std::array::from_fn(|at| {
        let bits = words[at / 8] >> (CHARACTER_BITS * (7 - at % 8));
        CROCKFORD[bits as usize % CROCKFORD.len()]
    })
}

/// The value that `code` spells; `None` if it is not 16 Crockford characters.
pub(super) fn value_of(code: &Code) -> Option<u128> {
    let characters: &[u8; MINTED_LEN] = code.as_str().as_bytes().try_into().ok()?;
    let mut value = 0;
    for byte in characters {
        match VALUE_OF[usize::from(*byte)] {
            NO_VALUE => return None,
            bits => value = value << CHARACTER_BITS | u128::from(bits),
        }
    }
    Some(value)
}
