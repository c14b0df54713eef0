//! What a consumer has done and what waits for it: counts, and a line of progress.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::answer::CommandOutcome;
use super::desk::AssignmentTable;
use super::partition::CommandPartition;
use crate::rate::ReportRate;

#[derive(Debug, Default)]
pub(crate) struct ConsumeCounts {
    accepted: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// Commands that got the answer that they had got before.
    pub(crate) repeated: AtomicU64,
    /// Messages that were no command.
    pub(crate) dead: AtomicU64,
    /// Requests that had to be sent again.
    pub(crate) again: AtomicU64,
    /// Behind the last message of each partition, as the brokers say.
    ends: Mutex<HashMap<i32, i64>>,
}

impl ConsumeCounts {
    pub(crate) fn outcome(&self, outcome: CommandOutcome) {
        let count = match outcome {
            CommandOutcome::Accepted => &self.accepted,
            CommandOutcome::Refused => &self.refused,
            CommandOutcome::Unknown => &self.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A partition has messages up to this offset.
    pub(crate) fn end(&self, partition: i32, offset: i64) {
        self.ends.lock().insert(partition, offset);
    }

    /// How many messages these partitions have from these offsets on.
    pub(crate) fn lag(&self, from: &[(i32, i64)]) -> i64 {
        let ends = self.ends.lock();
        let of = |(number, offset): &(i32, i64)| ends.get(number).map_or(0, |end| end - offset);
        from.iter().map(of).filter(|lag| *lag > 0).sum()
    }

    /// How many commands have an answer of each kind.
    pub(crate) fn answers(&self) -> [(&'static str, u64); 5] {
        let all = [
            ("accepted", &self.accepted),
            ("refused", &self.refused),
            ("unknown", &self.unknown),
            ("repeated", &self.repeated),
            ("dead_letter", &self.dead),
        ];
        all.map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }

    /// Logs a line of progress if it is time.
    pub(crate) fn report(&self, desk: &AssignmentTable, rate: &mut ReportRate) {
        let answers = self.answers().map(|(_, count)| count);
        let done = answers.iter().sum::<u64>();
        let Some(rate) = rate.of(done) else { return };
        let load = desk.load();
        let [accepted, refused, unknown, repeated, dead_letters] = answers;
        let lag = self.lag(&desk.each(CommandPartition::first_unanswered));
        tracing::info!(
            lag,
            per_second = rate.round(),
            partitions = load.partitions,
            taken = load.taken,
            running = load.running,
            accepted,
            refused,
            unknown,
            repeated,
            dead_letters,
            sent_again = self.again.load(Ordering::Relaxed),
            "answered {done} commands, {rate:.0} a second, {lag} behind"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_behind() {
        let counts = ConsumeCounts::default();
        counts.end(0, 10);
        counts.end(1, 5);
        let cases = [
            ("both", &[(0, 7), (1, 5)][..], 3),
            ("an older end", &[(0, 12)][..], 0),
            ("no end yet", &[(2, 3)][..], 0),
        ];
        for (name, from, want) in cases {
            assert_eq!(counts.lag(from), want, "{name}");
        }
    }
}
