//! Writes answers and dead letters.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::Header;
use rdkafka::producer::{FutureRecord, Producer};
use rdkafka::util::Timeout;

use super::answer::{CommandSource, REASON};
use crate::cli::BrokerArgs;
use crate::config::{self, TopicWriter};
use crate::error::Result;
use crate::loss::BrokerLoss;

#[derive(Clone, Debug)]
pub(crate) struct ConsumerTopics {
    pub(crate) commands: String,
    pub(crate) results: String,
    pub(crate) dead_letters: String,
}

/// The producer of a consumer. What it has taken is delivered in order, once.
pub(crate) struct ResultWriter {
    producer: TopicWriter,
    names: ConsumerTopics,
    pub(crate) loss: BrokerLoss,
}

impl ResultWriter {
    pub(crate) fn new(brokers: &BrokerArgs, names: ConsumerTopics) -> Result<ResultWriter> {
        let loss = BrokerLoss::default();
        let producer = config::writer(brokers, loss.clone())?;
        Ok(ResultWriter { producer, names, loss })
    }

    /// An answer, to the same partition as its command: so the results of one partition are together.
    pub(crate) async fn answer(
        &self,
        partition: i32,
        source: &CommandSource,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<i64, KafkaError> {
        self.send(FutureRecord {
            topic: &self.names.results,
            partition: Some(partition),
            payload: Some(value),
            key,
            timestamp: None,
            headers: Some(source.headers(&self.names.commands, partition)),
        })
        .await
    }

    /// A message that is no command, as it was, with the reason.
    pub(crate) async fn dead_letter(
        &self,
        partition: i32,
        source: &CommandSource,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        reason: &str,
    ) -> Result<i64, KafkaError> {
        let headers = source.headers(&self.names.commands, partition);
        self.send(FutureRecord {
            topic: &self.names.dead_letters,
            partition: None,
            payload: value,
            key,
            timestamp: None,
            headers: Some(headers.insert(Header { key: REASON, value: Some(reason) })),
        })
        .await
    }

    /// Hands a record to the producer, as soon as it has room. Returns the offset of the record, once the
    /// brokers have acknowledged it.
    ///
    /// # Errors
    /// The producer has failed, or lost its brokers; the record may have been written.
    async fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<i64, KafkaError> {
        tokio::select! {
            delivered = self.producer.send(record, Timeout::Never) => {
                delivered.map(|delivery| delivery.offset).map_err(|(error, _)| error)
            }
            () = self.loss.known() => Err(KafkaError::Canceled),
        }
    }

    /// Waits until everything is acknowledged, at most so long.
    pub(crate) fn flush(&self, wait: Duration) {
        if let Err(error) = self.producer.flush(wait) {
            tracing::warn!(error = %error, "some answers are not acknowledged; they will be written again");
        }
    }
}
