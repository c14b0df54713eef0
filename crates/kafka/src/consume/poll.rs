//! The loop of the consumer's thread: take messages, begin commands, commit, pause and resume.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, TopicPartitionList};
use tokio::runtime::Handle;

use super::answer::CommandSource;
use super::command::CouponCommand;
use super::group::{self, GroupConsumer, GroupContext};
use super::limits::{COMMIT_EVERY, LEAVE_WAIT, SPREAD_MAX, TAKEN_MAX};
use super::memory::ResultMemory;
use super::partition::{CommandPartition, JobWork, LaneJob, TakenRecord};
use super::worker::WorkerPool;
use super::writer::ConsumerTopics;
use crate::cli::ConsumeArgs;
use crate::config::{self, unusable};
use crate::error::{BridgeError, Result};
use crate::loss::BrokerLoss;
use crate::rate::ReportRate;
use crate::stop::StopSignal;

/// The longest wait for a message: how late a command may begin that waits for another one.
const POLL: Duration = Duration::from_millis(50);

/// The same while commands wait for their turn.
const POLL_BUSY: Duration = Duration::from_millis(2);

/// Messages that are taken before commands are begun.
const TAKE_MAX: usize = 500;

/// The longest question about a commit of an earlier owner. It is asked again.
const ASK: Duration = Duration::from_secs(5);

pub(crate) struct CommandBridge<'a> {
    args: &'a ConsumeArgs,
    consumer: GroupConsumer,
    workers: Arc<WorkerPool>,
    memory: ResultMemory,
    runtime: &'a Handle,
    known: HashMap<i32, KnownAssignment>,
    committed_at: Instant,
    is_full: bool,
    rate: &'a mut ReportRate,
}

/// What the consumer's thread knows of one assignment.
#[derive(Debug, Default)]
struct KnownAssignment {
    epoch: u64,
    committed: Option<i64>,
    is_paused: bool,
}

impl<'a> CommandBridge<'a> {
    /// Joins the group.
    pub(crate) fn new(
        args: &'a ConsumeArgs,
        names: ConsumerTopics,
        workers: Arc<WorkerPool>,
        runtime: &'a Handle,
        rate: &'a mut ReportRate,
    ) -> Result<CommandBridge<'a>> {
        let group = GroupContext {
            topic: args.topic.clone(),
            desk: Arc::clone(&workers.desk),
            counts: Arc::clone(&workers.counts),
            loss: BrokerLoss::default(),
            is_uncommitted: AtomicBool::new(false),
        };
        let config = config::consumer(&args.brokers, &args.group);
        let consumer: GroupConsumer = config.create_with_context(group).map_err(unusable)?;
        consumer.subscribe(&[&args.topic]).map_err(unusable)?;
        let memory = ResultMemory::new(&args.brokers, &args.group, names)?;
        Ok(CommandBridge {
            args,
            consumer,
            workers,
            memory,
            runtime,
            known: HashMap::new(),
            committed_at: Instant::now(),
            is_full: false,
            rate,
        })
    }

    /// Works until the end is asked for or the brokers are lost, then finishes what is in flight. If they are
    /// lost, answers that they have not acknowledged are given up: their commands are begun again.
    pub(crate) fn run(mut self, stop: &StopSignal) -> Result<()> {
        let mut failure = None;
        while !stop.is_asked() && !self.is_lost() && failure.is_none() {
            failure = self.step().err().or_else(|| self.workers.failure());
        }
        let is_lost = self.is_lost();
        if is_lost {
            tracing::warn!(
                "librdkafka has lost all brokers; leaving the group, and joining it again"
            );
        }
        let desk = &self.workers.desk;
        let numbers: Vec<i32> =
            desk.each(|_| Some(())).into_iter().map(|(number, ())| number).collect();
        let positions = desk.leave(&numbers, LEAVE_WAIT);
        if !is_lost {
            self.workers.writer.flush(LEAVE_WAIT);
        }
        group::commit(&self.consumer, &self.args.topic, &positions, CommitMode::Sync);
        match failure {
            Some(why) if !is_lost => Err(BridgeError::Failed(why)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether one of the clients has lost its brokers.
    fn is_lost(&self) -> bool {
        let group = &self.consumer.context().loss;
        [group, self.memory.loss(), &self.workers.writer.loss].iter().any(|it| it.is_known())
    }

    fn step(&mut self) -> Result<(), String> {
        self.take()?;
        let assigned = self.workers.desk.each(|partition| Some(partition.epoch));
        self.follow(&assigned).map_err(|error| format!("cannot read earlier results: {error}"))?;
        for (number, _) in assigned {
            self.begin(number);
        }
        self.steer().map_err(|error| format!("cannot pause a partition: {error}"))?;
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.commit();
        }
        self.workers.counts.report(&self.workers.desk, self.rate);
        Ok(())
    }

    /// Takes the messages that are there; waits for the first one.
    fn take(&self) -> Result<(), String> {
        let desk = &self.workers.desk;
        let is_waiting = desk.each(|it| Some(it.waiting())).iter().any(|(_, waiting)| *waiting > 0);
        let mut wait = if is_waiting { POLL_BUSY } else { POLL };
        for _ in 0..TAKE_MAX {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    desk.with(message.partition(), |partition| partition.take(taken(&message)));
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    return Err(format!("cannot read commands: {code}"));
                }
                Some(Err(KafkaError::MessageConsumption(
                    code @ (RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed),
                ))) => tracing::error!("cannot read commands: {code}"),
                Some(Err(error)) => tracing::warn!(error = %error, "cannot read commands yet"),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// Reads earlier results of the assigned partitions, as far as their commands need them.
    fn follow(&mut self, assigned: &[(i32, u64)]) -> Result<(), KafkaError> {
        let is_old =
            |number: &i32, known: &KnownAssignment| !assigned.contains(&(*number, known.epoch));
        let old = self.known.iter().filter(|(number, known)| is_old(number, known));
        for number in old.map(|(number, _)| *number).collect::<Vec<i32>>() {
            self.memory.close(number)?;
            self.known.remove(&number);
        }
        for &(number, epoch) in assigned {
            if self.known.contains_key(&number) {
                continue;
            }
            match group::results_from(&self.consumer, &self.args.topic, number, ASK) {
                Ok(from) => self.memory.open(number, from)?,
                Err(error) => {
                    tracing::warn!(error = %error, "cannot read the last commit yet");
                    break;
                }
            }
            // It may have been paused in an earlier assignment.
            self.consumer.resume(&self.list(number))?;
            self.known.insert(number, KnownAssignment { epoch, ..KnownAssignment::default() });
        }
        let desk = &self.workers.desk;
        self.memory.read(|number| desk.with(number, |it| it.next()).flatten())?;
        for &(number, _) in assigned {
            let recall = self.memory.of(number);
            let floor = recall.map(|recall| (recall.floor(), Some(recall.position)));
            desk.with(number, |partition| partition.remember_from(floor.unwrap_or_default()));
        }
        Ok(())
    }

    fn list(&self, number: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.args.topic, number);
        list
    }

    fn begin(&mut self, number: i32) {
        let desk = &self.workers.desk;
        let Some(recall) = self.memory.of(number) else { return };
        loop {
            let next = desk.with(number, |it| it.next()).flatten();
            if !next.is_some_and(|offset| recall.covers(offset)) {
                return;
            }
            let Some(taken) = desk.with(number, |it| it.next_to_begin()).flatten() else { return };
            let remembered = recall.recall(&taken.source);
            let TakenRecord { source, key, value } = taken;
            let (lane, work) = match (remembered, CouponCommand::read(value.as_deref())) {
                (_, Err(bad)) => {
                    let lane = format!("dead letter {}", source.offset);
                    (lane, JobWork::DeadLetter { reason: bad.to_string(), value })
                }
                (Some(it), Ok(command)) => {
                    (command.lane, JobWork::Repeat { value: it.value, at: it.at })
                }
                (None, Ok(command)) => (command.lane.clone(), JobWork::Send(Box::new(command))),
            };
            if let Some(lane) = desk.begin(number, LaneJob { source, key, work }, &lane) {
                self.runtime.spawn(Arc::clone(&self.workers).work_off(lane));
            }
        }
    }

    /// Pauses partitions that have enough to do, and resumes them when half of it is done.
    fn steer(&mut self) -> Result<(), KafkaError> {
        let desk = &self.workers.desk;
        let taken = desk.load().taken;
        self.is_full = taken >= if self.is_full { TAKEN_MAX / 2 } else { TAKEN_MAX };
        let most = SPREAD_MAX as usize;
        let mut turned = Vec::new();
        for (number, known) in &mut self.known {
            let waiting = desk.with(*number, |it| it.waiting()).unwrap_or(0);
            let is_much = waiting >= if known.is_paused { most / 2 } else { most };
            if known.is_paused != (self.is_full || is_much) {
                known.is_paused = !known.is_paused;
                turned.push((*number, known.is_paused));
            }
        }
        for (number, is_paused) in turned {
            match is_paused {
                true => self.consumer.pause(&self.list(number))?,
                false => self.consumer.resume(&self.list(number))?,
            }
        }
        Ok(())
    }

    /// Commits what is new, and everything again after a commit that failed.
    fn commit(&mut self) {
        self.committed_at = Instant::now();
        let has_failed = self.consumer.context().is_uncommitted.swap(false, Ordering::Relaxed);
        let mut news = Vec::new();
        for (number, position) in self.workers.desk.each(CommandPartition::position) {
            if let Some(known) = self.known.get_mut(&number)
                && (has_failed || known.committed != Some(position.offset))
            {
                known.committed = Some(position.offset);
                news.push((number, position));
            }
        }
        group::commit(&self.consumer, &self.args.topic, &news, CommitMode::Async);
    }
}

fn taken(message: &BorrowedMessage<'_>) -> TakenRecord {
    let (value, key) = (message.payload(), message.key());
    let source = CommandSource::of(message.offset(), message.timestamp().to_millis(), value);
    TakenRecord { source, key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec) }
}
