//! Compactions: what the command and `serve` share.

use std::fs::{File, OpenOptions, TryLockError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cold::{ColdStore, Patience};
use compactor::{Closed, CompactError, Compactor, Report, Settings as Rules, Watch};
use console::{CompactionRun, Console};
use coupon::time::Millis;
use engine::Engine;

use crate::clock::{self, Trust};
use crate::failure::CliError;
use crate::open;
use crate::settings::Settings;

/// `serve` compacts this soon after its start, or sooner if it compacts more often, so that a
/// service that is restarted every day still compacts.
const FIRST_AFTER: Duration = Duration::from_secs(60);

/// A compactor from the engine's hot store to a cold one.
pub(crate) fn compactor(engine: &Engine, cold: &Arc<ColdStore>, watch: Watch) -> Compactor {
    Compactor::new(engine.partitions(), Arc::clone(cold), Rules::default(), watch)
}

/// Lock of the one compaction that runs. Two would do no harm, but the same work twice.
pub(crate) struct Alone(#[expect(dead_code, reason = "the lock is held while it lives")] File);

impl Alone {
    /// Takes the lock if no process holds it.
    pub(crate) fn try_take(settings: &Settings) -> Result<Option<Alone>, CliError> {
        let file = lock_file(settings)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Alone(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(CliError::because("cannot lock compact.lock")(error))
            }
        }
    }

    /// Waits for the lock and takes it.
    pub(crate) async fn take(settings: &Settings) -> Result<Alone, CliError> {
        let file = lock_file(settings)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        let file = locked.map_err(|panic| CliError::new(panic.to_string()))?;
        file.map(Alone).map_err(CliError::because("cannot lock compact.lock"))
    }
}

fn lock_file(settings: &Settings) -> Result<File, CliError> {
    let path = settings.data.value.join("compact.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    file.map_err(CliError::cannot("open", &path))
}

/// Compacts as often as the setting `compact_every` says, until it is dropped. The console shows the runs.
pub(crate) async fn from_time_to_time(
    settings: Settings,
    engine: Arc<Engine>,
    console: Option<Arc<Console>>,
) {
    let Some(every) = settings.compact_every.value.every else { return };
    // A store of its own: the engine's gives up as soon as a caller would.
    let cold = match open::cold(&settings, Patience::Work) {
        Ok(cold) => cold,
        Err(error) => {
            return tracing::error!(%error, "cannot open the cold tier: serve does not compact");
        }
    };
    tokio::time::sleep(every.min(FIRST_AFTER)).await;
    loop {
        match Alone::try_take(&settings) {
            Ok(Some(_alone)) => {
                let run = compacted(&settings, &engine, &cold).await;
                if let (Some(console), Some(run)) = (&console, run) {
                    console.compacted(run);
                }
            }
            Ok(None) => tracing::info!("another compaction is running: this one is skipped"),
            Err(error) => tracing::warn!(%error, "cannot compact now"),
        }
        tokio::time::sleep(every).await;
    }
}

/// One compaction; `None` if it may not run now.
async fn compacted(
    settings: &Settings,
    engine: &Engine,
    cold: &Arc<ColdStore>,
) -> Option<CompactionRun> {
    let wanted = Closed::WhenWorthwhile;
    match clock::allowed(settings, engine, cold, wanted, Trust::Compared).await {
        Ok((closed, warning)) => {
            if let Some(warning) = warning {
                tracing::warn!("compaction: {warning}");
            }
            let compactor = compactor(engine, cold, Arc::new(|_| {}));
            let (began_at, begun) = (engine.now(), Instant::now());
            let ended = compactor.run(began_at, closed).await;
            let run = run(began_at, begun.elapsed(), &ended);
            log(ended);
            Some(run)
        }
        Err(error) => {
            tracing::warn!(%error, "cannot compact now");
            None
        }
    }
}

/// What people see of a compaction.
fn run(began_at: Millis, took: Duration, ended: &Result<Report, CompactError>) -> CompactionRun {
    let partitions = ended.as_ref().map_or(&[][..], |report| &report.partitions);
    let failed = match ended {
        Ok(report) => report.failed.first().map(|(_, error)| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    CompactionRun {
        began_at,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        days: partitions.len() as u64,
        rows: partitions.iter().map(|it| it.copied).sum(),
        bytes: partitions.iter().map(|it| it.bytes).sum(),
        failed,
    }
}

fn log(ended: Result<Report, CompactError>) {
    match ended {
        Ok(report) => {
            for partition in &report.partitions {
                tracing::info!(
                    day = %partition.day, pass = ?partition.pass, copied = partition.copied,
                    bytes = partition.bytes, removed = partition.removed, "compacted a partition"
                );
            }
        }
        Err(error) => tracing::error!(%error, "the compaction failed; nothing is lost"),
    }
}

/// A compaction's error, with what to do about it.
pub(crate) fn cli_error(error: CompactError) -> CliError {
    let next = match &error {
        CompactError::Hot(_) | CompactError::Conflict { .. } => {
            "run it again: it continues where it stopped"
        }
        CompactError::StoreMismatch(_) => "nothing was changed",
        CompactError::Cold(_)
        | CompactError::ArchivedMarkerAlone { .. }
        | CompactError::NotAsWritten { .. } => {
            "nothing was removed from hot; `couponry doctor` checks both tiers"
        }
    };
    CliError::new(error.to_string()).and(next)
}
