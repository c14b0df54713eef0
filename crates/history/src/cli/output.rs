//! The rows of a call: to standard output or a file, with progress.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use couponry::bootstrap::{CliError, CommandProgress, Out, WorkKind, thousands};
use tokio::time::{interval, timeout};

use super::args::QueryArgs;
use super::cli_error;
use crate::formats::{FormattedRows, RowWriteError};
use crate::query::{History, SqlAnswer};
use crate::scanned::ScanCounts;

/// A query that takes no longer than this shows no progress.
const QUIET: Duration = Duration::from_secs(1);

/// Time between two updates of the progress.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn written(history: &History, sql: &str, ask: &QueryArgs) -> Result<(), CliError> {
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
) -> Result<Option<datafusion::arrow::array::RecordBatch>, CliError> {
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
