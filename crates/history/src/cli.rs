//! The command line of `couponry-history`.

mod args;

use std::io::{ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use couponry::bootstrap::{
    CliError, CommandProgress, Opened, Out, WorkKind, is_terminal, parsed, thousands,
};
use datafusion::arrow::array::RecordBatch;
use tokio::time::{interval, timeout};

use crate::error::HistoryError;
use crate::formats::{FormattedRows, OutputFormat, RowWriteError};
use crate::query::{History, SqlAnswer};
use crate::scanned::ScanCounts;
use crate::serve;
use args::{HistoryCli, QueryArgs, SqlCommand};

/// Stack of the threads that plan. The planner recurses as deep as an expression is nested;
/// `query::OPERATORS_MAX` limits how deep that is.
const STACK_BYTES: usize = 64 << 20;

/// Longest SQL, in bytes. Nobody writes more.
const SQL_BYTES_MAX: u64 = 1 << 20;

/// A query that takes no longer than this shows no progress.
const QUIET: Duration = Duration::from_secs(1);

/// Time between two updates of the progress.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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

/// The SQL of a call: from the command line, a file or standard input. Reads no store: a text that is no SQL needs
/// none.
fn statements(ask: &QueryArgs) -> Result<Vec<String>, CliError> {
    let can_show = match (ask.format, &ask.output) {
        (OutputFormat::Parquet | OutputFormat::Arrow, None) => !is_terminal(),
        _ => true,
    };
    if !can_show {
        return Err(CliError::usage(
            "a terminal cannot show this format: name a file with --output",
        ));
    }
    let one = |sql: String| match History::statements(&sql).map_err(cli_error)?.len() {
        1 => Ok(vec![sql]),
        several => Err(CliError::usage(format!(
            "{several} statements, want one: put them into a file and name it with --file"
        ))),
    };
    match (&ask.sql, &ask.file) {
        (Some(sql), _) if sql == "-" => one(read("standard input", std::io::stdin())?),
        (Some(sql), _) => one(sql.clone()),
        (None, Some(path)) => {
            let name = path.display().to_string();
            let cannot = format!("cannot read {name}");
            let file = std::fs::File::open(path).map_err(CliError::because(cannot))?;
            History::statements(&read(&name, file)?).map_err(cli_error)
        }
        (None, None) => Err(CliError::usage(
            "there is no SQL: give a statement, - for standard input, or --file; --help says more",
        )),
    }
}

fn read(name: &str, from: impl Read) -> Result<String, CliError> {
    let mut text = String::new();
    let read = from.take(SQL_BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > SQL_BYTES_MAX => {
            Err(CliError::usage(format!("{name} has more than {SQL_BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(CliError::usage(format!("{name} is not UTF-8")))
        }
        Err(error) => Err(CliError::new(format!("cannot read {name}: {error}"))),
    }
}

/// The rows of a call: to standard output or a file, with progress.
async fn written(history: &History, sql: &str, ask: &QueryArgs) -> Result<(), CliError> {
    let mut answer = history.ask(sql, ask.as_of).await.map_err(cli_error)?;
    let out = Out::to(ask.output.as_deref())?;
    let schema = answer.schema();
    let mut rows = FormattedRows::begin(out, ask.format, &schema).map_err(unwritten)?;
    let mut progress = None;
    while let Some(batch) = next(&mut answer, &mut progress).await? {
        rows.put(&batch).map_err(unwritten)?;
    }
    drop(progress);
    let count = rows.count();
    rows.end().map_err(unwritten)?.finish()?;
    if let Some(path) = &ask.output {
        let rows = if count == 1 { "row" } else { "rows" };
        let sentence = format!("{} {rows} in {}", thousands(count), path.display());
        // Nobody may read standard error.
        let _ = writeln!(std::io::stderr(), "couponry-history: {sentence}");
    }
    Ok(())
}

/// The next rows. Shows the progress of a query that takes longer than [`QUIET`].
async fn next(
    answer: &mut SqlAnswer,
    progress: &mut Option<CommandProgress>,
) -> Result<Option<RecordBatch>, CliError> {
    let plan = answer.plan().clone();
    let mut rows = std::pin::pin!(answer.next());
    if progress.is_none()
        && let Ok(rows) = timeout(QUIET, &mut rows).await
    {
        return rows.map_err(cli_error);
    }
    let progress =
        progress.get_or_insert_with(|| CommandProgress::new(WorkKind::Query, None, false));
    let mut looks = interval(LOOK_EVERY);
    let watched = async {
        loop {
            tokio::select! {
                biased;
                rows = &mut rows => return rows,
                _ = looks.tick() => {
                    let scanned = ScanCounts::of(&plan);
                    progress.set(scanned.rows, scanned.of);
                }
            }
        }
    };
    progress.during(watched).await.map_err(cli_error)
}

fn unwritten(error: RowWriteError) -> CliError {
    match error {
        RowWriteError::Out(error) if error.kind() == ErrorKind::BrokenPipe => {
            CliError::nobody_reads()
        }
        error => CliError::new(format!("cannot write the rows: {error}")),
    }
}
