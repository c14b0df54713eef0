//! Topics: making them, writing commands, and reading everything that is in them.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Headers;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::world::PATIENCE;

/// A record as it is in a topic.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
    config_of(broker.address())
}

fn config_of(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("reconnect.backoff.max.ms", "500");
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
    /// Where each partition is to be read on.
    next: HashMap<i32, i64>,
}

/// Reads a topic from its beginning on, in a process of its own: librdkafka has crashed while a broker was killed. If
/// that process ends, another one goes on.
pub(crate) struct Reader {
    found: Arc<Mutex<Found>>,
    process: Arc<Mutex<Option<Child>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Sees only committed records.
    pub(crate) fn new(broker: &Broker, topic: &str, partitions: i32) -> Reader {
        let found = Arc::new(Mutex::new(Found::default()));
        found.lock().expect("records").next = (0..partitions).map(|it| (it, 0)).collect();
        let process = Arc::new(Mutex::new(Some(begin(broker.address(), topic, &found))));
        let (address, topic) = (broker.address().to_owned(), topic.to_owned());
        let thread = std::thread::spawn({
            let (found, process) = (Arc::clone(&found), Arc::clone(&process));
            move || {
                loop {
                    let output = match process.lock().expect("the reader").as_mut() {
                        Some(child) => child.stdout.take().expect("a pipe"),
                        None => return,
                    };
                    for line in BufReader::new(output).lines().map_while(Result::ok) {
                        found.lock().expect("records").take(&line);
                    }
                    let mut process = process.lock().expect("the reader");
                    let Some(child) = process.as_mut() else { return };
                    let ended = child.wait().expect("its end");
                    if !ended.success() {
                        println!("the reader of {topic} ended: {ended}");
                    }
                    *process = Some(begin(&address, &topic, &found));
                }
            }
        });
        Reader { found, process, thread: Some(thread) }
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
        if let Some(mut child) = self.process.lock().expect("the reader").take() {
            let _fails_if_it_has_ended = child.kill();
            let _the_same = child.wait();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader");
        }
    }
}

impl Found {
    /// Takes a line of [`print_topic`]. One that was cut off has no end, and is read again.
    fn take(&mut self, line: &str) {
        let Ok(Line { partition, offset, record }) = serde_json::from_str(line) else { return };
        self.next.insert(partition, offset + 1);
        if record.headers.contains_key("couponry_offset") {
            self.answered.insert(record.source());
        }
        self.records.push(record);
    }
}

/// A record as one process tells another.
#[derive(Deserialize, Serialize)]
struct Line {
    partition: i32,
    offset: i64,
    record: Record,
}

/// After this time without a record a reader ends, and another one goes on: librdkafka can lose all brokers
/// for good.
const QUIET: Duration = Duration::from_secs(15);

/// The word that makes this binary the process that reads.
pub(crate) const PRINT_TOPIC: &str = "print-topic";

fn begin(address: &str, topic: &str, found: &Mutex<Found>) -> Child {
    let next = serde_json::to_string(&found.lock().expect("records").next).expect("JSON");
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    // It ends when its input ends.
    command.args([PRINT_TOPIC, address, topic, &next]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).spawn().expect("a reader")
}

/// Prints the records of a topic from some offsets on, a line each, until its input ends or it is quiet.
pub(crate) fn print_topic(address: &str, topic: &str, next: &str) -> ! {
    std::thread::spawn(|| {
        let _never_has_a_line = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    let mut config = config_of(address);
    config.set("group.id", "test-reader").set("auto.offset.reset", "earliest");
    config.set("isolation.level", "read_committed").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let next: HashMap<i32, i64> = serde_json::from_str(next).expect("offsets");
    let mut list = TopicPartitionList::new();
    for (partition, offset) in next {
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("a partition");
    }
    consumer.assign(&list).expect("an assignment");
    let mut heard = Instant::now();
    while heard.elapsed() < QUIET {
        // An error is a broker that is away.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
        heard = Instant::now();
        let (partition, offset) = (message.partition(), message.offset());
        let line = Line { partition, offset, record: record(&message) };
        println!("{}", serde_json::to_string(&line).expect("JSON"));
    }
    std::process::exit(0);
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
