//! The commands of one partition that were taken and are not answered yet. No clock, no Kafka.
//!
//! A command *waits* until it is begun. Then it has a *slot* in the window, and stands in its *lane*: a
//! lane is worked off one command after the other. An offset may be committed if all commands before it
//! are answered.

use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;

use super::answer::CommandSource;
use super::command::CouponCommand;
use super::limits::SPREAD_MAX;

#[derive(Debug)]
pub(crate) struct TakenRecord {
    pub(crate) source: CommandSource,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct LaneJob {
    pub(crate) source: CommandSource,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) work: JobWork,
}

#[derive(Debug)]
pub(crate) enum JobWork {
    Send(Box<CouponCommand>),
    /// It has had this answer, at this offset of the results. It gets the same once more.
    Repeat {
        value: Vec<u8>,
        at: i64,
    },
    DeadLetter {
        reason: String,
        value: Option<Vec<u8>>,
    },
}

#[derive(Debug)]
struct WindowSlot {
    offset: i64,
    /// Where its answer is, once it has one.
    answered_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitPosition {
    /// All commands before this offset are answered.
    pub(crate) offset: i64,
    /// All answers to later commands have this offset in the results, or a higher one.
    pub(crate) results: i64,
}

/// One partition between its assignment and its revocation.
#[derive(Debug, Default)]
pub(crate) struct CommandPartition {
    /// Tells apart two assignments of the same partition.
    pub(crate) epoch: u64,
    /// Whether it is to be left: no new request may begin.
    pub(crate) closing: watch::Sender<bool>,
    waiting: VecDeque<TakenRecord>,
    window: VecDeque<WindowSlot>,
    lanes: HashMap<String, VecDeque<LaneJob>>,
    unanswered: usize,
    running: usize,
    /// Behind the last command whose predecessors are all answered.
    done: Option<i64>,
    /// Behind the last answer that this process has written.
    results_end: Option<i64>,
    /// No remembered answer that is still needed has a lower offset.
    remembered: Option<i64>,
    /// Behind the last result that was read. Answers of this process have higher offsets.
    read_end: Option<i64>,
}

impl CommandPartition {
    pub(crate) fn new(epoch: u64) -> CommandPartition {
        CommandPartition { epoch, ..CommandPartition::default() }
    }

    pub(crate) fn take(&mut self, taken: TakenRecord) {
        self.waiting.push_back(taken);
    }

    /// How many commands have no answer yet.
    pub(crate) fn taken(&self) -> usize {
        self.waiting.len() + self.unanswered
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running
    }

    pub(crate) fn next(&self) -> Option<i64> {
        self.waiting.front().map(|taken| taken.source.offset)
    }

    /// The next command, if it is near enough to the first one without an answer.
    pub(crate) fn next_to_begin(&mut self) -> Option<TakenRecord> {
        let next = self.next()?;
        let is_near = self.window.front().is_none_or(|first| next - first.offset < SPREAD_MAX);
        if is_near { self.waiting.pop_front() } else { None }
    }

    /// Puts a job behind the others of its lane. Whether nobody works off the lane yet.
    pub(crate) fn begin(&mut self, job: LaneJob, lane: &str) -> bool {
        self.window.push_back(WindowSlot { offset: job.source.offset, answered_at: None });
        self.unanswered += 1;
        if let Some(jobs) = self.lanes.get_mut(lane) {
            jobs.push_back(job);
            return false;
        }
        self.lanes.insert(lane.to_owned(), VecDeque::from([job]));
        true
    }

    /// The next job of a lane. After the last one the lane is gone, and with it its worker.
    pub(crate) fn next_of(&mut self, lane: &str) -> Option<LaneJob> {
        let job = self.lanes.get_mut(lane).and_then(VecDeque::pop_front);
        match job {
            Some(_) => self.running += 1,
            None => drop(self.lanes.remove(lane)),
        }
        job
    }

    /// The answer to a command was written to this offset of the results. A remembered answer is where
    /// it was first.
    pub(crate) fn answered(&mut self, offset: i64, written_at: Option<i64>, first_at: Option<i64>) {
        self.running -= 1;
        if let Some(at) = written_at {
            self.results_end = self.results_end.max(Some(at + 1));
        }
        if let Ok(slot) = self.window.binary_search_by_key(&offset, |slot| slot.offset) {
            // A dead letter is in another topic: a repeat needs nothing of the results.
            let at = first_at.or(written_at).unwrap_or(i64::MAX);
            self.window[slot].answered_at = Some(at);
            self.unanswered -= 1;
        }
        while let Some(WindowSlot { offset, answered_at: Some(_) }) = self.window.front() {
            self.done = Some(offset + 1);
            self.window.pop_front();
        }
    }

    /// A command was given up, because the partition is left. Its next owner sends it again.
    pub(crate) fn gave_up(&mut self) {
        self.running -= 1;
    }

    /// Drops what is not running, and tells the workers.
    pub(crate) fn close(&mut self) {
        self.closing.send_replace(true);
        self.waiting.clear();
        self.lanes.values_mut().for_each(VecDeque::clear);
    }

    /// Says from which offset on remembered answers are still needed, and how far results were read.
    pub(crate) fn remember_from(&mut self, (at, read_end): (Option<i64>, Option<i64>)) {
        self.remembered = at;
        self.read_end = read_end;
    }

    /// The offset of the first command without an answer, or behind the last one; nothing before the first
    /// message.
    pub(crate) fn first_unanswered(&self) -> Option<i64> {
        let begun = self.window.front().map(|slot| slot.offset);
        begun.or_else(|| self.next()).or(self.done)
    }

    /// What may be committed; nothing before the first answer.
    pub(crate) fn position(&self) -> Option<CommitPosition> {
        let offset = self.done?;
        let of_window = self.window.iter().filter_map(|slot| slot.answered_at).min();
        let end = self.results_end.or(self.read_end);
        let results = [of_window, end, self.remembered].into_iter().flatten().min();
        Some(CommitPosition { offset, results: results.unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(offset: i64) -> TakenRecord {
        TakenRecord { source: CommandSource::of(offset, None, None), key: None, value: None }
    }

    fn begun(partition: &mut CommandPartition, offset: i64, lane: &str) -> bool {
        partition.take(taken(offset));
        let TakenRecord { source, key, value } = partition.next_to_begin().expect("near enough");
        let work = JobWork::DeadLetter { reason: String::new(), value };
        partition.begin(LaneJob { source, key, work }, lane)
    }

    fn at(offset: i64, results: i64) -> Option<CommitPosition> {
        Some(CommitPosition { offset, results })
    }

    #[test]
    fn a_lane_is_in_order_and_ends() {
        let mut partition = CommandPartition::new(1);
        assert!(begun(&mut partition, 1, "a"), "the first of a lane");
        assert!(!begun(&mut partition, 2, "a"), "somebody works it off");
        assert!(begun(&mut partition, 3, "b"), "another lane");
        let offset = |job: Option<LaneJob>| job.map(|job| job.source.offset);
        assert_eq!(offset(partition.next_of("a")), Some(1));
        assert_eq!(offset(partition.next_of("a")), Some(2));
        assert_eq!(offset(partition.next_of("a")), None);
        assert_eq!(partition.running(), 2);
        assert!(begun(&mut partition, 4, "a"), "its worker has ended");
    }

    #[test]
    fn positions_stay_behind_the_first_without_an_answer() {
        let mut partition = CommandPartition::new(1);
        for (offset, lane) in [(5, "a"), (6, "b"), (8, "c")] {
            begun(&mut partition, offset, lane);
            partition.next_of(lane);
        }
        assert_eq!(partition.position(), None, "no answer yet");
        assert_eq!(partition.first_unanswered(), Some(5));
        partition.answered(6, Some(100), None);
        assert_eq!(partition.position(), None, "5 has none");
        partition.answered(5, Some(101), None);
        assert_eq!(partition.position(), at(7, 102), "8 has none");
        assert_eq!(partition.first_unanswered(), Some(8));
        partition.answered(8, Some(102), None);
        assert_eq!((partition.position(), partition.taken()), (at(9, 103), 0));
        assert_eq!(partition.first_unanswered(), Some(9), "all have one");
    }

    #[test]
    fn positions_keep_the_answers_of_later_commands() {
        let mut partition = CommandPartition::new(1);
        for (offset, lane) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            begun(&mut partition, offset, lane);
            partition.next_of(lane);
        }
        partition.answered(4, Some(50), Some(7));
        partition.answered(1, Some(51), None);
        assert_eq!(partition.position(), at(2, 7), "the answer to 4 is at 7, and again at 50");
        partition.answered(3, Some(52), None);
        partition.answered(2, Some(53), None);
        assert_eq!(partition.position(), at(5, 54), "none is needed");
        partition.remember_from((Some(9), Some(60)));
        assert_eq!(partition.position(), at(5, 9), "what is remembered is needed");
    }

    #[test]
    fn positions_without_an_answer_of_this_process() {
        let mut partition = CommandPartition::new(1);
        begun(&mut partition, 1, "a");
        partition.next_of("a");
        partition.answered(1, None, None);
        assert_eq!(partition.position(), at(2, 0), "a dead letter, and no result was read");
        partition.remember_from((None, Some(60)));
        assert_eq!(partition.position(), at(2, 60));
    }

    #[test]
    fn the_window_has_a_limit() {
        let mut partition = CommandPartition::new(1);
        begun(&mut partition, 10, "a");
        partition.take(taken(10 + SPREAD_MAX - 1));
        partition.take(taken(10 + SPREAD_MAX));
        assert!(partition.next_to_begin().is_some(), "at the limit");
        assert!(partition.next_to_begin().is_none(), "beyond");
        partition.next_of("a");
        partition.answered(10, Some(0), None);
        assert!(partition.next_to_begin().is_some(), "the first one is answered");
    }

    #[test]
    fn a_closed_partition_begins_nothing() {
        let mut partition = CommandPartition::new(1);
        begun(&mut partition, 1, "a");
        begun(&mut partition, 2, "a");
        partition.take(taken(3));
        partition.next_of("a");
        partition.close();
        assert!(partition.next_of("a").is_none() && partition.next().is_none());
        assert_eq!(partition.running(), 1);
        partition.gave_up();
        assert_eq!((partition.running(), partition.position()), (0, None));
    }
}
