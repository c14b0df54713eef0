//! couponry: one binary, its roles as commands. This crate alone reads the environment, opens
//! files and writes to standard output; [`beside`] is what a second binary takes from it.

pub mod bootstrap;
mod cli;
mod clock;
mod cluster;
mod commands;
mod compaction;
mod failure;
mod files;
mod keys;
mod open;
mod output;
mod progress;
mod reload;
mod serve;
mod settings;
mod span;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::{CliError, Ended};
use settings::Settings;

/// The binary: runs the command that its arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return CliError::new(format!("cannot start the runtime: {error}")).exit(),
    };
    let ended = runtime.block_on(run(cli));
    // Somebody may still be asked for standard input, which nobody waits for any more.
    runtime.shutdown_background();
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Partly) => ExitCode::from(3),
        Err(cli_error) => cli_error.exit(),
    }
}

async fn run(cli: Cli) -> Result<Ended, CliError> {
    // These two are asked for before there is anything to set.
    if let Command::Openapi = cli.command {
        return commands::openapi::run();
    }
    if let Command::Completion(ask) = &cli.command {
        return commands::completion::run(ask);
    }
    let settings = Settings::resolve(&cli.settings)?;
    start_log(&settings)?;
    match &cli.command {
        Command::Serve => serve::run(&settings).await,
        Command::Campaign(ask) => commands::campaign::run(&settings, ask).await,
        Command::Coupon(ask) => commands::coupon::run(&settings, ask).await,
        Command::Import(flags) => commands::import::run(&settings, flags).await,
        Command::Export(ask) => commands::export::run(&settings, ask).await,
        Command::History(ask) => commands::history::run(&settings, ask).await,
        Command::Compact(ask) => commands::compact::run(&settings, ask).await,
        Command::Backup(ask) => commands::backup::run(&settings, ask).await,
        Command::Restore(ask) => commands::restore::run(&settings, ask).await,
        Command::Copy(ask) => commands::copy::run(&settings, ask).await,
        Command::Schema(ask) => commands::schema::run(&settings, ask).await,
        Command::Notify(flags) => commands::notify::run(&settings, flags).await,
        Command::Token(ask) => commands::token::run(&settings, ask),
        Command::Key(ask) => commands::key::run(&settings, ask),
        Command::Doctor => commands::doctor::run(&settings).await,
        Command::Verify(ask) => commands::verify::run(&settings, ask).await,
        Command::Healthcheck(ask) => commands::healthcheck::run(&settings, ask).await,
        Command::Config => commands::config::run(&settings),
        Command::Openapi => commands::openapi::run(),
        Command::Completion(ask) => commands::completion::run(ask),
    }
}

/// Logs go to standard error: people read them on a terminal, machines elsewhere.
fn start_log(settings: &Settings) -> Result<(), CliError> {
    use std::io::IsTerminal;
    // The kernel logs as an error what is none, such as a table that is not made yet, the driver
    // each connection that it tries; what matters comes back from them and is logged by us.
    let filter = format!("delta_kernel=off,scylla=off,{}", settings.log.value);
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| CliError::wrong_call(format!("log: {error}")))?;
    let to = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = match settings.log_format.value.as_str() {
        "text" => false,
        "json" => true,
        "auto" => !std::io::stderr().is_terminal(),
        other => {
            let found = format!("log_format is {other:?}, want auto, text or json");
            return Err(CliError::wrong_call(found));
        }
    };
    match json {
        true => to.json().init(),
        false => to.init(),
    }
    Ok(())
}
