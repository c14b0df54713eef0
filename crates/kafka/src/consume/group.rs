//! What the consumer does when its group changes, and when librdkafka has something to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::desk::AssignmentTable;
use super::limits::LEAVE_WAIT;
use super::partition::CommitPosition;
use super::progress::ConsumeCounts;
use crate::loss::BrokerLoss;

pub(crate) struct GroupContext {
    pub(crate) topic: String,
    pub(crate) desk: Arc<AssignmentTable>,
    pub(crate) counts: Arc<ConsumeCounts>,
    pub(crate) loss: BrokerLoss,
    /// Whether a commit has failed since the last one was sent.
    pub(crate) is_uncommitted: AtomicBool,
}

pub(crate) type GroupConsumer = BaseConsumer<GroupContext>;

impl ClientContext for GroupContext {
    fn stats(&self, statistics: Statistics) {
        self.loss.look(&statistics);
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        for (number, partition) in &topic.partitions {
            self.counts.end(*number, partition.hi_offset);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(error = %error, "{reason}");
    }
}

impl ConsumerContext for GroupContext {
    /// Before a partition is given away, all its commands in flight end, and what they have done is
    /// committed: the next owner begins there, and no request of this process comes after its own.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let numbers = numbers(list);
                tracing::info!(partitions = ?numbers, "got {} partitions", numbers.len());
                self.desk.join(&numbers);
            }
            Rebalance::Revoke(list) => {
                let numbers = numbers(list);
                tracing::info!(partitions = ?numbers, "leaving {} partitions", numbers.len());
                let positions = self.desk.leave(&numbers, LEAVE_WAIT);
                commit(consumer, &self.topic, &positions, CommitMode::Sync);
            }
            Rebalance::Error(error) => tracing::warn!(error = %error, "the group has a problem"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            self.is_uncommitted.store(true, Ordering::Relaxed);
            tracing::warn!(error = %error, "offsets are not committed; commands may be answered twice");
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(|element| element.partition()).collect()
}

/// Commits positions. A failure is only logged: the commands behind the last commit are answered again.
pub(crate) fn commit(
    consumer: &GroupConsumer,
    topic: &str,
    positions: &[(i32, CommitPosition)],
    mode: CommitMode,
) {
    if positions.is_empty() {
        return;
    }
    let mut list = TopicPartitionList::new();
    for (number, CommitPosition { offset, results }) in positions {
        let mut element = list.add_partition(topic, *number);
        if let Err(error) = element.set_offset(Offset::Offset(*offset)) {
            tracing::error!(error = %error, "an offset cannot be committed");
            return;
        }
        element.set_metadata(metadata(*results));
    }
    if let Err(error) = consumer.commit(&list, mode) {
        tracing::warn!(error = %error, "offsets are not committed; commands may be answered twice");
    }
}

/// The metadata of a commit: from which result on the answers to later commands are.
fn metadata(results: i64) -> String {
    format!("results={results}")
}

/// What the last commits say about results; `None` for a partition without one.
pub(crate) fn results_from(
    consumer: &GroupConsumer,
    topic: &str,
    number: i32,
    wait: Duration,
) -> Result<Option<i64>, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, number);
    let found = consumer.committed_offsets(list, wait)?;
    let element = found.find_partition(topic, number);
    Ok(element.and_then(|it| it.metadata().strip_prefix("results=")?.parse().ok()))
}
