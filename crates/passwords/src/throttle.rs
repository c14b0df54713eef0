//! Counters for things that may be tried only so often: wrong codes of one user, failed sign-ins
//! of one login from one peer, sign-ups of one peer.
//!
//! A *window* opens with the first count of a key and lasts for a fixed time; once `limit` counts
//! are in it, the key is blocked until it ends. State is in memory, per process, and bounded.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

/// Wrong passwords for one login from one peer after which this peer is refused under this login
/// for the rest of [`SIGN_IN_WINDOW_MS`]. Its owner still gets in from anywhere else.
pub const SIGN_INS_MAX: u32 = 5;

/// The window in which wrong passwords are counted.
pub const SIGN_IN_WINDOW_MS: i64 = 15 * 60 * 1_000;

/// Sign-ins, and sign-ups, that one peer may have under way: a quarter of those that may wait, so
/// that one peer cannot take every place.
pub const SIGNING_MAX: u32 = 8;

/// Counts per key and window. Keys are kept as 64-bit SipHash under a random key: fixed memory
/// whatever their length, no logins in a core dump, and no key that somebody else can collide
/// with on purpose.
#[derive(Debug)]
pub struct Throttle {
    limit: u32,
    window_ms: i64,
    keys_max: usize,
    hasher: RandomState,
    state: Mutex<ThrottleState>,
}

#[derive(Debug, Default)]
struct ThrottleState {
    windows: HashMap<u64, ThrottleWindow>,
    /// Keys in the order in which their windows opened.
    opened: BTreeMap<u64, u64>,
    next_turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct ThrottleWindow {
    turn: u64,
    opened_at_ms: i64,
    count: u32,
}

impl Throttle {
    /// `limit` counts in `window_ms` for each of at most `keys_max` keys, about 100 bytes each;
    /// all three are at least 1. Past `keys_max` the window that opened first is forgotten.
    pub fn new(limit: u32, window_ms: i64, keys_max: usize) -> Throttle {
        Throttle {
            limit: limit.max(1),
            window_ms: window_ms.max(1),
            keys_max: keys_max.max(1),
            hasher: RandomState::new(),
            state: Mutex::default(),
        }
    }

    /// How many milliseconds until `key` may try again, if it is blocked. Counts nothing.
    pub fn blocked(&self, key: &str, now_ms: i64) -> Option<i64> {
        let hash = self.hasher.hash_one(key);
        let window = *self.state.lock().windows.get(&hash)?;
        if window.count < self.limit {
            return None;
        }
        self.left_ms(window, now_ms)
    }

    /// How many counts `key` has in its window.
    pub fn counted(&self, key: &str, now_ms: i64) -> u32 {
        let hash = self.hasher.hash_one(key);
        let window = self.state.lock().windows.get(&hash).copied();
        window.filter(|window| self.left_ms(*window, now_ms).is_some()).map_or(0, |it| it.count)
    }

    pub fn count(&self, key: &str, now_ms: i64) {
        let hash = self.hasher.hash_one(key);
        let mut state = self.state.lock();
        match state.windows.get_mut(&hash) {
            Some(window) if self.left_ms(*window, now_ms).is_some() => {
                window.count = window.count.saturating_add(1);
            }
            Some(_) | None => {
                state.forget(hash);
                if state.windows.len() >= self.keys_max {
                    state.forget_first();
                }
                state.open(hash, now_ms);
            }
        }
    }

    /// One less for `key`: what was counted did not deserve it.
    pub fn take_back(&self, key: &str) {
        let hash = self.hasher.hash_one(key);
        let mut state = self.state.lock();
        match state.windows.get_mut(&hash) {
            Some(window) if window.count > 1 => window.count -= 1,
            Some(_) => state.forget(hash),
            None => {}
        }
    }

    /// Closes the window of `key`: it has shown whose it is.
    pub fn forget(&self, key: &str) {
        let hash = self.hasher.hash_one(key);
        self.state.lock().forget(hash);
    }

    /// `None` when the window has ended. A clock put back before its start ends it too, or a
    /// blocked user would wait for the clock.
    fn left_ms(&self, window: ThrottleWindow, now_ms: i64) -> Option<i64> {
        let passed_ms = now_ms.saturating_sub(window.opened_at_ms);
        (0..self.window_ms).contains(&passed_ms).then(|| self.window_ms - passed_ms)
    }
}

impl ThrottleState {
    fn open(&mut self, hash: u64, now_ms: i64) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.windows.insert(hash, ThrottleWindow { turn, opened_at_ms: now_ms, count: 1 });
        self.opened.insert(turn, hash);
    }

    fn forget(&mut self, hash: u64) {
        if let Some(window) = self.windows.remove(&hash) {
            self.opened.remove(&window.turn);
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, hash)) = self.opened.pop_first() {
            self.windows.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_763_596_800_000;

    #[test]
    fn blocks_at_the_limit_until_the_window_ends() {
        let cases = [
            ("nothing counted", 0, 0, None),
            ("one below the limit", 2, 0, None),
            ("at the limit", 3, 0, Some(1_000)),
            ("past the limit", 4, 0, Some(1_000)),
            ("half the window later", 3, 500, Some(500)),
            ("its last millisecond", 3, 999, Some(1)),
            ("its end", 3, 1_000, None),
            ("the clock put back", 3, -1, None),
        ];
        for (name, counts, later_ms, want) in cases {
            let throttle = Throttle::new(3, 1_000, 10);
            for _ in 0..counts {
                throttle.count("ann", NOON);
            }
            assert_eq!(throttle.blocked("ann", NOON + later_ms), want, "{name}");
            let left = if (0..1_000).contains(&later_ms) { counts } else { 0 };
            assert_eq!(throttle.counted("ann", NOON + later_ms), left, "{name}");
            assert_eq!(throttle.blocked("bob", NOON + later_ms), None, "{name}, somebody else");
        }
    }

    #[test]
    fn a_window_opens_with_its_first_count_and_is_not_prolonged() {
        let throttle = Throttle::new(2, 1_000, 10);
        throttle.count("ann", NOON);
        throttle.count("ann", NOON + 900);
        assert_eq!(throttle.blocked("ann", NOON + 900), Some(100));
        throttle.count("ann", NOON + 1_000);
        assert_eq!(throttle.blocked("ann", NOON + 1_000), None, "a new window has one count");
        throttle.count("ann", NOON + 1_001);
        assert_eq!(throttle.blocked("ann", NOON + 1_001), Some(999));
    }

    #[test]
    fn forgets_on_request() {
        let throttle = Throttle::new(1, 1_000, 10);
        throttle.count("ann", NOON);
        throttle.count("bob", NOON);
        throttle.forget("ann");
        throttle.forget("nobody");
        assert_eq!(throttle.blocked("ann", NOON), None);
        assert_eq!(throttle.blocked("bob", NOON), Some(1_000));
    }

    #[test]
    fn a_new_key_past_keys_max_drops_the_oldest_window() {
        let throttle = Throttle::new(1, 1_000, 2);
        throttle.count("ann", NOON);
        throttle.count("bob", NOON + 1);
        throttle.count("ann", NOON + 2);
        let blocked = |key| throttle.blocked(key, NOON + 3).is_some();
        assert_eq!((blocked("ann"), blocked("bob")), (true, true), "at keys_max all are kept");
        throttle.count("cid", NOON + 3);
        assert_eq!((blocked("ann"), blocked("bob"), blocked("cid")), (false, true, true));
    }

    #[test]
    fn a_window_opened_anew_is_the_youngest() {
        let throttle = Throttle::new(1, 1_000, 2);
        throttle.count("ann", NOON);
        throttle.count("bob", NOON + 1);
        throttle.count("ann", NOON + 1_000);
        throttle.count("cid", NOON + 1_000);
        assert!(throttle.blocked("ann", NOON + 1_000).is_some(), "bob goes first");
        assert_eq!(throttle.blocked("bob", NOON + 1_000), None);
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::new(1, 1_000, 100);
        for key in 0..10_000 {
            throttle.count(&key.to_string(), NOON + key);
            if key % 3 == 0 {
                throttle.forget(&key.to_string());
            }
        }
        let state = throttle.state.lock();
        assert!(state.windows.len() <= 100);
        assert_eq!(state.windows.len(), state.opened.len());
    }
}
