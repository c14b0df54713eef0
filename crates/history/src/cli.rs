//! The command line of `couponry-history`.

use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use couponry::bootstrap::{
    CliError, Opened, Out, Progress, StoreFlags, Work, is_terminal, parsed, thousands,
};
use tokio::time::{interval, timeout};

use crate::error::HistoryError;
use crate::formats::{Format, Rows, Unwritten};
use crate::query::{Answer, History, Limits};
use crate::scanned::Scanned;
use crate::serve;

/// A query that takes no longer shows no progress.
const QUIET: Duration = Duration::from_secs(1);

/// Time between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Longest SQL, in bytes: more than anybody writes.
const SQL_BYTES_MAX: u64 = 1 << 20;

/// The planner goes into an expression as deep as it is nested; see [`crate::query`] for how deep
/// that may be.
const STACK_BYTES: usize = 64 << 20;

/// SQL over both tiers of couponry
///
/// Four tables: `coupons` (both tiers as one, each coupon once), `events`, `redemptions` and
/// `campaigns`. Nothing is ever written. Runs beside a `couponry serve` or without one, on the same
/// settings. Minted codes that nobody has touched have no row.
#[derive(Parser)]
#[command(
    name = "couponry-history",
    version,
    max_term_width = 100,
    subcommand_precedence_over_arg = true,
    after_help = "\
Exit codes: 0 done, 1 failed, 2 usage error or wrong SQL.

Examples:
  couponry-history \"select campaign_id, state, count(*) from coupons
    where expires_on >= '2026-10-01' group by 1, 2\"
  couponry-history --format parquet --output may.parquet \\
    \"select * from redemptions where redeemed_at >= '2026-05-01'\"
  couponry-history --file report.sql --format csv
  couponry-history serve --listen 127.0.0.1:8081"
)]
struct Cli {
    #[command(flatten)]
    stores: StoreFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    ask: QueryArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer SQL over HTTP: POST /v1/history/query, for operators and admins
    #[command(after_help = "\
Exit codes: 0 stopped by a signal, 1 it could not start or broke off, 2 usage error.

Example:
  couponry-history serve --listen 127.0.0.1:8081
  curl -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\
    -d '{\"sql\": \"select count(*) from coupons\"}' http://127.0.0.1:8081/v1/history/query")]
    Serve,
}

#[derive(Args)]
struct QueryArgs {
    /// One statement; - reads it from standard input
    #[arg(value_name = "SQL", conflicts_with = "file")]
    sql: Option<String>,
    /// Run the statements of a file, one after the other
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
    /// Write to this file instead of standard output; it appears when it is complete, readable by
    /// its owner alone
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Read the cold tier as it was at this version of its Delta table, and nothing of the hot one,
    /// which has no versions
    #[arg(long, value_name = "VERSION")]
    as_of: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Columns under each other
    Table,
    /// A header and comma-separated cells
    Csv,
    /// A JSON object a line
    Jsonl,
    /// A Parquet file
    Parquet,
    /// An Arrow file (IPC, Feather version 2)
    Arrow,
}

#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Seconds that a query may take [default: 600; serve: 10]
    #[arg(long, global = true, env = "COUPONRY_HISTORY_TIME_LIMIT", value_name = "SECONDS",
        hide_env_values = true, value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: Option<u64>,
    /// Memory for sorting, grouping and joining, in MiB; what does not fit goes to disk
    /// [default: 1024; serve: 256 for each query]
    #[arg(long, global = true, env = "COUPONRY_HISTORY_MEMORY_LIMIT", value_name = "MIB",
        hide_env_values = true, value_parser = clap::value_parser!(u64).range(16..=1 << 20))]
    memory_limit: Option<u64>,
    /// Room on disk for that, in MiB [default: 10240; serve: 1024 for all queries]
    #[arg(long, global = true, env = "COUPONRY_HISTORY_SPILL_LIMIT", value_name = "MIB",
        hide_env_values = true, value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    spill_limit: Option<u64>,
    /// Folder for it [default: the system's for temporary files]
    #[arg(
        long,
        global = true,
        env = "COUPONRY_HISTORY_SPILL_FOLDER",
        value_name = "FOLDER",
        hide_env_values = true
    )]
    spill_folder: Option<PathBuf>,
}

impl LimitFlags {
    fn or(&self, seconds: u64, memory_mib: u64, spill_mib: u64) -> Limits {
        Limits {
            time: Duration::from_secs(self.time_limit.unwrap_or(seconds)),
            memory: usize::try_from(self.memory_limit.unwrap_or(memory_mib) << 20)
                .unwrap_or(usize::MAX),
            spill: self.spill_limit.unwrap_or(spill_mib) << 20,
            spill_folder: self.spill_folder.clone(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The binary.
pub fn main() -> ExitCode {
    let cli: Cli = parsed();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().thread_stack_size(STACK_BYTES).build() {
        Ok(runtime) => runtime,
        Err(error) => return exit(CliError::new(format!("cannot start the runtime: {error}"))),
    };
    // On a thread that has such a stack, which the first one has not.
    let begun = std::thread::Builder::new().stack_size(STACK_BYTES).spawn({
        let runtime = runtime.handle().clone();
        move || runtime.block_on(run(cli))
    });
    let ended = match begun {
        Ok(running) => {
            running.join().unwrap_or_else(|_| Err(CliError::new("it broke off".to_owned())))
        }
        Err(error) => Err(CliError::new(format!("cannot start a thread: {error}"))),
    };
    // A query that was cut off may still decode a row group.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(cli_error) => exit(cli_error),
    }
}

fn exit(cli_error: CliError) -> ExitCode {
    cli_error.exit_as("couponry-history")
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let asked = match &cli.command {
        Some(Command::Serve) => None,
        // Before a store is opened: what is no SQL needs none.
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

async fn answered(opened: &Opened, cli: &Cli, asked: &[String]) -> Result<(), CliError> {
    let limits = cli.limits.or(600, 1_024, 10_240);
    let history = History::new(opened.engine().clone(), limits).map_err(cli_error)?;
    if asked.len() > 1 && cli.ask.output.is_some() {
        return Err(CliError::usage(
            "--output takes the rows of one statement, not of several",
        ));
    }
    for sql in asked {
        written(&history, sql, &cli.ask).await?;
    }
    Ok(())
}

/// Runs a statement and writes its rows.
async fn written(history: &History, sql: &str, ask: &QueryArgs) -> Result<(), CliError> {
    let mut answer = history.ask(sql, ask.as_of).await.map_err(cli_error)?;
    let out = Out::to(ask.output.as_deref())?;
    let format = match ask.format {
        Form::Table => Format::Table,
        Form::Csv => Format::Csv,
        Form::Jsonl => Format::Jsonl,
        Form::Parquet => Format::Parquet,
        Form::Arrow => Format::Arrow,
    };
    let schema = answer.schema();
    let mut rows = Rows::begin(out, format, &schema).map_err(unwritten)?;
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
        // Without anybody to read it there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "couponry-history: {sentence}");
    }
    Ok(())
}

/// The next rows; who waits long for them is told how far it is.
async fn next(
    answer: &mut Answer,
    progress: &mut Option<Progress>,
) -> Result<Option<datafusion::arrow::array::RecordBatch>, CliError> {
    let plan = answer.plan().clone();
    let mut rows = std::pin::pin!(answer.next());
    if progress.is_none()
        && let Ok(rows) = timeout(QUIET, &mut rows).await
    {
        return rows.map_err(cli_error);
    }
    let progress = progress.get_or_insert_with(|| Progress::new(Work::Query, None, false));
    let mut looks = interval(LOOK_EVERY);
    let watched = async {
        loop {
            tokio::select! {
                biased;
                rows = &mut rows => return rows,
                _ = looks.tick() => {
                    let scanned = Scanned::of(&plan);
                    progress.set(scanned.rows, scanned.of);
                }
            }
        }
    };
    progress.during(watched).await.map_err(cli_error)
}

fn statements(ask: &QueryArgs) -> Result<Vec<String>, CliError> {
    let written = match (ask.format, &ask.output) {
        (Form::Parquet | Form::Arrow, None) => !is_terminal(),
        _ => true,
    };
    if !written {
        return Err(CliError::usage(
            "this form is not for a terminal: name a file with --output",
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

fn cli_error(wrong: HistoryError) -> CliError {
    match wrong {
        HistoryError::Sql(_) => CliError::usage(wrong.to_string()),
        HistoryError::Store(error) => error.into(),
        HistoryError::Values(_)
        | HistoryError::TooLong { .. }
        | HistoryError::TooLarge(_)
        | HistoryError::Broken(_) => CliError::new(wrong.to_string()),
    }
}

fn unwritten(error: Unwritten) -> CliError {
    match error {
        Unwritten::Out(error) if error.kind() == ErrorKind::BrokenPipe => CliError::nobody_reads(),
        error => CliError::new(format!("cannot write the rows: {error}")),
    }
}
