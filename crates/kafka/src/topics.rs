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
use crate::error::{BridgeError, Result};
use crate::stop::StopSignal;

/// The longest that one question to a broker may take. Then another client asks.
const ASK: Duration = Duration::from_secs(10);

/// Pause between two questions to brokers that do not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Tries to make a topic that the brokers cannot make yet, a second apart. A node that starts takes no
/// replicas for some seconds.
const MAKE_TRIES_MAX: u32 = 60;

/// As many partitions, or as many replicas, as the brokers' own default.
const BROKER_DEFAULT: i32 = -1;

pub(crate) fn headers_of<const N: usize>(rows: [(&str, &str); N]) -> OwnedHeaders {
    rows.into_iter().fold(OwnedHeaders::new_with_capacity(N), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Asks the brokers about topics. Each call waits until they answer, or until the end is asked for.
pub(crate) struct TopicAdmin<'a> {
    brokers: &'a BrokerArgs,
    group: &'a str,
    runtime: &'a Runtime,
    stop: &'a StopSignal,
}

impl<'a> TopicAdmin<'a> {
    /// `group` is the name that access lists know.
    pub(crate) fn new(
        brokers: &'a BrokerArgs,
        group: &'a str,
        runtime: &'a Runtime,
        stop: &'a StopSignal,
    ) -> TopicAdmin<'a> {
        TopicAdmin { brokers, group, runtime, stop }
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        config::producer(self.brokers).create().map_err(unusable)
    }

    /// Only a consumer asks for a topic without making it.
    fn asker(&self) -> Result<TopicReader> {
        config::reader(self.brokers, self.group, "read_committed")
    }

    /// Each try has a client of its own: librdkafka can lose all brokers for good.
    fn until_answered<C, T>(
        &self,
        what: &str,
        client: impl Fn(&Self) -> Result<C>,
        mut ask: impl FnMut(C) -> Result<T, KafkaError>,
    ) -> Result<T> {
        while !self.stop.is_asked() {
            match ask(client(self)?) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::warn!(error = %error, "the brokers have no answer yet: {what}");
                    self.stop.pause(ASK_AGAIN);
                }
            }
        }
        Err(BridgeError::Stopped)
    }

    /// How many partitions the topic has; 0 if there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> Result<usize> {
        self.until_answered("which partitions a topic has", Self::asker, |asker| {
            let found = asker.fetch_metadata(Some(topic), ASK)?;
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
    ) -> Result<usize> {
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
        let mut tries = 0;
        let made = self.until_answered("to make a topic", Self::admin, |admin| {
            let made = self.runtime.block_on(admin.create_topics([&new], &options))?;
            tries += 1;
            match made.into_iter().next().ok_or(KafkaError::Canceled)? {
                Err((_, code)) if can_pass(code) && tries < MAKE_TRIES_MAX => {
                    Err(KafkaError::AdminOp(code))
                }
                made => Ok(made),
            }
        })?;
        match made {
            Ok(_) => tracing::info!(topic, "made the topic {topic}"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => {
                return Err(BridgeError::failed(format!("cannot make the topic {topic}"), code));
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

    pub(crate) fn setting(&self, topic: &str, name: &str) -> Result<String> {
        let options = AdminOptions::new().request_timeout(Some(ASK));
        let asked = [ResourceSpecifier::Topic(topic)];
        self.until_answered("how a topic is set", Self::admin, |admin| {
            let found = self.runtime.block_on(admin.describe_configs(&asked, &options))?;
            let found = found.into_iter().next().ok_or(KafkaError::Canceled)?;
            let found = found.map_err(KafkaError::AdminOp)?;
            let map: HashMap<&str, _> = found.entry_map();
            Ok(map.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default())
        })
    }
}

/// Whether another try to make a topic may succeed.
fn can_pass(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        // The answer of a node that has just started.
        RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::NotController
            | RDKafkaErrorCode::RequestTimedOut
    )
}
