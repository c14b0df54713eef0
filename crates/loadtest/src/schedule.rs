//! When requests are due. This is fixed before the first one is sent, whatever the server does.

use std::time::Duration;

/// The rate of a spike, in base rates.
pub const SPIKE_TIMES: f64 = 50.0;

/// How long a spike is.
pub const SPIKE: Duration = Duration::from_secs(10);

/// A rate that may change. Requests are evenly spaced.
#[derive(Clone, Debug, PartialEq)]
pub struct RateSchedule {
    /// Each step: its end, and its requests a second.
    pieces: Vec<(Duration, f64)>,
}

impl RateSchedule {
    /// The same rate from beginning to end.
    pub fn steady(rate: f64, time: Duration) -> RateSchedule {
        RateSchedule { pieces: vec![(time, rate)] }
    }

    /// [`SPIKE_TIMES`] the rate for [`SPIKE`], in the middle of `time`, and the rate itself before
    /// and after.
    pub fn spike(rate: f64, time: Duration) -> RateSchedule {
        let before = time / 2;
        let spike = before + SPIKE;
        let pieces =
            vec![(before, rate), (spike, rate * SPIKE_TIMES), (spike + (time - before), rate)];
        RateSchedule { pieces }
    }

    /// The share of one of `senders`.
    pub fn share(&self, sender: usize, senders: usize) -> DueTimes {
        let (sender, senders) = (sender as f64, senders as f64);
        let next = sender / self.base();
        DueTimes { pieces: self.pieces.clone(), sender, senders, next, at: 0 }
    }

    /// Its end.
    pub fn end(&self) -> Duration {
        self.pieces.last().map_or(Duration::ZERO, |(until, _)| *until)
    }

    /// The rate at the beginning, in requests a second.
    pub fn base(&self) -> f64 {
        self.pieces.first().map_or(0.0, |(_, rate)| *rate)
    }
}

/// The instants at which the requests of one sender are due, from the start of the run.
#[derive(Clone, Debug)]
pub struct DueTimes {
    pieces: Vec<(Duration, f64)>,
    sender: f64,
    senders: f64,
    /// Seconds.
    next: f64,
    at: usize,
}

impl Iterator for DueTimes {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let (until, rate) = *self.pieces.get(self.at)?;
            if self.next < until.as_secs_f64() {
                let due = Duration::from_secs_f64(self.next);
                self.next += self.senders / rate;
                return Some(due);
            }
            self.at += 1;
            // A higher rate begins at once, not at the next instant of the lower rate.
            let (_, rate) = *self.pieces.get(self.at)?;
            self.next = until.as_secs_f64() + self.sender / rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(times: DueTimes, from: u64, to: u64) -> usize {
        let within = Duration::from_secs(from)..Duration::from_secs(to);
        times.filter(|due| within.contains(due)).count()
    }

    #[test]
    fn steady() {
        let schedule = RateSchedule::steady(1_000.0, Duration::from_secs(3));
        let count = count(schedule.share(0, 1), 0, 10);
        assert!((2_999..=3_001).contains(&count), "{count}");
    }

    #[test]
    fn a_spike_is_in_the_middle() {
        let schedule = RateSchedule::spike(10.0, Duration::from_secs(20));
        assert_eq!(schedule.end(), Duration::from_secs(30));
        for (from, to, want) in [(0, 10, 100), (10, 20, 5_000), (20, 30, 100)] {
            let found = count(schedule.share(0, 1), from, to);
            assert!(found.abs_diff(want) <= 2, "{from} to {to}: {found}");
        }
    }

    #[test]
    fn senders_share() {
        let schedule = RateSchedule::steady(999.0, Duration::from_secs(1));
        let mut all: Vec<Duration> = (0..3).flat_map(|it| schedule.share(it, 3)).collect();
        all.sort();
        assert!(all.len().abs_diff(999) <= 3, "{}", all.len());
        let widest = all.windows(2).map(|two| two[1] - two[0]).max().expect("two");
        assert!(widest < Duration::from_micros(1_100), "{widest:?}");
    }
}
