//! The position in the feed: a record of a compacted topic, which the transactions of the events write.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde::{Deserialize, Deserializer, Serialize};

use super::event::EventPage;
use crate::cli::BrokerArgs;
use crate::config;
use crate::error::{BridgeError, Result};
use crate::stop::StopSignal;
use crate::topics::TopicAdmin;

/// Key of the record. The topic has no other one.
pub(crate) const KEY: &str = "cursor";

/// One cursor topic has one publisher, so one partition is enough.
const PARTITION: i32 = 0;

/// How a cursor topic is made. The newest record is kept for ever; older ones are deleted after some
/// minutes, so that a start reads only a few.
const SETTINGS: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.ms", "600000"), ("min.cleanable.dirty.ratio", "0.1")];

/// Pause of one poll of the cursor topic.
const POLL: Duration = Duration::from_millis(200);

/// After this time without a record or the end of the topic, another reader tries.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct PublisherTopics {
    pub(crate) events: String,
    pub(crate) cursor: String,
}

impl PublisherTopics {
    /// It follows from the cursor topic, so whoever writes one cursor topic fences the others.
    pub(crate) fn transactional_id(&self) -> String {
        format!("couponry-publish.{}", self.cursor)
    }
}

/// Where the publisher is in the feed, and the last event that it has published; by default before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct PublishCursor {
    /// The parameter `after` of the feed; `None` before the first event. Each record has one.
    #[serde(rename = "cursor", deserialize_with = "text")]
    pub(crate) after: Option<String>,
    pub(crate) event_id: Option<String>,
    /// When the last event that was published happened.
    pub(crate) at: Option<String>,
    /// Whether Kafka has it: otherwise a restart would begin elsewhere.
    #[serde(skip)]
    pub(crate) is_written: bool,
}

fn text<'de, D: Deserializer<'de>>(text: D) -> Result<Option<String>, D::Error> {
    String::deserialize(text).map(Some)
}

impl PublishCursor {
    /// Behind the last event, at the moment of the first read.
    pub(crate) fn newest() -> PublishCursor {
        PublishCursor { after: Some("newest".to_owned()), ..PublishCursor::default() }
    }

    /// Behind the events of a page.
    pub(crate) fn behind(&self, page: &EventPage) -> PublishCursor {
        let last = page.events.last();
        PublishCursor {
            after: Some(page.next_cursor.clone()),
            event_id: last.map(|event| event.id.clone()).or_else(|| self.event_id.clone()),
            at: last.map(|event| event.at.clone()).or_else(|| self.at.clone()),
            is_written: true,
        }
    }

    /// Behind events that are gone.
    pub(crate) fn after_gap(&self, next: String) -> PublishCursor {
        PublishCursor { after: Some(next), is_written: false, ..self.clone() }
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match (&self.event_id, &self.after) {
            (Some(id), _) => format!("event {id} of {}", self.at.as_deref().unwrap_or("?")),
            (None, Some(after)) => format!("cursor {after}"),
            (None, None) => "the oldest event".to_owned(),
        }
    }

    pub(crate) fn record(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn of_record(value: &[u8]) -> Result<PublishCursor, serde_json::Error> {
        Ok(PublishCursor { is_written: true, ..serde_json::from_slice(value)? })
    }
}

/// Makes the cursor topic unless it exists.
///
/// # Errors
/// The topic would delete the cursor, or has several partitions.
pub(crate) fn make_topic(topics: &TopicAdmin<'_>, topic: &str) -> Result<()> {
    let partitions = topics.make(topic, Some(1), &SETTINGS)?;
    let policy = topics.setting(topic, "cleanup.policy")?;
    if partitions != 1 {
        let why = format!("{partitions} partitions, want 1");
        return Err(BridgeError::failed(format!("the cursor topic {topic} cannot be used"), why));
    }
    if policy != "compact" {
        return Err(BridgeError::Failed(format!(
            "the cursor topic {topic} cannot be used: its cleanup.policy is {policy}, want compact. It \
             would delete the cursor, and all events would be published again"
        )));
    }
    Ok(())
}

/// The cursor that the last committed transaction has written. Only after older publishers are fenced:
/// then no transaction of this topic is open.
pub(crate) fn read(
    brokers: &BrokerArgs,
    names: &PublisherTopics,
    stop: &StopSignal,
) -> Result<Option<PublishCursor>> {
    let mut from = TopicPartitionList::new();
    let because = |error: KafkaError| BridgeError::failed("cannot read the cursor topic", error);
    from.add_partition_offset(&names.cursor, PARTITION, Offset::Beginning).map_err(because)?;
    let begun = || {
        let reader = config::reader(brokers, &names.transactional_id(), "read_committed")?;
        reader.assign(&from).map_err(because).map(|()| reader)
    };
    let (mut reader, mut found, mut heard) = (begun()?, None, Instant::now());
    while !stop.is_asked() {
        match reader.poll(POLL) {
            Some(Ok(record)) => {
                heard = Instant::now();
                found = Some(cursor_of(&record)?);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(found),
            Some(Err(error)) => tracing::warn!(error = %error, "cannot read the cursor topic yet"),
            None if heard.elapsed() > QUIET => {
                tracing::warn!("waiting for the cursor topic {}", names.cursor);
                // The reader may have lost all brokers for good.
                (reader, found, heard) = (begun()?, None, Instant::now());
            }
            None => {}
        }
    }
    Err(BridgeError::Stopped)
}

fn cursor_of(record: &impl Message) -> Result<PublishCursor> {
    let value = record.payload().unwrap_or_default();
    PublishCursor::of_record(value).map_err(|error| {
        let place = format!("the record at offset {} of the cursor topic", record.offset());
        BridgeError::failed(format!("{place} is no cursor"), error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(next: &str) -> EventPage {
        EventPage { events: Vec::new(), next_cursor: next.to_owned(), has_more: false }
    }

    #[test]
    fn records() {
        let written = PublishCursor {
            after: Some("8a-7".to_owned()),
            event_id: Some("e1".to_owned()),
            at: Some("2027".to_owned()),
            is_written: true,
        };
        assert_eq!(
            PublishCursor::of_record(written.record().as_bytes()).expect("a cursor"),
            written
        );
        assert!(PublishCursor::of_record(b"").is_err() && PublishCursor::of_record(b"{}").is_err());
    }

    #[test]
    fn steps() {
        let first = PublishCursor::default();
        assert!(!first.is_written && first.after.is_none());
        let second = first.behind(&page("a"));
        assert_eq!((second.after.as_deref(), second.is_written), (Some("a"), true));
        let behind_gap = second.after_gap("b".to_owned());
        assert_eq!((behind_gap.after.as_deref(), behind_gap.is_written), (Some("b"), false));
    }
}
