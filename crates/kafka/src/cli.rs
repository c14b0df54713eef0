//! The command line of `couponry-kafka`.

mod property;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use reqwest::Url;

use property::property;

/// Requests at the same time, unless `--in-flight` says otherwise. couponry serves one user at most 64
/// at the same time.
const IN_FLIGHT_DEFAULT: u16 = 64;

/// The most that `--in-flight` takes. More only wait in couponry.
const IN_FLIGHT_MAX: u16 = 1024;

/// Connect couponry with Apache Kafka
///
/// Publishes the event feed to a topic, and executes commands from a topic, over the HTTP API.
#[derive(Parser)]
#[command(
    name = "couponry-kafka",
    version = env!("COUPONRY_VERSION"),
    after_help = "\
Exit codes: 0 stopped by a signal, 1 failed, 2 usage error.

Examples:
  couponry token --role admin > token
  couponry-kafka publish --token-file token --brokers kafka:9092 --topic coupon-events
  couponry-kafka consume --token-file token --brokers kafka:9092 --topic coupon-commands"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    Publish(PublishArgs),
    Consume(ConsumeArgs),
}

/// The server, and who asks it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServiceArgs {
    /// Ask this server: https, or http to this machine
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "COUPONRY_URL")]
    pub(crate) url: Url,
    /// Read the token from this file, again whenever the server does not accept it any more
    #[arg(long, value_name = "FILE", env = "COUPONRY_TOKEN_FILE")]
    pub(crate) token_file: PathBuf,
}

/// The brokers, and how to reach them.
#[derive(Args, Clone, Debug)]
pub(crate) struct BrokerArgs {
    /// Ask these brokers first, separated by commas
    #[arg(long, value_name = "HOST:PORT", env = "COUPONRY_KAFKA_BROKERS")]
    pub(crate) brokers: String,
    /// Set a property of librdkafka, such as sasl.password; may be repeated. In the variable, separate
    /// several with line breaks
    #[arg(
        long = "property",
        value_name = "NAME=VALUE",
        env = "COUPONRY_KAFKA_PROPERTIES",
        value_parser = property,
        value_delimiter = '\n',
        hide_env_values = true
    )]
    pub(crate) properties: Vec<(String, String)>,
}

/// Publish the event feed to a topic
///
/// Writes each event of `GET /v1/events` once, as a CloudEvent in binary mode, with the code of the
/// coupon as key. Events and the position in the feed are in one transaction, so readers with
/// isolation.level=read_committed see each event exactly once, whatever is killed. Only one process
/// publishes with one cursor topic: a second one stops the first.
///
/// Runs until SIGTERM or SIGINT. If the server or the brokers are away, it waits for them.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 stopped by a signal, 1 failed (also if the events behind the cursor are gone, or if
another process publishes now), 2 usage error.

Examples:
  couponry-kafka publish --token-file token --brokers kafka:9092 --topic coupon-events
  couponry-kafka publish --token-file token --brokers kafka:9092 --topic coupon-events \\
      --after-gap continue")]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    #[command(flatten)]
    pub(crate) brokers: BrokerArgs,
    /// Write the events to this topic; makes it if it does not exist
    #[arg(long, value_name = "TOPIC", env = "COUPONRY_KAFKA_EVENTS")]
    pub(crate) topic: String,
    /// Keep the position in the feed in this compacted topic; makes it if it does not exist
    /// [default: TOPIC.cursor]
    #[arg(long, value_name = "TOPIC", env = "COUPONRY_KAFKA_CURSOR")]
    pub(crate) cursor_topic: Option<String>,
    /// Write this as ce_source; use another one for each server
    #[arg(long, value_name = "URI", default_value = "/couponry", env = "COUPONRY_KAFKA_SOURCE")]
    pub(crate) source: String,
    /// Publish only events of these types, separated by commas [default: all but coupon.held and
    /// coupon.released]
    #[arg(long = "type", value_name = "TYPES", env = "COUPONRY_KAFKA_TYPES")]
    pub(crate) types: Option<String>,
    /// Begin here if the cursor topic is empty
    #[arg(long, value_name = "WHERE", default_value = "oldest", env = "COUPONRY_KAFKA_FROM")]
    pub(crate) from: FeedOrigin,
    /// Do this if the server has deleted events that were not published yet
    #[arg(long, value_name = "WHAT", default_value = "stop", env = "COUPONRY_KAFKA_AFTER_GAP")]
    pub(crate) after_gap: AfterGap,
}

/// Where a publisher without a cursor begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeedOrigin {
    /// With the oldest event that the server has
    Oldest,
    /// With what happens from now on
    Newest,
}

/// What a publisher does about events that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AfterGap {
    /// End with an error, so that somebody compares the data
    Stop,
    /// Log what was lost and go on
    Continue,
}

/// Execute commands from a topic
///
/// Sends each command of the topic to the server, in order for each code, and writes the answer to the
/// result topic. What is not a command goes to the dead-letter topic. Commits an offset only after all
/// answers before it are written. Several processes of one group share the partitions.
///
/// Runs until SIGTERM or SIGINT. If the server or the brokers are away, it waits for them.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 stopped by a signal, 1 failed, 2 usage error.

Examples:
  couponry-kafka consume --token-file token --brokers kafka:9092 --topic coupon-commands
  couponry-kafka consume --token-file token --brokers kafka:9092 --topic coupon-commands \\
      --group shop --in-flight 128 --metrics 127.0.0.1:9464")]
pub(crate) struct ConsumeArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    #[command(flatten)]
    pub(crate) brokers: BrokerArgs,
    /// Read commands from this topic, which must exist
    #[arg(long, value_name = "TOPIC", env = "COUPONRY_KAFKA_COMMANDS")]
    pub(crate) topic: String,
    /// Write answers to this topic; makes it if it does not exist [default: TOPIC.results]
    #[arg(long, value_name = "TOPIC", env = "COUPONRY_KAFKA_RESULTS")]
    pub(crate) result_topic: Option<String>,
    /// Write what is not a command to this topic; makes it if it does not exist
    /// [default: TOPIC.dead-letter]
    #[arg(long, value_name = "TOPIC", env = "COUPONRY_KAFKA_DEAD_LETTERS")]
    pub(crate) dead_letter_topic: Option<String>,
    /// Join this consumer group
    #[arg(long, value_name = "GROUP", default_value = "couponry", env = "COUPONRY_KAFKA_GROUP")]
    pub(crate) group: String,
    /// Send at most this many commands at the same time; those that wait together go in one request
    #[arg(
        long,
        value_name = "N",
        default_value_t = IN_FLIGHT_DEFAULT,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(IN_FLIGHT_MAX)),
        env = "COUPONRY_KAFKA_IN_FLIGHT"
    )]
    pub(crate) in_flight: u16,
    /// Serve metrics for Prometheus at this address, to everybody who can reach it
    #[arg(long, value_name = "HOST:PORT", env = "COUPONRY_KAFKA_METRICS")]
    pub(crate) metrics: Option<SocketAddr>,
}
