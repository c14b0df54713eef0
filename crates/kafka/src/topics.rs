//! Topics: which exist, how many partitions they have, how missing ones are made, and the headers of records.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use tokio::runtime::Runtime;

use crate::cli::BrokerArgs;
use crate::config::{self, TopicReader, unusable};
use crate::error::BridgeError;
use crate::stop::StopSignal;

/// The longest that one question to a broker may take. A broker that is away is asked again.
const ASK: Duration = Duration::from_secs(5);

/// Pause between two questions to brokers that do not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// As many partitions, or as many replicas, as the brokers' own default.
const BROKER_DEFAULT: i32 = -1;

pub(crate) fn headers_of<const N: usize>(rows: [(&str, &str); N]) -> OwnedHeaders {
    rows.into_iter().fold(OwnedHeaders::new_with_capacity(N), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Asks the brokers about topics. Each call waits until they answer, or until the end is asked for.
pub(crate) struct TopicAdmin<'a> {
    admin: AdminClient<DefaultClientContext>,
    /// Only a consumer asks for a topic without making it.
    asker: TopicReader,
    runtime: &'a Runtime,
    stop: &'a StopSignal,
}

impl<'a> TopicAdmin<'a> {
    /// `group` is the name that access lists know.
    pub(crate) fn new(
        brokers: &BrokerArgs,
        group: &str,
        runtime: &'a Runtime,
        stop: &'a StopSignal,
    ) -> Result<TopicAdmin<'a>, BridgeError> {
        let admin = config::producer(brokers).create().map_err(unusable)?;
        let asker = config::reader(brokers, group, "read_committed")?;
        Ok(TopicAdmin { admin, asker, runtime, stop })
    }

    fn until_answered<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Result<T, KafkaError>,
    ) -> Result<T, BridgeError> {
        while !self.stop.is_asked() {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::warn!(error = %error, "the brokers do not answer: {what}");
                    self.stop.pause(ASK_AGAIN);
                }
            }
        }
        Err(BridgeError::Stopped)
    }

    /// How many partitions the topic has; 0 if there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> Result<usize, BridgeError> {
        self.until_answered("which partitions a topic has", || {
            let found = self.asker.fetch_metadata(Some(topic), ASK)?;
            let found = found.topics().iter().find(|it| it.name() == topic);
            Ok(found.map_or(0, |it| it.partitions().len()))
        })
    }

    /// Makes the topic unless it exists; without `partitions`, as many as the brokers' default. Returns how
    /// many it has.
    pub(crate) fn make(
        &self,
        topic: &str,
        partitions: Option<usize>,
        settings: &[(&str, &str)],
    ) -> Result<usize, BridgeError> {
        let found = self.partitions(topic)?;
        if found > 0 {
            return Ok(found);
        }
        let count = partitions.map_or(BROKER_DEFAULT, |it| i32::try_from(it).unwrap_or(i32::MAX));
        let mut new = NewTopic::new(topic, count, TopicReplication::Fixed(BROKER_DEFAULT));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let made = self.until_answered("to make a topic", || {
            self.runtime.block_on(self.admin.create_topics([&new], &options))
        })?;
        for one in made {
            match one {
                Ok(_) => tracing::info!(topic, "made the topic {topic}"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    return Err(BridgeError::failed(
                        format!("cannot make the topic {topic}"),
                        code,
                    ));
                }
            }
        }
        // The leader of a new topic is not known at once.
        loop {
            match self.partitions(topic)? {
                0 => self.stop.pause(ASK_AGAIN / 10),
                found => return Ok(found),
            }
        }
    }

    pub(crate) fn setting(&self, topic: &str, name: &str) -> Result<String, BridgeError> {
        let options = AdminOptions::new().request_timeout(Some(ASK));
        let asked = [ResourceSpecifier::Topic(topic)];
        self.until_answered("how a topic is set", || {
            let found = self.runtime.block_on(self.admin.describe_configs(&asked, &options))?;
            let found = found.into_iter().next().ok_or(KafkaError::Canceled)?;
            let found = found.map_err(KafkaError::AdminOp)?;
            let map: HashMap<&str, _> = found.entry_map();
            Ok(map.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default())
        })
    }
}
