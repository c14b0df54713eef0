//! Settings of librdkafka: those of the command line, and those on which the promises rest.

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;
use rdkafka::{ClientConfig, ClientContext, Statistics};

use crate::cli::BrokerArgs;
use crate::error::{BridgeError, Result};
use crate::loss::BrokerLoss;

/// Time between two statistics of a client: how late its lag is known, and that it has lost its brokers.
const STATISTICS_MS: &str = "2000";

/// A client of these brokers, with these settings in front of those of the command line.
fn client(brokers: &BrokerArgs, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &brokers.brokers)
        .set("client.id", "couponry-kafka")
        // A broker that was restarted is used again within a second.
        .set("reconnect.backoff.max.ms", "1000");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    for (name, value) in &brokers.properties {
        config.set(name, value);
    }
    config
}

/// A consumer that never commits by itself, of this group.
pub(crate) fn consumer(brokers: &BrokerArgs, group: &str) -> ClientConfig {
    let settings = [
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "earliest"),
        // Eager: at each rebalance every command in flight ends before another member begins.
        ("partition.assignment.strategy", "range,roundrobin"),
        // Longer than the ten seconds after which couponry gives up a write, so the last requests of a
        // process that was killed have ended when another member takes its partitions.
        ("session.timeout.ms", "20000"),
        ("queued.max.messages.kbytes", "16384"),
        ("statistics.interval.ms", STATISTICS_MS),
    ];
    client(brokers, &settings)
}

/// A consumer of assigned partitions, which joins no group. Unless it is polled, its statistics pile up.
pub(crate) fn reader(brokers: &BrokerArgs, group: &str, isolation: &str) -> Result<TopicReader> {
    let mut config = consumer(brokers, group);
    config
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("queued.max.messages.kbytes", "8192");
    config.create_with_context(QuietContext::default()).map_err(unusable)
}

/// An idempotent producer. What it has taken is delivered once, in order, however long the brokers are away.
pub(crate) fn producer(brokers: &BrokerArgs) -> ClientConfig {
    let settings = [
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("linger.ms", "2"),
        ("message.timeout.ms", "0"),
        // The partitioner of the Java clients, so that a key is in the same partition for all.
        ("partitioner", "murmur2_random"),
    ];
    client(brokers, &settings)
}

/// Such a producer that tells `loss`.
pub(crate) fn writer(brokers: &BrokerArgs, loss: BrokerLoss) -> Result<TopicWriter> {
    let mut config = producer(brokers);
    config.set("statistics.interval.ms", STATISTICS_MS);
    config.create_with_context(QuietContext { loss }).map_err(unusable)
}

/// A producer of transactions. `transaction_ms` is their limit, and that of their messages.
pub(crate) fn transactional(brokers: &BrokerArgs, id: &str, transaction_ms: u64) -> ClientConfig {
    let mut config = producer(brokers);
    config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", transaction_ms.to_string())
        .set("message.timeout.ms", transaction_ms.to_string());
    config
}

/// What a reader or a writer does with the messages of librdkafka: the end of a partition is no error.
#[derive(Default)]
pub(crate) struct QuietContext {
    pub(crate) loss: BrokerLoss,
}

pub(crate) type TopicReader = BaseConsumer<QuietContext>;

pub(crate) type TopicWriter = FutureProducer<QuietContext>;

impl ClientContext for QuietContext {
    fn stats(&self, statistics: Statistics) {
        self.loss.look(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !matches!(error, KafkaError::PartitionEOF(_)) {
            tracing::warn!(error = %error, "{reason}");
        }
    }
}

impl ConsumerContext for QuietContext {}

/// Turns the error of a client that cannot be made into a usage error: a property is wrong.
pub(crate) fn unusable(error: KafkaError) -> BridgeError {
    BridgeError::Usage(format!("librdkafka does not take the settings: {error}"))
}
