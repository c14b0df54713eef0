//! Topics: making them, writing commands, and reading everything that is in them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Headers;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::world::PATIENCE;

/// A record as it is in a topic.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Record {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.value).expect("JSON")
    }

    /// The partition and the offset of the command that it answers.
    pub(crate) fn source(&self) -> (i32, i64) {
        let number = |name: &str| self.headers[name].parse::<i64>().expect(name);
        (
            i32::try_from(number("couponry_partition")).expect("a partition"),
            number("couponry_offset"),
        )
    }
}

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address()).set("reconnect.backoff.max.ms", "500");
    config
}

/// Makes a topic.
pub(crate) fn make(broker: &Broker, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = config(broker).create().expect("a client");
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let runtime = Runtime::new().expect("a runtime");
    let made = runtime.block_on(admin.create_topics([&new], &options)).expect("an answer");
    for one in made {
        one.expect("a new topic");
    }
}

/// How many messages of a topic a group has behind it, as it has committed.
pub(crate) fn committed(broker: &Broker, group: &str, topic: &str, partitions: i32) -> i64 {
    let mut config = config(broker);
    let consumer: BaseConsumer = config.set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let found = consumer.committed_offsets(list, PATIENCE).expect("the offsets");
    let elements = found.elements();
    elements.iter().filter_map(|it| it.offset().to_raw()).filter(|offset| *offset > 0).sum()
}

/// A producer of commands, which loses none and keeps their order.
pub(crate) struct Sender {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Sender {
    pub(crate) fn new(broker: &Broker, topic: &str) -> Sender {
        let mut config = config(broker);
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5");
        config.set("partitioner", "murmur2_random");
        Sender { producer: config.create().expect("a producer"), topic: topic.to_owned() }
    }

    pub(crate) fn send(&self, key: &str, value: &str) {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(value);
        while let Err((error, back)) = self.producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full, "a producer takes commands");
            std::thread::sleep(Duration::from_millis(10));
            record = back;
        }
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).expect("all commands are written");
    }
}

#[derive(Default)]
struct Found {
    records: Vec<Record>,
    /// The commands that they answer.
    answered: HashSet<(i32, i64)>,
}

/// Reads a topic from its beginning on, in the background.
pub(crate) struct Reader {
    found: Arc<Mutex<Found>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Sees only committed records.
    pub(crate) fn new(broker: &Broker, topic: &str, partitions: i32) -> Reader {
        let mut config = config(broker);
        config.set("group.id", "test-reader").set("auto.offset.reset", "earliest");
        config.set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
        }
        consumer.assign(&list).expect("an assignment");
        let found = Arc::new(Mutex::new(Found::default()));
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (found, ended) = (Arc::clone(&found), Arc::clone(&ended));
            move || {
                while !ended.load(Ordering::Relaxed) {
                    // An error is a broker that is away.
                    if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                        let record = record(&message);
                        let mut found = found.lock().expect("records");
                        if record.headers.contains_key("couponry_offset") {
                            found.answered.insert(record.source());
                        }
                        found.records.push(record);
                    }
                }
            }
        });
        Reader { found, ended, thread: Some(thread) }
    }

    pub(crate) fn count(&self) -> usize {
        self.found.lock().expect("records").records.len()
    }

    /// What was read so far; the records of one partition are in order.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.found.lock().expect("records").records.clone()
    }

    /// How many commands have an answer.
    pub(crate) fn answered(&self) -> usize {
        self.found.lock().expect("records").answered.len()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader");
        }
    }
}

fn record(message: &impl Message) -> Record {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let mut headers = HashMap::new();
    if let Some(found) = message.headers() {
        for header in found.iter() {
            headers.insert(header.key.to_owned(), text(header.value));
        }
    }
    Record { key: text(message.key()), value: text(message.payload()), headers }
}
