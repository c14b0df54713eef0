//! couponry-kafka: the event feed to a topic of Apache Kafka (`publish`), and commands from a topic
//! (`consume`). It speaks HTTP to couponry, as any other client does, and uses no crate of the product.
//!
//! Both commands keep what they must not forget in Kafka itself, so the machine on which they run has no state. Kafka's
//! calls block, so they run on the first thread of the process; requests to couponry run on the threads of tokio.

mod cli;
mod config;
mod consume;
mod error;
mod http;
mod loss;
mod publish;
mod rate;
mod stop;
mod topics;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use error::{BridgeError, Result};
use stop::StopSignal;

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    let (exit_code, why) = match run(&cli.command) {
        Ok(()) | Err(BridgeError::Stopped) => return ExitCode::SUCCESS,
        Err(BridgeError::Failed(why)) => (1, why),
        Err(BridgeError::Usage(why)) => (2, why),
    };
    eprintln!("couponry-kafka: {why}");
    ExitCode::from(exit_code)
}

fn run(command: &Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| BridgeError::failed("cannot start the runtime", error))?;
    let stop = StopSignal::on_signals(runtime.handle())?;
    let done = match command {
        Command::Publish(args) => publish::run(args, &runtime, &stop),
        Command::Consume(args) => consume::run(args, &runtime, &stop),
    };
    // A request that nobody waits for any more must not delay the end.
    runtime.shutdown_background();
    done
}

/// Logs to standard error: text on a terminal, JSON elsewhere. `RUST_LOG` chooses what.
fn start_log() {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,librdkafka=error"));
    let to = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { to.init() } else { to.json().init() }
}
