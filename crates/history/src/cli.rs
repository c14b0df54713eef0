//! The command line of `couponry-history`.

mod args;
mod input;
mod output;

use std::io::Write;
use std::process::ExitCode;

use couponry::bootstrap::{CliError, Opened, parsed};

use crate::error::HistoryError;
use crate::query::History;
use crate::serve;
use args::{HistoryCli, SqlCommand};
use input::statements;
use output::written;

/// Stack of the threads that plan. The planner recurses as deep as an expression is nested;
/// `query::statement` limits how deep that is.
const STACK_BYTES: usize = 64 << 20;

pub fn main() -> ExitCode {
    let cli: HistoryCli = parsed();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().thread_stack_size(STACK_BYTES).build() {
        Ok(runtime) => runtime,
        Err(error) => return exit(CliError::new(format!("cannot start the runtime: {error}"))),
    };
    // The first thread has a smaller stack.
    let begun = std::thread::Builder::new().stack_size(STACK_BYTES).spawn({
        let runtime = runtime.handle().clone();
        move || runtime.block_on(run(cli))
    });
    let ended = match begun {
        Ok(running) => running
            .join()
            .unwrap_or_else(|_| Err(CliError::new("it stopped with a panic".to_owned()))),
        Err(error) => Err(CliError::new(format!("cannot start a thread: {error}"))),
    };
    // A query that was stopped may still decode a row group.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(cli_error) => exit(cli_error),
    }
}

fn exit(cli_error: CliError) -> ExitCode {
    cli_error.exit_as("couponry-history")
}

async fn run(cli: HistoryCli) -> Result<(), CliError> {
    let asked = match &cli.command {
        Some(SqlCommand::Serve) => None,
        // Before a store is opened: a text that is no SQL needs none.
        None => Some(statements(&cli.ask)?),
    };
    let chosen = cli.stores.chosen()?;
    let listen = chosen.listen().to_owned();
    let opened = chosen.open().await?;
    let done = match asked {
        None => {
            let limits = cli.limits.or(10, 256, 1_024);
            serve::run(&opened, &listen, limits).await
        }
        Some(asked) => answered(&opened, &cli, &asked).await,
    };
    opened.close().await;
    done
}

async fn answered(opened: &Opened, cli: &HistoryCli, asked: &[String]) -> Result<(), CliError> {
    let limits = cli.limits.or(600, 1_024, 10_240);
    let history = History::new(opened.engine().clone(), limits).map_err(cli_error)?;
    if asked.len() > 1 && cli.ask.output.is_some() {
        return Err(CliError::usage("--output takes the rows of one statement, not of several"));
    }
    if let Some(version) = cli.ask.as_of {
        // Nobody may read standard error.
        let _ = writeln!(
            std::io::stderr(),
            "couponry-history: version {version} of the archive alone, without active coupons"
        );
    }
    for sql in asked {
        written(&history, sql, &cli.ask).await?;
    }
    Ok(())
}

fn cli_error(error: HistoryError) -> CliError {
    match error {
        HistoryError::Sql(_) => CliError::usage(error.to_string()),
        HistoryError::Store(hot) => hot.into(),
        HistoryError::Values(_)
        | HistoryError::TooLong { .. }
        | HistoryError::TooLarge(_)
        | HistoryError::Broken(_) => CliError::new(error.to_string()),
    }
}
