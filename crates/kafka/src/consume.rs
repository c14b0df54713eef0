//! `couponry-kafka consume`: commands from a topic, each with an answer.
//!
//! One thread polls the consumer and begins commands; workers on tokio's threads send them
//! ([`worker`]). What both share is on the [`desk`]. An offset is committed only if the answers to all
//! commands before it are acknowledged by the brokers.

mod answer;
mod batcher;
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
use crate::error::{BridgeError, Result};
use crate::http::ApiClient;
use crate::rate::ReportRate;
use crate::stop::StopSignal;
use crate::topics::TopicAdmin;
use caller::CommandCaller;
use desk::AssignmentTable;
use poll::CommandBridge;
use progress::ConsumeCounts;
use worker::WorkerPool;
use writer::{ConsumerTopics, ResultWriter};

pub(crate) fn run(args: &ConsumeArgs, runtime: &Runtime, stop: &StopSignal) -> Result<()> {
    let api = ApiClient::new(&args.service)?;
    let or = |given: &Option<String>, ending: &str| {
        given.clone().unwrap_or_else(|| format!("{}.{ending}", args.topic))
    };
    let names = ConsumerTopics {
        commands: args.topic.clone(),
        results: or(&args.result_topic, "results"),
        dead_letters: or(&args.dead_letter_topic, "dead-letter"),
    };
    make_topics(args, &names, runtime, stop)?;
    let (desk, counts) = (Arc::new(AssignmentTable::default()), Arc::new(ConsumeCounts::default()));
    if let Some(address) = args.metrics {
        metrics::serve(address, runtime, Arc::clone(&counts), Arc::clone(&desk))?;
    }
    let caller = CommandCaller::new(api, usize::from(args.in_flight), Arc::clone(&counts));
    let (caller, mut rate) = (Arc::new(caller), ReportRate::default());
    // Once more, with new clients, when the brokers are lost.
    while !stop.is_asked() {
        let writer = ResultWriter::new(&args.brokers, names.clone())?;
        let (desk, caller, counts) = (Arc::clone(&desk), Arc::clone(&caller), Arc::clone(&counts));
        let workers = Arc::new(WorkerPool::new(desk, caller, writer, counts));
        let handle = runtime.handle();
        CommandBridge::new(args, names.clone(), workers, handle, &mut rate)?.run(stop)?;
    }
    Ok(())
}

/// Makes the topics of answers unless they exist.
fn make_topics(
    args: &ConsumeArgs,
    names: &ConsumerTopics,
    runtime: &Runtime,
    stop: &StopSignal,
) -> Result<()> {
    let topics = TopicAdmin::new(&args.brokers, &args.group, runtime, stop);
    let commands = topics.partitions(&names.commands)?;
    if commands == 0 {
        let why = "make it first, with as many partitions as you will need";
        return Err(BridgeError::failed(format!("there is no topic {}", names.commands), why));
    }
    let results = topics.make(&names.results, Some(commands), &[("retention.ms", "-1")])?;
    if results < commands {
        return Err(BridgeError::Failed(format!(
            "the result topic {} has {results} partitions, want at least {commands}, as many as {} has",
            names.results, names.commands
        )));
    }
    topics.make(&names.dead_letters, None, &[])?;
    Ok(())
}
