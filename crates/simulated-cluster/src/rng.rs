//! Random numbers that a seed decides.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A stream of random numbers: the same seed gives the same stream.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    state: u64,
}

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Rng {
        Rng { seed, state: xxh3_64_with_seed(b"start", seed) }
    }

    /// An independent stream. It depends on the seed and the label alone, so one more draw in one
    /// part of a world changes nothing in another part.
    pub fn fork(&self, label: &str) -> Rng {
        Rng::new(xxh3_64_with_seed(label.as_bytes(), self.seed))
    }

    /// Any number: SplitMix64 (Steele, Lea and Flood, 2014).
    pub fn u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.u64().checked_rem(n).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True in `permille` of 1,000 calls.
    pub fn chance(&mut self, permille: u32) -> bool {
        self.below(1_000) < u64::from(permille)
    }

    /// One of `all`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len() as u64);
        &all[usize::try_from(at).unwrap_or_default()]
    }

    /// Puts `all` into a random order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let other = self.below(last as u64 + 1);
            all.swap(last, usize::try_from(other).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let draw = |mut rng: Rng| (0..8).map(|_| rng.u64()).collect::<Vec<_>>();
        assert_eq!(draw(Rng::new(7)), draw(Rng::new(7)));
        assert_ne!(draw(Rng::new(7)), draw(Rng::new(8)));
        let mut advanced = Rng::new(7);
        advanced.u64();
        assert_eq!(draw(advanced.fork("network")), draw(Rng::new(7).fork("network")));
        assert_ne!(draw(Rng::new(7).fork("network")), draw(Rng::new(7).fork("callers")));
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        let mut rng = Rng::new(1);
        for n in 1..200 {
            assert!(rng.below(n) < n);
            assert!((5..=5 + n).contains(&rng.between(5, 5 + n)));
        }
        assert_eq!((rng.below(0), rng.chance(0), rng.chance(1_000)), (0, false, true));
    }
}
