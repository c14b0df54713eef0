//! Records for the result topic and the dead-letter topic.

use rdkafka::message::{Headers, OwnedHeaders};
use serde::Serialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_128;

use super::command::{CommandTarget, CouponCommand};
use crate::topics::headers_of;

/// Headers that say which command a record is about.
pub(crate) const SOURCE_TOPIC: &str = "couponry_topic";
pub(crate) const SOURCE_PARTITION: &str = "couponry_partition";
pub(crate) const SOURCE_OFFSET: &str = "couponry_offset";

/// Header with a hash of the command: an offset alone would name another command after its topic was
/// made again.
pub(crate) const SOURCE_HASH: &str = "couponry_hash";

/// Header of a dead letter that says why.
pub(crate) const REASON: &str = "couponry_reason";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandSource {
    pub(crate) offset: i64,
    pub(crate) hash: String,
}

impl CommandSource {
    pub(crate) fn of(offset: i64, timestamp: Option<i64>, value: Option<&[u8]>) -> CommandSource {
        let mut bytes = timestamp.unwrap_or(-1).to_be_bytes().to_vec();
        bytes.extend_from_slice(value.unwrap_or_default());
        CommandSource { offset, hash: format!("{:032x}", xxh3_128(&bytes)) }
    }

    pub(crate) fn headers(&self, topic: &str, partition: i32) -> OwnedHeaders {
        let (partition, offset) = (partition.to_string(), self.offset.to_string());
        headers_of([
            ("content-type", "application/json"),
            (SOURCE_TOPIC, topic),
            (SOURCE_PARTITION, &partition),
            (SOURCE_OFFSET, &offset),
            (SOURCE_HASH, &self.hash),
        ])
    }

    /// The source that these headers name, if it is of this topic and partition.
    pub(crate) fn named(
        headers: &impl Headers,
        topic: &str,
        partition: i32,
    ) -> Option<CommandSource> {
        let text = |name: &str| {
            let found = headers.iter().find(|header| header.key == name)?;
            std::str::from_utf8(found.value?).ok()
        };
        let is_of = text(SOURCE_TOPIC)? == topic
            && text(SOURCE_PARTITION)? == partition.to_string().as_str();
        let source = CommandSource {
            offset: text(SOURCE_OFFSET)?.parse().ok()?,
            hash: text(SOURCE_HASH)?.to_owned(),
        };
        is_of.then_some(source)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CommandOutcome {
    /// It was executed, now or by an earlier request with the same names.
    Accepted,
    /// couponry refused it, and nothing was changed by it.
    Refused,
    /// couponry has a fault at this command; whether it was executed is not known.
    Unknown,
}

#[derive(Serialize)]
struct CommandAnswer<'a> {
    command_id: Option<&'a str>,
    command: &'a str,
    code: Option<&'a str>,
    campaign_id: Option<&'a str>,
    outcome: CommandOutcome,
    status: u16,
    answer: Option<&'a RawValue>,
    problem: Option<&'a RawValue>,
}

/// `document` is what couponry answered.
pub(crate) fn value(
    command: &CouponCommand,
    outcome: CommandOutcome,
    status: u16,
    document: &RawValue,
) -> Vec<u8> {
    let (code, campaign_id) = match &command.target {
        CommandTarget::Coupon(code) => (Some(code.as_str()), None),
        CommandTarget::Campaign(id) => (None, Some(id.as_str())),
    };
    let is_answer = outcome == CommandOutcome::Accepted;
    let answer = CommandAnswer {
        command_id: command.id.as_deref(),
        command: command.verb.as_str(),
        code,
        campaign_id,
        outcome,
        status,
        answer: Some(document).filter(|_| is_answer),
        problem: Some(document).filter(|_| !is_answer),
    };
    serde_json::to_vec(&answer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let source = CommandSource::of(7, Some(1), Some(b"{}"));
        let headers = source.headers("commands", 3);
        assert_eq!(CommandSource::named(&headers, "commands", 3), Some(source.clone()));
        assert_eq!(CommandSource::named(&headers, "commands", 2), None, "another partition");
        assert_eq!(CommandSource::named(&headers, "others", 3), None, "another topic");
        assert_eq!(CommandSource::named(&OwnedHeaders::new(), "commands", 3), None, "no headers");
        for (name, other) in [
            ("another value", CommandSource::of(7, Some(1), Some(b"{ }"))),
            ("another time", CommandSource::of(7, Some(2), Some(b"{}"))),
        ] {
            assert_ne!(source, other, "{name}");
        }
    }

    #[test]
    fn values() {
        let command = r#"{"command_id": "c1", "command": "void", "code": "ABCD"}"#;
        let command = CouponCommand::read(Some(command.as_bytes())).expect("a command");
        let document = RawValue::from_string(r#"{"version":2}"#.to_owned()).expect("JSON");
        let text = |outcome, status| {
            String::from_utf8(value(&command, outcome, status, &document)).expect("UTF-8")
        };
        let start = r#"{"command_id":"c1","command":"void","code":"ABCD","campaign_id":null,"#;
        let accepted =
            r#""outcome":"accepted","status":200,"answer":{"version":2},"problem":null}"#;
        assert_eq!(text(CommandOutcome::Accepted, 200), format!("{start}{accepted}"));
        let refused = r#""outcome":"refused","status":409,"answer":null,"problem":{"version":2}}"#;
        assert_eq!(text(CommandOutcome::Refused, 409), format!("{start}{refused}"));
    }
}
