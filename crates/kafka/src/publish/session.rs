//! One producer with its transactions.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::cursor::{self, PublishCursor, PublisherTopics};
use super::event::PublishedEvent;
use crate::cli::BrokerArgs;
use crate::config::{self, unusable};
use crate::error::BridgeError;
use crate::stop::StopSignal;

/// The longest that a transaction may be open before the brokers abort it. Readers of committed records
/// wait for an open one, so it is short; a page takes some ten milliseconds.
const TRANSACTION: Duration = Duration::from_secs(60);

/// One call to the brokers; it is repeated until it succeeds.
const STEP: Duration = Duration::from_secs(5);

/// How long a publisher that is to end still waits for its last transaction. The next one finds out
/// what became of it.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// A producer that has fenced all older ones.
pub(crate) struct ProducerSession<'a> {
    producer: ThreadedProducer<DefaultProducerContext>,
    names: &'a PublisherTopics,
    stop: &'a StopSignal,
}

impl<'a> ProducerSession<'a> {
    /// Makes a producer, ends what older ones left open, and fences them.
    pub(crate) fn open(
        brokers: &BrokerArgs,
        names: &'a PublisherTopics,
        stop: &'a StopSignal,
    ) -> Result<ProducerSession<'a>, BridgeError> {
        let timeout = TRANSACTION.as_millis() as u64;
        let config = config::transactional(brokers, &names.transactional_id(), timeout);
        let producer: ThreadedProducer<_> = config.create().map_err(unusable)?;
        while !stop.is_asked() {
            match producer.init_transactions(STEP) {
                Ok(()) => return Ok(ProducerSession { producer, names, stop }),
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
    /// # Errors
    /// Another publisher with the same cursor topic has started. [`BridgeError::Stopped`] if the end was asked
    /// for: the next publisher finds out what became of the transaction.
    pub(crate) fn send(
        &self,
        events: &[PublishedEvent],
        source: &str,
        cursor: &PublishCursor,
    ) -> Result<Result<(), KafkaError>, BridgeError> {
        let begun = Instant::now();
        loop {
            let tried = match self.begun_with(events, source, cursor) {
                Ok(()) => self.repeated(|| self.producer.commit_transaction(STEP))?,
                Err(error) => Err(error),
            };
            let Err(error) = tried else { return Ok(Ok(())) };
            if is_fenced(&error) && begun.elapsed() < TRANSACTION {
                return Err(BridgeError::Failed(format!(
                    "another publisher with the cursor topic {} has started, so this one ends ({error})",
                    self.names.cursor
                )));
            }
            if is_fatal(&error) {
                return Ok(Err(error));
            }
            tracing::warn!(error = %error, "aborting the transaction, and sending its events again");
            if let Err(error) = self.repeated(|| self.producer.abort_transaction(STEP))? {
                return Ok(Err(error));
            }
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

    /// Repeats a step of a transaction as long as a repeat can help.
    fn repeated(
        &self,
        step: impl Fn() -> Result<(), KafkaError>,
    ) -> Result<Result<(), KafkaError>, BridgeError> {
        let mut asked = None;
        loop {
            match step() {
                Err(error) if is_retriable(&error) => {
                    tracing::warn!(error = %error, "the brokers do not answer");
                }
                ended => return Ok(ended),
            }
            if self.stop.is_asked() {
                let since = *asked.get_or_insert_with(Instant::now);
                if since.elapsed() > LAST_STEPS {
                    return Err(BridgeError::Stopped);
                }
            }
        }
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(it) if it.is_retriable() && !it.txn_requires_abort())
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
