//! couponry: one binary whose roles are commands. Only this crate reads the environment, opens
//! files and writes to standard output. A second binary uses [`bootstrap`].

pub mod bootstrap;
#[macro_use]
mod cli;
mod client;
mod clock;
mod commands;
mod compaction;
mod cql;
mod failure;
mod files;
mod keys;
mod notices;
mod open;
mod output;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::CommandFactory;
use tracing_subscriber::filter::EnvFilter;

use cli::{Cli, Command};
use failure::{CliError, Ended, Result};
use settings::Settings;

pub fn main() -> ExitCode {
    let cli: Cli = settings::help::parsed();
    // Before there are threads. Manual pages are for everybody.
    if !matches!(cli.command, Command::Man(_)) {
        files::keep_private();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime.map_err(CliError::because("cannot start the runtime")) {
        Ok(runtime) => runtime,
        Err(error) => return error.exit_as("couponry"),
    };
    let ended = runtime.block_on(run(cli));
    // A thread may still block on standard input; nothing waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Partly) => ExitCode::from(3),
        Err(error) => error.exit_as("couponry"),
    }
}

async fn run(cli: Cli) -> Result<Ended> {
    let settings = || -> Result<Settings> {
        let settings = Settings::resolve(&cli.settings)?;
        start_log(&settings, matches!(cli.command, Command::Serve))?;
        Ok(settings)
    };
    // What works on the data folder must not do it by mistake while another service is named.
    let here = || -> Result<Settings> {
        let settings = settings()?;
        settings.names_no_other_service()?;
        Ok(settings)
    };
    match &cli.command {
        // These work without settings.
        Command::Openapi(args) => commands::openapi::run(args),
        Command::Completion(args) => commands::shell::complete(args, Cli::command()),
        Command::Man(args) => commands::shell::write_pages(args, Cli::command()),
        Command::Webhook(command) => commands::webhook::run(command).await,
        Command::Settings => commands::config::topic(),
        Command::Serve => serve::run(&here()?).await,
        Command::Campaign(command) => commands::campaign::run(&settings()?, command).await,
        Command::Coupon(call) => commands::coupon::run(&settings()?, call).await,
        Command::Person(command) => commands::person::run(&settings()?, command).await,
        Command::Import(flags) => commands::import::run(&settings()?, flags).await,
        Command::Export(command) => commands::export::run(&settings()?, command).await,
        Command::History(command) => commands::history::run(&settings()?, command).await,
        Command::Events(flags) => commands::events::run(&settings()?, flags).await,
        Command::Compact(args) => commands::compact::run(&here()?, args).await,
        Command::Backup(args) => commands::backup::run(&here()?, args).await,
        Command::Restore(args) => commands::restore::run(&here()?, args).await,
        Command::Copy(args) => commands::copy::run(&here()?, args).await,
        Command::Schema(command) => commands::schema::run(&here()?, command).await,
        Command::Notify(flags) => commands::notify::run(&here()?, flags).await,
        Command::Token(args) => commands::token::run(&here()?, args).await,
        Command::Console(args) => commands::console::run(&here()?, args),
        Command::Key(command) => commands::key::run(&here()?, command).await,
        Command::Doctor(args) => commands::doctor::run(&here()?, args).await,
        Command::Verify(args) => commands::verify::run(&here()?, args).await,
        Command::Healthcheck => commands::healthcheck::run(&settings()?).await,
        Command::Config => commands::config::run(&settings()?),
    }
}

/// Logs to standard error: text on a terminal, JSON elsewhere. A command that is no service says itself what the one in
/// its process has answered.
fn start_log(settings: &Settings, is_service: bool) -> Result<()> {
    use std::io::IsTerminal;
    // delta_kernel logs errors that are none, such as a table that does not exist yet, and the
    // driver logs each connection attempt, and the resolver each name of a receiver that it does not find. We log the
    // errors that they return.
    const QUIET: &str =
        "delta_kernel=off,scylla=off,hickory_net=off,hickory_proto=off,hickory_resolver=off";
    let requests = if is_service { String::new() } else { "api::request_log=off,".to_owned() };
    let filter = EnvFilter::try_new(format!("{QUIET},{requests}{}", settings.log.value))
        .map_err(|error| settings.log.unusable(error))?;
    let to = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match (settings.log_format.value.as_str(), std::io::stderr().is_terminal()) {
        ("text", _) | ("auto", true) => to.init(),
        ("json", _) | ("auto", false) => to.json().init(),
        (other, _) => {
            let why = format!("it is {other:?}, want auto, text or json");
            return Err(settings.log_format.unusable(why));
        }
    }
    Ok(())
}
