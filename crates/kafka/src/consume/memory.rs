//! Answers of earlier runs, read from the result topic.
//!
//! Most commands may be sent twice, because couponry remembers their names. But some have no name (hold,
//! release), and a command that was refused could be accepted later. So a command that was answered once
//! gets the same answer again and is not sent: then reading the topic from its beginning changes nothing.
//!
//! The answers of one partition of commands are in one partition of results, at most [`SPREAD_MAX`]
//! commands out of order. So both can be read side by side, and only the answers between them are kept
//! in memory. A commit says in its metadata from which result on to read; without it, all are read.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::answer::CommandSource;
use super::limits::SPREAD_MAX;
use super::writer::ConsumerTopics;
use crate::cli::BrokerArgs;
use crate::config::{self, TopicReader};
use crate::error::Result;
use crate::loss::BrokerLoss;

/// Results that are read before commands are looked at again.
const READ_MAX: usize = 1_000;

/// Results of one partition are read so many commands ahead, then the partition is paused.
const AHEAD: i64 = 2 * SPREAD_MAX;

pub(crate) struct ResultMemory {
    reader: TopicReader,
    names: ConsumerTopics,
    partitions: HashMap<i32, PartitionRecall>,
}

#[derive(Debug)]
pub(crate) struct PartitionRecall {
    /// The next result to read.
    pub(crate) position: i64,
    /// The highest command that a result was about.
    horizon: i64,
    is_done: bool,
    is_paused: bool,
    answers: BTreeMap<i64, RememberedAnswer>,
}

/// An answer of an earlier run.
#[derive(Debug)]
pub(crate) struct RememberedAnswer {
    hash: String,
    pub(crate) value: Vec<u8>,
    /// Its offset in the results.
    pub(crate) at: i64,
}

impl PartitionRecall {
    fn new(position: i64) -> PartitionRecall {
        let answers = BTreeMap::new();
        PartitionRecall { position, horizon: -1, is_done: false, is_paused: false, answers }
    }

    /// Notes an answer. The first one to a command counts; later ones are copies.
    fn note(&mut self, source: CommandSource, value: &[u8], at: i64, next: i64) {
        self.position = at + 1;
        self.horizon = self.horizon.max(source.offset);
        if source.offset >= next {
            let remembered = RememberedAnswer { hash: source.hash, value: value.to_vec(), at };
            self.answers.entry(source.offset).or_insert(remembered);
        }
    }

    /// Whether an answer to the command at `offset` would have been read.
    pub(crate) fn covers(&self, offset: i64) -> bool {
        self.is_done || self.horizon >= offset + SPREAD_MAX
    }

    /// The answer to this command. Those to commands before it are forgotten.
    pub(crate) fn recall(&mut self, source: &CommandSource) -> Option<RememberedAnswer> {
        self.answers = self.answers.split_off(&source.offset);
        let found = self.answers.remove(&source.offset)?;
        (found.hash == source.hash).then_some(found)
    }

    /// No answer that is still needed has a lower offset. `None`: none is needed.
    pub(crate) fn floor(&self) -> Option<i64> {
        let of_answers = self.answers.values().map(|it| it.at).min();
        let of_rest = Some(self.position).filter(|_| !self.is_done);
        [of_answers, of_rest].into_iter().flatten().min()
    }
}

impl ResultMemory {
    pub(crate) fn new(
        brokers: &BrokerArgs,
        group: &str,
        names: ConsumerTopics,
    ) -> Result<ResultMemory> {
        let reader = config::reader(brokers, group, "read_uncommitted")?;
        Ok(ResultMemory { reader, names, partitions: HashMap::new() })
    }

    pub(crate) fn loss(&self) -> &BrokerLoss {
        &self.reader.context().loss
    }

    fn list(&self, partition: i32, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.names.results, partition, offset)?;
        Ok(list)
    }

    /// Begins with a partition, from this result on; `None`: from the first one that there is.
    pub(crate) fn open(&mut self, partition: i32, from: Option<i64>) -> Result<(), KafkaError> {
        let offset = from.map_or(Offset::Beginning, Offset::Offset);
        self.reader.incremental_assign(&self.list(partition, offset)?)?;
        self.partitions.insert(partition, PartitionRecall::new(from.unwrap_or(0)));
        Ok(())
    }

    pub(crate) fn close(&mut self, partition: i32) -> Result<(), KafkaError> {
        match self.partitions.remove(&partition) {
            Some(recall) if !recall.is_done => {
                self.reader.incremental_unassign(&self.list(partition, Offset::Invalid)?)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads on, for the partitions whose next command `next` tells.
    pub(crate) fn read(&mut self, next: impl Fn(i32) -> Option<i64>) -> Result<(), KafkaError> {
        let open = self.partitions.iter().filter(|(_, recall)| !recall.is_done);
        for number in open.map(|(number, _)| *number).collect::<Vec<i32>>() {
            self.steer(number, next(number))?;
        }
        // Also if all results are read: otherwise what librdkafka has to say would pile up.
        for _ in 0..READ_MAX {
            match self.reader.poll(Duration::ZERO) {
                None => break,
                Some(Ok(result)) => {
                    let of = next(result.partition()).unwrap_or(0);
                    note(&mut self.partitions, &self.names, &result, of);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.finish(partition)?,
                Some(Err(error)) => {
                    tracing::warn!(error = %error, "cannot read earlier results yet");
                    break;
                }
            }
        }
        Ok(())
    }

    /// Lets a partition be read only as far as its commands need it.
    fn steer(&mut self, number: i32, next: Option<i64>) -> Result<(), KafkaError> {
        let list = self.list(number, Offset::Invalid)?;
        let Some(recall) = self.partitions.get_mut(&number).filter(|it| !it.is_done) else {
            return Ok(());
        };
        let is_ahead = next.is_some_and(|next| recall.horizon >= next + AHEAD);
        if is_ahead && !recall.is_paused {
            self.reader.pause(&list)?;
        } else if !is_ahead && recall.is_paused {
            self.reader.resume(&list)?;
        }
        recall.is_paused = is_ahead;
        Ok(())
    }

    /// All results of a partition are read. What comes now is of this process.
    fn finish(&mut self, partition: i32) -> Result<(), KafkaError> {
        let list = self.list(partition, Offset::Invalid)?;
        if let Some(recall) = self.partitions.get_mut(&partition).filter(|it| !it.is_done) {
            recall.is_done = true;
            self.reader.incremental_unassign(&list)?;
        }
        Ok(())
    }

    /// What is remembered of a partition, once it is open.
    pub(crate) fn of(&mut self, partition: i32) -> Option<&mut PartitionRecall> {
        self.partitions.get_mut(&partition)
    }
}

fn note(
    partitions: &mut HashMap<i32, PartitionRecall>,
    names: &ConsumerTopics,
    result: &BorrowedMessage<'_>,
    next: i64,
) {
    let Some(recall) = partitions.get_mut(&result.partition()).filter(|it| !it.is_done) else {
        return;
    };
    let at = result.offset();
    let headers = result.headers();
    let source =
        headers.and_then(|it| CommandSource::named(it, &names.commands, result.partition()));
    match source {
        Some(source) => recall.note(source, result.payload().unwrap_or_default(), at, next),
        // Of somebody else.
        None => recall.position = at + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(offset: i64) -> CommandSource {
        CommandSource::of(offset, Some(0), Some(b"x"))
    }

    #[test]
    fn answers_are_recalled_once_and_in_order() {
        let mut recall = PartitionRecall::new(0);
        recall.note(source(1), b"one", 0, 0);
        recall.note(source(0), b"zero", 1, 0);
        recall.note(source(1), b"copy", 2, 0);
        let mut value = |offset| recall.recall(&source(offset)).map(|it| (it.value, it.at));
        assert_eq!(value(0), Some((b"zero".to_vec(), 1)));
        assert_eq!(value(1), Some((b"one".to_vec(), 0)), "the first counts");
        assert_eq!(value(2), None);
        recall.note(source(9), b"nine", 3, 4);
        let other = CommandSource::of(9, Some(1), Some(b"x"));
        assert!(recall.recall(&other).is_none(), "another command at the same offset");
    }

    #[test]
    fn a_command_is_covered_when_its_answer_would_have_been_read() {
        let mut recall = PartitionRecall::new(0);
        assert!(!recall.covers(0), "nothing is read");
        recall.note(source(SPREAD_MAX + 4), b"", 0, 5);
        assert!(recall.covers(4) && !recall.covers(5));
        recall.is_done = true;
        assert!(recall.covers(5) && recall.covers(i64::MAX - SPREAD_MAX));
    }

    #[test]
    fn the_floor_keeps_what_is_needed() {
        let mut recall = PartitionRecall::new(7);
        assert_eq!(recall.floor(), Some(7), "nothing is read");
        recall.note(source(3), b"", 9, 2);
        recall.note(source(1), b"", 10, 2);
        assert_eq!(recall.floor(), Some(9), "the answer to 3");
        recall.is_done = true;
        assert_eq!(recall.floor(), Some(9));
        recall.recall(&source(3));
        assert_eq!(recall.floor(), None, "none is needed any more");
    }
}
