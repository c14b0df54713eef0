//! How much slower commands are through Kafka than by HTTP. Not a test: it prints a ratio.

use std::time::Instant;

use futures::StreamExt;
use reqwest::Method;
use serde_json::Value;

use crate::bridge::Bridge;
use crate::broker::Broker;
use crate::script::{self, Life};
use crate::service::Service;
use crate::topics::{self, Reader, Sender};
use crate::world::{number, unique, wait_until};

/// Requests at the same time, in both cases.
const IN_FLIGHT: usize = 64;

const PARTITIONS: i32 = 6;

/// Runs of both, in turn.
const ROUNDS: usize = 3;

pub(crate) fn through_kafka_and_directly(broker: &Broker) {
    let commands = number("COUPONRY_TEST_KAFKA_COMMANDS", 20_000);
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let direct = directly(commands);
        let kafka = through_kafka(broker, commands);
        println!(
            "round {round}: {direct:.0} commands/s by HTTP, {kafka:.0} through Kafka, ratio {:.2}",
            kafka / direct
        );
        ratios.push(kafka / direct);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio of {commands} commands, median of {ROUNDS}: {:.2}", ratios[ROUNDS / 2]);
}

fn lives(commands: u64) -> Vec<Life> {
    (0..commands / 5).map(script::life).collect()
}

/// Commands a second, with the next command of a code after the answer to the one before.
fn directly(commands: u64) -> f64 {
    let service = Service::start(&[]);
    script::prepare(&service, commands / 5);
    let lives = lives(commands);
    let begun = Instant::now();
    service.runtime().block_on(async {
        let each = lives.iter().map(|life| answered(&service, life));
        futures::stream::iter(each).buffer_unordered(IN_FLIGHT).collect::<Vec<()>>().await;
    });
    commands as f64 / begun.elapsed().as_secs_f64()
}

/// The commands of one code.
async fn answered(service: &Service, life: &Life) {
    for step in &life.steps {
        let word = |name: &str| step.value[name].as_str().expect(name).to_owned();
        let path = format!("/v1/coupons/{}/{}", word("code"), word("command"));
        let body: Value = step.value["body"].clone();
        service.asks(Method::POST, &path, Some(body)).await.expect("an answer");
    }
}

/// Commands a second, from the start of a bridge behind a topic that is full, to the last answer.
fn through_kafka(broker: &Broker, commands: u64) -> f64 {
    let service = Service::start(&[]);
    script::prepare(&service, commands / 5);
    let topic = unique("commands");
    for name in [topic.clone(), format!("{topic}.results")] {
        topics::make(broker, &name, PARTITIONS, &[]);
    }
    let results = Reader::new(broker, &format!("{topic}.results"), PARTITIONS);
    let bridge = Bridge::start(broker, &service, "consume", &topic, &[]);
    let sender = Sender::new(broker, &topic);
    // The bridge has joined its group.
    sender.send("first", r#"{"command": "void", "code": "NOSUCHCODE"}"#);
    wait_until("the bridge", || results.count() == 1);
    let lives = lives(commands);
    let begun = Instant::now();
    for nth in 0..5 {
        for life in &lives {
            sender.send(&life.steps[nth].key, &life.steps[nth].value.to_string());
        }
    }
    wait_until("all answers", || results.count() as u64 == commands + 1);
    let rate = commands as f64 / begun.elapsed().as_secs_f64();
    bridge.stop();
    rate
}
