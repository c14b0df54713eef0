//! FF1 (NIST SP 800-38G) for one shape only: 16 numerals of radix 32, no tweak, AES-128.
//!
//! In this shape a numeral has five bits, a half 40 bits and the whole 80, so a round is one AES
//! block and arithmetic on machine words. The general mode is twenty times slower; the tests
//! compare this one with it.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// Bits of a value: 16 numerals of five bits.
pub const VALUE_BITS: u32 = 80;

const HALF_BITS: u32 = 40;
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
const ROUNDS: u64 = 10;

/// Values enciphered together: enough to keep the AES unit busy, few enough for the L1 cache. 64
/// together are seven times as fast as one by one.
const GROUP: usize = 64;

/// The block P of the standard: version 1, method 2, addition 1, radix 32 (three bytes), ten
/// rounds, left half of 8 numerals, 16 numerals (four bytes), tweak of 0 bytes (four bytes).
const P: [u8; 16] = [1, 2, 1, 0, 0, 32, 10, 8, 0, 0, 0, 16, 0, 0, 0, 0];

/// A permutation of the 80-bit numbers, chosen by a key.
///
/// A value stands for 16 numerals, the most significant first: what the standard writes as
/// `X[1]` is in bits 75 to 79.
// No Debug: its fields follow from the key.
pub struct Ff1 {
    aes: Aes128,
    /// P enciphered: the first step of the CBC-MAC of every round, the same for all values.
    p: u128,
}

impl Ff1 {
    /// The permutation of `key`. Costs a key schedule and one AES block.
    pub fn new(key: [u8; 16]) -> Ff1 {
        let aes = Aes128::new(&Array::from(key));
        let mut block = Array::from(P);
        aes.encrypt_block(&mut block);
        Ff1 { aes, p: u128::from_be_bytes(block.into()) }
    }

    /// The image of `value`. Ten AES blocks one after the other, about 0.2 µs.
    ///
    /// # Panics
    /// When `value` has more than [`VALUE_BITS`] bits.
    pub fn encrypt(&self, value: u128) -> u128 {
        let (mut a, mut b) = halves(value);
        for round in 0..ROUNDS {
            (a, b) = (b, a.wrapping_add(self.round(round, b)) & HALF_MASK);
        }
        whole(a, b)
    }

    /// The value whose image is `value`: the inverse of [`Ff1::encrypt`], at the same cost.
    ///
    /// # Panics
    /// When `value` has more than [`VALUE_BITS`] bits.
    pub fn decrypt(&self, value: u128) -> u128 {
        let (mut a, mut b) = halves(value);
        for round in (0..ROUNDS).rev() {
            (a, b) = (b.wrapping_sub(self.round(round, a)) & HALF_MASK, a);
        }
        whole(a, b)
    }

    /// Replaces each of `values` by its image, 64 at a time. About 0.03 µs each if there are many;
    /// allocates nothing.
    ///
    /// # Panics
    /// When one of `values` has more than [`VALUE_BITS`] bits.
    pub fn encrypt_blocks(&self, values: &mut [u128]) {
        for group in values.chunks_mut(GROUP) {
            self.encrypt_group(group);
        }
    }

    fn encrypt_group(&self, values: &mut [u128]) {
        let mut pairs = [(0, 0); GROUP];
        let pairs = &mut pairs[..values.len()];
        let mut blocks = [Array::from([0; 16]); GROUP];
        let blocks = &mut blocks[..values.len()];
        for (pair, value) in pairs.iter_mut().zip(&*values) {
            *pair = halves(*value);
        }
        for round in 0..ROUNDS {
            for (block, (_, b)) in blocks.iter_mut().zip(&*pairs) {
                *block = Array::from(self.round_input(round, *b));
            }
            self.aes.encrypt_blocks(blocks);
            for ((a, b), block) in pairs.iter_mut().zip(&*blocks) {
                (*a, *b) = (*b, a.wrapping_add(round_output((*block).into())) & HALF_MASK);
            }
        }
        for (value, (a, b)) in values.iter_mut().zip(&*pairs) {
            *value = whole(*a, *b);
        }
    }

    fn round(&self, round: u64, half: u64) -> u64 {
        let mut block = Array::from(self.round_input(round, half));
        self.aes.encrypt_block(&mut block);
        round_output(block.into())
    }

    /// The block Q, ten zero bytes, the round and the half in five bytes, chained to P.
    fn round_input(&self, round: u64, half: u64) -> [u8; 16] {
        (self.p ^ u128::from(round << HALF_BITS | half)).to_be_bytes()
    }
}

/// The number y of the standard modulo 2^40: the last five of the first twelve bytes.
fn round_output(block: [u8; 16]) -> u64 {
    (u128::from_be_bytes(block) >> 32) as u64 & HALF_MASK
}

fn halves(value: u128) -> (u64, u64) {
    assert!(value >> VALUE_BITS == 0, "value has more than {VALUE_BITS} bits");
    ((value >> HALF_BITS) as u64, value as u64 & HALF_MASK)
}

fn whole(a: u64, b: u64) -> u128 {
    u128::from(a) << HALF_BITS | u128::from(b)
}

#[cfg(test)]
mod tests {
    use aes::{Aes192, Aes256};
    use fpe::ff1::{FF1, FlexibleNumeralString};

    use super::*;

    /// Steele, Lea and Flood's splitmix64: the same numbers on every run.
    struct SplitMix(u64);

    impl SplitMix {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn value(&mut self) -> u128 {
            u128::from(self.next()) << 16 | u128::from(self.next() & 0xffff)
        }

        fn key(&mut self) -> [u8; 16] {
            (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
        }
    }

    type Block = [u8; 16];
    type Aes = Box<dyn Fn(Block) -> Block>;

    fn aes(key: &[u8]) -> Aes {
        macro_rules! with {
            ($cipher:ty) => {{
                let cipher = <$cipher>::new_from_slice(key).unwrap();
                Box::new(move |block| {
                    let mut block = Array::from(block);
                    cipher.encrypt_block(&mut block);
                    block.into()
                })
            }};
        }
        match key.len() {
            16 => with!(Aes128),
            24 => with!(Aes192),
            32 => with!(Aes256),
            other => panic!("a key of {other} bytes"),
        }
    }

    /// The standard's `PRF`: CBC-MAC over whole blocks.
    fn prf(aes: &Aes, bytes: &[u8]) -> Block {
        let (blocks, rest) = bytes.as_chunks::<16>();
        assert!(rest.is_empty());
        blocks.iter().fold([0; 16], |mac, block| aes(std::array::from_fn(|i| mac[i] ^ block[i])))
    }

    fn number(numerals: &[u16], radix: u128) -> u128 {
        numerals.iter().fold(0, |sum, numeral| sum * radix + u128::from(*numeral))
    }

    fn numerals(mut number: u128, radix: u128, len: usize) -> Vec<u16> {
        let mut numerals = vec![0; len];
        for numeral in numerals.iter_mut().rev() {
            *numeral = (number % radix) as u16;
            number /= radix;
        }
        numerals
    }

    /// Algorithm 7 of SP 800-38G to the letter, for halves below 2^64.
    fn general(aes: &Aes, radix: u128, tweak: &[u8], x: &[u16]) -> Vec<u16> {
        let (n, t) = (x.len(), tweak.len());
        let u = n / 2;
        let v = n - u;
        let (mut a, mut b) = (x[..u].to_vec(), x[u..].to_vec());
        let half_bits = u128::BITS - (radix.pow(v as u32) - 1).leading_zeros();
        let half_bytes = half_bits.div_ceil(8) as usize;
        let d = 4 * half_bytes.div_ceil(4) + 4;
        assert!(d <= 16, "y has to fit in a u128");

        let mut p = vec![1, 2, 1];
        p.extend(&(radix as u32).to_be_bytes()[1..]);
        p.extend([10, u as u8]);
        p.extend((n as u32).to_be_bytes());
        p.extend((t as u32).to_be_bytes());
        for i in 0..10u8 {
            let mut q = p.clone();
            q.extend(tweak);
            while !(q.len() + 1 + half_bytes).is_multiple_of(16) {
                q.push(0);
            }
            q.push(i);
            q.extend(&number(&b, radix).to_be_bytes()[16 - half_bytes..]);
            let y = u128::from_be_bytes(prf(aes, &q)) >> (8 * (16 - d));
            let m = if i % 2 == 0 { u } else { v };
            let modulus = radix.pow(m as u32);
            let c = (number(&a, radix) + y % modulus) % modulus;
            (a, b) = (b, numerals(c, radix, m));
        }
        a.extend(b);
        a
    }

    fn digits(text: &str) -> Vec<u16> {
        text.chars().map(|c| c.to_digit(36).unwrap() as u16).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn the_general_core_passes_the_nist_samples() {
        let keys = [
            "2b7e151628aed2a6abf7158809cf4f3c",
            "2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f",
            "2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94",
        ];
        let decimal = "39383736353433323130";
        let alphabetic = "3737373770717273373737";
        let cases = [
            ("sample 1", keys[0], 10, "", "0123456789", "2433477484"),
            ("sample 2", keys[0], 10, decimal, "0123456789", "6124200773"),
            ("sample 3", keys[0], 36, alphabetic, "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
            ("sample 4", keys[1], 10, "", "0123456789", "2830668132"),
            ("sample 5", keys[1], 10, decimal, "0123456789", "2496655549"),
            ("sample 6", keys[1], 36, alphabetic, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
            ("sample 7", keys[2], 10, "", "0123456789", "6657667009"),
            ("sample 8", keys[2], 10, decimal, "0123456789", "1001623463"),
            ("sample 9", keys[2], 36, alphabetic, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
        ];
        for (name, key, radix, tweak, plain, want) in cases {
            let found = general(&aes(&bytes(key)), radix, &bytes(tweak), &digits(plain));
            assert_eq!(found, digits(want), "{name}");
        }
    }

    #[test]
    fn equals_the_general_core() {
        let mut random = SplitMix(1);
        for _ in 0..100 {
            let key = random.key();
            let (ff1, judge) = (Ff1::new(key), aes(&key));
            for _ in 0..1_000 {
                let value = random.value();
                let want = number(&general(&judge, 32, &[], &numerals(value, 32, 16)), 32);
                assert_eq!(ff1.encrypt(value), want, "{value:020x} under {key:02x?}");
                assert_eq!(ff1.decrypt(want), value, "{want:020x} under {key:02x?}");
            }
        }
    }

    #[test]
    fn equals_fpe() {
        let mut random = SplitMix(2);
        for _ in 0..20 {
            let key = random.key();
            let (ff1, peer) = (Ff1::new(key), FF1::<Aes128>::new(&key, 32).unwrap());
            for _ in 0..100 {
                let value = random.value();
                let text = FlexibleNumeralString::from(numerals(value, 32, 16));
                let want = peer.encrypt(&[], &text).unwrap();
                let want = number(&Vec::<u16>::from(want), 32);
                assert_eq!(ff1.encrypt(value), want, "{value:020x} under {key:02x?}");
            }
        }
    }

    #[test]
    fn many_at_once_equal_one_at_a_time() {
        let mut random = SplitMix(3);
        let ff1 = Ff1::new(random.key());
        for len in [0, 1, 2, 63, 64, 65, 127, 128, 1_000] {
            let mut values: Vec<u128> = (0..len).map(|_| random.value()).collect();
            let want: Vec<u128> = values.iter().map(|value| ff1.encrypt(*value)).collect();
            ff1.encrypt_blocks(&mut values);
            assert_eq!(values, want, "{len} values");
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let ff1 = Ff1::new([7; 16]);
        for value in [0, 1, (1 << 40) - 1, 1 << 40, (1 << 80) - 1] {
            let image = ff1.encrypt(value);
            assert!(image >> VALUE_BITS == 0, "{value:020x}");
            assert_eq!(ff1.decrypt(image), value, "{value:020x}");
        }
    }

    #[test]
    #[should_panic(expected = "more than 80 bits")]
    fn a_bit_too_many() {
        Ff1::new([7; 16]).encrypt(1 << 80);
    }
}
