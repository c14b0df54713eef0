//! The binary against a real Apache Kafka (`tests/engines/kafka`) and a real `couponry serve`.
//!
//! This test binary is also `couponry`: with one of its commands as first argument it is that command.
//! So it has a `main` of its own. As with every test binary, an argument selects tests by a part of their
//! name, and `--ignored` the measurement.

#[path = "kafka/bridge.rs"]
mod bridge;
#[path = "kafka/broker.rs"]
mod broker;
#[path = "kafka/commands.rs"]
mod commands;
#[path = "kafka/faults.rs"]
mod faults;
#[path = "kafka/measure.rs"]
mod measure;
#[path = "kafka/publishing.rs"]
mod publishing;
#[path = "kafka/script.rs"]
mod script;
#[path = "kafka/service.rs"]
mod service;
#[path = "kafka/topics.rs"]
mod topics;
#[path = "kafka/world.rs"]
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use broker::Broker;

/// Commands of `couponry` that this suite uses.
const COUPONRY: [&str; 2] = ["serve", "token"];

type Test = fn(&Broker);

/// All tests share one broker, and run one after the other.
const TESTS: [(&str, Test); 10] = [
    ("commands::each_command_has_an_answer", commands::each_command_has_an_answer),
    (
        "commands::what_is_no_command_is_a_dead_letter",
        commands::what_is_no_command_is_a_dead_letter,
    ),
    ("commands::a_second_reading_changes_nothing", commands::a_second_reading_changes_nothing),
    ("commands::a_user_who_guesses_only_waits", commands::a_user_who_guesses_only_waits),
    ("commands::a_new_token_is_read", commands::a_new_token_is_read),
    ("commands::wrong_calls", commands::wrong_calls),
    ("publishing::events_are_cloud_events", publishing::events_are_cloud_events),
    (
        "publishing::a_second_publisher_stops_the_first",
        publishing::a_second_publisher_stops_the_first,
    ),
    ("publishing::a_gap_stops_it", publishing::a_gap_stops_it),
    ("faults::everything_is_killed", faults::everything_is_killed),
];

/// Only with `--ignored`.
const LONG: [(&str, Test); 2] = [
    ("faults::the_broker_is_away", faults::the_broker_is_away),
    ("measure::through_kafka_and_directly", measure::through_kafka_and_directly),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| COUPONRY.contains(&first.as_str())) {
        return couponry::main();
    }
    if let [first, address, topic, next] = &arguments[..]
        && first == topics::PRINT_TOPIC
    {
        topics::print_topic(address, topic, next);
    }
    let is_long = arguments.iter().any(|it| it == "--ignored" || it == "--include-ignored");
    let name = arguments.iter().find(|it| !it.starts_with('-'));
    let all: &[(&str, Test)] = if is_long { &LONG } else { &TESTS };
    let chosen: Vec<_> = all
        .iter()
        .filter(|(test, _)| name.is_none_or(|name| test.contains(name.as_str())))
        .collect();
    if arguments.iter().any(|it| it == "--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    if chosen.is_empty() {
        return ExitCode::SUCCESS;
    }
    let Some(broker) = Broker::start() else { return ExitCode::SUCCESS };
    let broker = std::panic::AssertUnwindSafe(&broker);
    let mut failed = 0;
    for (name, test) in chosen {
        let begun = Instant::now();
        let ended = catch_unwind(|| test(*broker));
        failed += usize::from(ended.is_err());
        let word = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word} ({:.1} s)", begun.elapsed().as_secs_f64());
    }
    println!("\ntest result: {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
}
