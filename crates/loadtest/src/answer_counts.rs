//! The counts of a run: times, answers, and wrong answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::scenario::{AnswerVerdict, CallKind};

/// Longest time that is measured, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// Digits of a time that are kept.
const DIGITS: u8 = 3;

/// The same for each of the many pieces of the run.
const DIGITS_OF_INTERVAL: u8 = 2;

/// Most pieces that a run is divided into for its plot.
const INTERVALS_MAX: u32 = 240;

/// Shortest piece.
const INTERVAL_MIN: Duration = Duration::from_millis(500);

/// Most wrong answers that are kept as text.
const SAMPLES_MAX: usize = 5;

/// Counts of one sender, and in the end of all senders.
#[derive(Debug)]
pub(crate) struct AnswerCounts {
    /// Requests that were due before this instant are not counted, except wrong answers.
    measured_from: Instant,
    begin: Instant,
    pub(crate) interval: Duration,
    /// Right answers, in microseconds from the instant at which the request was due.
    pub(crate) times: Histogram<u64>,
    pub(crate) by_kind: BTreeMap<CallKind, Histogram<u64>>,
    pub(crate) intervals: Vec<Histogram<u64>>,
    /// How late requests were sent although a connection was free: the fault of the sender.
    pub(crate) lateness: Histogram<u64>,
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) wrong: u64,
    pub(crate) samples: Vec<String>,
    /// Requests that waited for a connection longer than the time allowed for an answer.
    pub(crate) unsent: u64,
    /// The last right answer.
    pub(crate) last: Option<Instant>,
    pub(crate) ran_out: bool,
}

fn histogram(digits: u8) -> Histogram<u64> {
    let made = Histogram::new_with_bounds(1, LONGEST_US, digits);
    made.expect("bounds and digits are within what a histogram allows")
}

impl AnswerCounts {
    pub(crate) fn new(begin: Instant, measured_from: Instant, end: Instant) -> AnswerCounts {
        let interval = ((end - begin) / INTERVALS_MAX).max(INTERVAL_MIN);
        AnswerCounts {
            measured_from,
            begin,
            interval,
            times: histogram(DIGITS),
            by_kind: BTreeMap::new(),
            intervals: Vec::new(),
            lateness: histogram(DIGITS),
            refused: BTreeMap::new(),
            wrong: 0,
            samples: Vec::new(),
            unsent: 0,
            last: None,
            ran_out: false,
        }
    }

    pub(crate) fn note(
        &mut self,
        kind: CallKind,
        due: Instant,
        now: Instant,
        verdict: AnswerVerdict,
    ) {
        match verdict {
            AnswerVerdict::Wrong(what) => self.note_wrong(what),
            _ if due < self.measured_from => {}
            AnswerVerdict::Refused(code) => *self.refused.entry(code).or_default() += 1,
            AnswerVerdict::Right => {
                let micros = micros(now - due);
                self.times.saturating_record(micros);
                let of_kind = self.by_kind.entry(kind).or_insert_with(|| histogram(DIGITS));
                of_kind.saturating_record(micros);
                self.last = self.last.max(Some(now));
            }
        }
        self.note_interval(due, now);
    }

    pub(crate) fn note_wrong(&mut self, what: String) {
        self.wrong += 1;
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(what);
        }
    }

    /// Records how long a request waited, whatever the answer.
    fn note_interval(&mut self, due: Instant, now: Instant) {
        let at = ((due - self.begin).as_nanos() / self.interval.as_nanos()) as usize;
        while self.intervals.len() <= at {
            self.intervals.push(histogram(DIGITS_OF_INTERVAL));
        }
        self.intervals[at].saturating_record(micros(now - due));
    }

    pub(crate) fn called_late(&mut self, late: Duration) {
        self.lateness.saturating_record(micros(late));
    }

    pub(crate) fn never_sent(&mut self, due: Instant) {
        self.note_interval(due, Instant::now());
        self.unsent += 1;
    }

    pub(crate) fn add(&mut self, other: AnswerCounts) {
        const SAME: &str = "all histograms of a kind have the same bounds";
        self.times.add(&other.times).expect(SAME);
        self.lateness.add(&other.lateness).expect(SAME);
        for (kind, times) in other.by_kind {
            let of_kind = self.by_kind.entry(kind).or_insert_with(|| histogram(DIGITS));
            of_kind.add(&times).expect(SAME);
        }
        for (at, times) in other.intervals.into_iter().enumerate() {
            match self.intervals.get_mut(at) {
                Some(of_interval) => of_interval.add(&times).expect(SAME),
                None => self.intervals.push(times),
            }
        }
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.wrong += other.wrong;
        let room = SAMPLES_MAX.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
        self.unsent += other.unsent;
        self.last = self.last.max(other.last);
        self.ran_out |= other.ran_out;
    }

    /// Seconds between the end of the warm-up and the last right answer.
    pub(crate) fn measured(&self) -> f64 {
        self.last.map_or(0.0, |last| (last - self.measured_from).as_secs_f64())
    }
}

fn micros(time: Duration) -> u64 {
    (time.as_micros() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted() {
        let begin = Instant::now();
        let at = |millis: u64| begin + Duration::from_millis(millis);
        let mut counts = AnswerCounts::new(begin, at(1_000), at(60_000));
        counts.note(CallKind::Redeem, at(500), at(501), AnswerVerdict::Right);
        counts.note(CallKind::Redeem, at(900), at(901), AnswerVerdict::Refused("503".into()));
        assert_eq!(counts.times.len(), 0, "warm-up");
        assert!(counts.refused.is_empty(), "warm-up");
        // Due at 1.5 s and answered at 2 s, whenever it was sent.
        counts.note(CallKind::Redeem, at(1_500), at(2_000), AnswerVerdict::Right);
        counts.note(CallKind::LookUp, at(1_600), at(2_000), AnswerVerdict::Wrong("x".into()));
        let mut other = AnswerCounts::new(begin, at(1_000), at(60_000));
        other.note(CallKind::Redeem, at(2_000), at(3_000), AnswerVerdict::Right);
        counts.add(other);
        assert_eq!(counts.times.len(), 2);
        assert!(counts.times.max().abs_diff(1_000_000) < 1_000);
        assert_eq!((counts.wrong, counts.samples.len()), (1, 1));
        assert!((counts.measured() - 2.0).abs() < 0.001);
        let counted: u64 = counts.intervals.iter().map(Histogram::len).sum();
        assert_eq!(counted, 5, "every wait is plotted, whatever the answer");
    }
}
