//! `couponry-kafka consume`: commands from a topic, each with an answer.
//!
//! One thread polls the consumer and begins commands; workers on tokio's threads send them
//! ([`worker`]). What both share is on the [`desk`]. An offset is committed only if the answers to all
//! commands before it are acknowledged by the brokers.

mod answer;
mod caller;
mod command;
mod desk;
mod group;
pub(crate) mod limits;
mod memory;
mod metrics;
mod partition;
mod poll;
mod progress;
mod verdict;
mod worker;
mod writer;

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::cli::ConsumeArgs;
use crate::error::BridgeError;
use crate::http::Api;
use crate::stop::Stop;
use crate::topics::Topics;
use caller::Caller;
use desk::Desk;
use poll::Bridge;
use progress::Counts;
use worker::Workers;
use writer::{Names, Writer};

pub(crate) fn run(args: &ConsumeArgs, runtime: &Runtime, stop: &Stop) -> Result<(), BridgeError> {
    let api = Api::new(&args.service)?;
    let or = |given: &Option<String>, ending: &str| {
        given.clone().unwrap_or_else(|| format!("{}.{ending}", args.topic))
    };
    let names = Names {
        commands: args.topic.clone(),
        results: or(&args.result_topic, "results"),
        dead_letters: or(&args.dead_letter_topic, "dead-letter"),
    };
    if !topics_are_ready(args, &names, runtime, stop)? {
        return Ok(());
    }
    let (desk, counts) = (Arc::new(Desk::new()), Arc::new(Counts::default()));
    if let Some(address) = args.metrics {
        metrics::serve(address, runtime, Arc::clone(&counts), Arc::clone(&desk))?;
    }
    let caller = Caller::new(api, usize::from(args.in_flight), Arc::clone(&counts));
    let writer = Writer::new(&args.brokers, names.clone())?;
    let workers = Arc::new(Workers::new(desk, caller, writer, counts));
    Bridge::new(args, names, workers, runtime.handle())?.run(stop)
}

/// Makes the topics of answers unless they exist. `false` if the end was asked for.
fn topics_are_ready(
    args: &ConsumeArgs,
    names: &Names,
    runtime: &Runtime,
    stop: &Stop,
) -> Result<bool, BridgeError> {
    let topics = Topics::new(&args.brokers, &args.group, runtime, stop)?;
    let Some(commands) = topics.partitions(&names.commands) else { return Ok(false) };
    if commands == 0 {
        let why = "make it first, with as many partitions as you will need".to_owned();
        return Err(BridgeError::failed(format!("there is no topic {}", names.commands), why));
    }
    let Some(results) = topics.make(&names.results, Some(commands), &[("retention.ms", "-1")])?
    else {
        return Ok(false);
    };
    if results < commands {
        return Err(BridgeError::Failed(format!(
            "the result topic {} has {results} partitions, want at least {commands}, as many as {} has",
            names.results, names.commands
        )));
    }
    Ok(topics.make(&names.dead_letters, None, &[])?.is_some())
}
