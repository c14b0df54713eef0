//! One producer with its transactions.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::cursor::{self, PublishCursor, PublisherTopics};
use super::event::PublishedEvent;
use crate::cli::BrokerArgs;
use crate::config::{self, unusable};
use crate::error::{BridgeError, Result};
use crate::stop::StopSignal;

/// The longest that a transaction may be open before the brokers abort it. Readers of committed records
/// wait for an open one, so it is short; a page takes some ten milliseconds.
const TRANSACTION: Duration = Duration::from_secs(60);

/// The longest that one call to the brokers may take. Then another producer tries: librdkafka can lose all
/// brokers for good.
const STEP: Duration = Duration::from_secs(10);

/// A producer that has fenced all older ones.
pub(crate) struct ProducerSession<'a> {
    producer: ThreadedProducer<DefaultProducerContext>,
    names: &'a PublisherTopics,
}

impl<'a> ProducerSession<'a> {
    /// Makes a producer, ends what older ones left open, and fences them.
    pub(crate) fn open(
        brokers: &BrokerArgs,
        names: &'a PublisherTopics,
        stop: &StopSignal,
    ) -> Result<ProducerSession<'a>> {
        let timeout = TRANSACTION.as_millis() as u64;
        let config = config::transactional(brokers, &names.transactional_id(), timeout);
        while !stop.is_asked() {
            let producer: ThreadedProducer<_> = config.create().map_err(unusable)?;
            match producer.init_transactions(STEP) {
                Ok(()) => return Ok(ProducerSession { producer, names }),
                Err(error) if is_fatal(&error) => {
                    return Err(BridgeError::failed("cannot begin transactions", error));
                }
                Err(error) => tracing::warn!(error = %error, "cannot begin transactions yet"),
            }
        }
        Err(BridgeError::Stopped)
    }

    /// Writes the events and the cursor behind them in one transaction: then they are there, once. The inner
    /// error: this producer cannot go on, and a new session finds out what became of the transaction.
    ///
    /// It must not abort and send them again: librdkafka would give the records the sequence numbers of the ones
    /// that it drops. Brokers that have written those, though their answer was lost, would take the new ones for
    /// copies, and drop them too.
    ///
    /// # Errors
    /// Another publisher with the same cursor topic has started.
    pub(crate) fn send(
        &self,
        events: &[PublishedEvent],
        source: &str,
        cursor: &PublishCursor,
    ) -> Result<Result<(), KafkaError>> {
        let begun = Instant::now();
        let begun_with = self.begun_with(events, source, cursor);
        let committed = begun_with.and_then(|()| self.producer.commit_transaction(STEP));
        match committed {
            Err(error) if is_fenced(&error) && begun.elapsed() < TRANSACTION => {
                Err(BridgeError::Failed(format!(
                    "another publisher with the cursor topic {} has started, so this one ends ({error})",
                    self.names.cursor
                )))
            }
            _ => Ok(committed),
        }
    }

    /// Begins a transaction and hands its records to the producer.
    fn begun_with(
        &self,
        events: &[PublishedEvent],
        source: &str,
        cursor: &PublishCursor,
    ) -> Result<(), KafkaError> {
        self.producer.begin_transaction()?;
        for event in events {
            let record = BaseRecord::to(&self.names.events)
                .key(event.key.as_str())
                .payload(event.json.get())
                .headers(event.headers(source));
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        let value = cursor.record();
        let record =
            BaseRecord::to(&self.names.cursor).key(cursor::KEY).payload(&value).partition(0);
        self.producer.send(record).map_err(|(error, _)| error)
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(it) => it.is_fatal(),
        other => matches!(
            other.rdkafka_error_code(),
            Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::Fenced)
        ),
    }
}

fn is_fenced(error: &KafkaError) -> bool {
    let fenced = [
        RDKafkaErrorCode::Fenced,
        RDKafkaErrorCode::ProducerFenced,
        RDKafkaErrorCode::InvalidProducerEpoch,
    ];
    error.rdkafka_error_code().is_some_and(|code| fenced.contains(&code))
}
