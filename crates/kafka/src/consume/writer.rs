//! Writes answers and dead letters.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::{DeliveryFuture, OwnedDeliveryResult};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use super::answer::{CommandSource, REASON};
use crate::cli::BrokerArgs;
use crate::config::{self, unusable};
use crate::error::BridgeError;

/// Pause while the producer has no room.
const ROOM: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub(crate) struct ConsumerTopics {
    pub(crate) commands: String,
    pub(crate) results: String,
    pub(crate) dead_letters: String,
}

/// The producer of a consumer. What it has taken is delivered in order, once.
pub(crate) struct ResultWriter {
    producer: FutureProducer,
    names: ConsumerTopics,
}

/// A record that the producer has taken, and that the brokers have not acknowledged yet.
pub(crate) struct WrittenRecord(DeliveryFuture);

impl ResultWriter {
    pub(crate) fn new(
        brokers: &BrokerArgs,
        names: ConsumerTopics,
    ) -> Result<ResultWriter, BridgeError> {
        let producer = config::producer(brokers).create().map_err(unusable)?;
        Ok(ResultWriter { producer, names })
    }

    /// An answer, to the same partition as its command: so the results of one partition are together.
    pub(crate) async fn answer(
        &self,
        partition: i32,
        source: &CommandSource,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<WrittenRecord, KafkaError> {
        let headers = source.headers(&self.names.commands, partition);
        let record = FutureRecord::to(&self.names.results).payload(value).headers(headers);
        self.send(with_key(record, key).partition(partition)).await
    }

    /// A message that is no command, as it was, with the reason.
    pub(crate) async fn dead_letter(
        &self,
        partition: i32,
        source: &CommandSource,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        reason: &str,
    ) -> Result<WrittenRecord, KafkaError> {
        let headers: OwnedHeaders = source.headers(&self.names.commands, partition);
        let headers = headers.insert(Header { key: REASON, value: Some(reason) });
        let mut record = FutureRecord::to(&self.names.dead_letters).headers(headers);
        if let Some(value) = value {
            record = record.payload(value);
        }
        self.send(with_key(record, key)).await
    }

    /// Hands a record to the producer, as soon as it has room.
    async fn send(
        &self,
        mut record: FutureRecord<'_, [u8], [u8]>,
    ) -> Result<WrittenRecord, KafkaError> {
        loop {
            record = match self.producer.send_result(record) {
                Ok(delivery) => return Ok(WrittenRecord(delivery)),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => record,
                Err((error, _)) => return Err(error),
            };
            tokio::time::sleep(ROOM).await;
        }
    }

    /// Waits until everything is acknowledged, at most so long.
    pub(crate) fn flush(&self, wait: Duration) {
        if let Err(error) = self.producer.flush(wait) {
            tracing::warn!(error = %error, "some answers are not acknowledged; they will be written again");
        }
    }
}

impl WrittenRecord {
    /// The offset at which the record is, once the brokers have acknowledged it.
    pub(crate) async fn acknowledged(self) -> Result<i64, KafkaError> {
        let delivered: Result<OwnedDeliveryResult, _> = self.0.await;
        match delivered {
            Ok(Ok(delivery)) => Ok(delivery.offset),
            Ok(Err((error, _))) => Err(error),
            Err(_) => Err(KafkaError::Canceled),
        }
    }
}

fn with_key<'a>(
    record: FutureRecord<'a, [u8], [u8]>,
    key: Option<&'a [u8]>,
) -> FutureRecord<'a, [u8], [u8]> {
    match key {
        Some(key) => record.key(key),
        None => record,
    }
}
