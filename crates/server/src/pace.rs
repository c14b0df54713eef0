//! A pace, of one thing or for each of many keys: so many at once, then one in a while.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::sleep;

/// The generic cell rate algorithm (ITU-T I.371): its state is one moment, when the next cell would be due if all had
/// kept to the pace.
#[derive(Clone, Copy, Debug)]
pub struct PaceRule {
    every: Duration,
    ahead_max: Duration,
    wait_max: Duration,
}

impl PaceRule {
    /// `at_once` without a wait for whoever has rested, then one `every` so often. No turn is given out that is
    /// further away than `waiting` others: more do not wait at a time, so those before it belong to callers who have
    /// gone.
    pub const fn new(every: Duration, at_once: u32, waiting: u32) -> PaceRule {
        let ahead_max = every.saturating_mul(at_once.saturating_sub(1));
        PaceRule { every, ahead_max, wait_max: every.saturating_mul(waiting) }
    }

    /// Takes the next `turns`; how long it is from `now` until the first.
    pub(crate) fn wait(&self, due: &mut Instant, turns: u32, now: Instant) -> Duration {
        let this = (*due).max(now).min(now + self.ahead_max + self.wait_max);
        *due = this + turns * self.every;
        this.saturating_duration_since(now + self.ahead_max)
    }
}

/// Waits. No time at all would otherwise be a tick of the timer.
pub async fn rest(wait: Duration) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

/// A [`PaceRule`] of one thing. What would have to wait is refused, and takes no turn.
#[derive(Debug)]
pub struct OnePace {
    rule: PaceRule,
    due: Mutex<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateQuota {
    /// Turns that could be taken at once now.
    pub remaining: u128,
    /// How long it is until that is as many as after a rest.
    pub full_in: Duration,
    /// How long to wait, where the turn is refused.
    pub refused: Option<Duration>,
}

impl OnePace {
    /// So many in `time`, all of them at once after a rest.
    pub fn new(turns: u32, time: Duration) -> OnePace {
        OnePace { rule: PaceRule::new(time / turns, turns, 0), due: Mutex::new(Instant::now()) }
    }

    pub fn take(&self, now: Instant) -> RateQuota {
        let PaceRule { every, ahead_max, .. } = self.rule;
        let mut due = self.due.lock();
        let wait = due.saturating_duration_since(now + ahead_max);
        let refused = (!wait.is_zero()).then_some(wait);
        if refused.is_none() {
            self.rule.wait(&mut due, 1, now);
        }
        let full_in = due.saturating_duration_since(now);
        let free = (ahead_max + every).saturating_sub(full_in);
        RateQuota { remaining: free.as_nanos() / every.as_nanos(), full_in, refused }
    }
}

/// A [`PaceRule`] for each of many keys. State is in memory, per process, and bounded; keys are kept as 64-bit SipHash
/// under a random key.
#[derive(Debug)]
pub struct PaceLimiter {
    rule: PaceRule,
    keys_max: usize,
    hasher: RandomState,
    due: Mutex<HashMap<u64, Instant>>,
}

impl PaceLimiter {
    /// For each of at most `keys_max` keys, some 50 bytes each. Past that all begin anew.
    pub fn new(rule: PaceRule, keys_max: usize) -> PaceLimiter {
        let keys_max = keys_max.max(1);
        PaceLimiter { rule, keys_max, hasher: RandomState::new(), due: Mutex::default() }
    }

    /// Takes the next `turns` of `key`; how long it is from `now` until the first. A turn that is not
    /// used is lost, unless [`PaceLimiter::settle`] gives it back.
    pub fn wait(&self, key: &str, turns: u32, now: Instant) -> Duration {
        let hash = self.hasher.hash_one(key);
        let mut all = self.due.lock();
        if all.len() >= self.keys_max && !all.contains_key(&hash) {
            // Whoever has rested is as good as new.
            all.retain(|_, due| *due > now);
            if all.len() >= self.keys_max {
                all.clear();
            }
        }
        self.rule.wait(all.entry(hash).or_insert(now), turns, now)
    }

    /// Counts `used` turns of `key` where `taken` were taken before it was known how many it needs.
    pub fn settle(&self, key: &str, taken: u32, used: u32) {
        let hash = self.hasher.hash_one(key);
        let mut all = self.due.lock();
        if let Some(due) = all.get_mut(&hash) {
            let with = *due + used * self.rule.every;
            *due = with.checked_sub(taken * self.rule.every).unwrap_or(with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(10);

    #[test]
    fn so_many_at_once_then_one_in_a_while() {
        let pace = PaceLimiter::new(PaceRule::new(EVERY, 3, 3), 2);
        let first = Instant::now();
        // After how many turns' time, who, and how long each of so many waits.
        let rows: [(u32, &str, &[u32], &str); 9] = [
            (0, "ann", &[0, 0, 0, 1, 2], "three at once"),
            (0, "bob", &[0], "another key"),
            (4, "ann", &[0, 0, 1, 2], "as she has rested"),
            (104, "ann", &[0, 0, 0, 1], "no more than that at once"),
            (104, "cyd", &[0, 0, 0, 1], "bob has rested and makes room"),
            (104, "ann", &[2], "she is still known"),
            (104, "dan", &[0], "nobody has rested: all begin anew"),
            (104, "ann", &[0], "all of them"),
            (204, "ann", &[0, 0, 0, 1, 2, 3, 3, 3], "others before it have gone"),
        ];
        for (after, key, want, why) in rows {
            let now = first + after * EVERY;
            let waits: Vec<Duration> = want.iter().map(|_| pace.wait(key, 1, now)).collect();
            let want: Vec<Duration> = want.iter().map(|turns| *turns * EVERY).collect();
            assert_eq!(waits, want, "{key} after {after}: {why}");
        }
    }
    #[test]
    fn turns_that_were_not_used_are_given_back() {
        let first = Instant::now();
        // How many turns are taken and used, and how many turns' time the next one waits.
        let rows = [(1, 1, 0), (3, 3, 1), (5, 5, 3), (5, 1, 0), (1, 5, 3), (5, 0, 0)];
        for (taken, used, want) in rows {
            let pace = PaceLimiter::new(PaceRule::new(EVERY, 3, 100), 2);
            assert_eq!(pace.wait("ann", taken, first), Duration::ZERO, "who has rested begins");
            pace.settle("ann", taken, used);
            pace.settle("bob", taken, used);
            let waits = pace.wait("ann", 1, first);
            assert_eq!(waits, want * EVERY, "{taken} taken, {used} used");
        }
    }
}
