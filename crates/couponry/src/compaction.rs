//! Compactions: what the command and `serve` share.

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cold::{BucketPatience, ColdStore};
use compactor::{
    ClosedPolicy, CompactError, CompactionPass, CompactionProgress, CompactionReport,
    CompactionSettings as Rules, Compactor, DuePass, ProgressWatch,
};
use console::{CompactionPlan, CompactionTrigger, PlannedPass, PlannedWork};
use engine::{
    COMPACTION_SILENT_MS, CompactionEnd, CompactionRun, CompactionStep, Engine, OtherRuns,
};
use hot::Witness;
use opentelemetry::trace::{FutureExt, Span, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use parking_lot::Mutex;

use crate::failure::{CliError, Result};
use crate::settings::{Hot, Settings};
use crate::{clock, files, open};

/// `serve` compacts this soon after its start, or sooner if it compacts more often, so that a
/// service that is restarted every day still compacts.
const FIRST_AFTER: Duration = Duration::from_secs(60);

/// How often a run says how far it is: several times before it would count as killed.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// Who asks if a person is to be forgotten at once.
pub(crate) const ERASURE: &str = "erasure";

const _: () = assert!(NOTE_EVERY.as_millis() as i64 * 3 < COMPACTION_SILENT_MS);

/// # Errors
/// Usage: a setting that cannot be used.
pub(crate) fn compactor(
    settings: &Settings,
    engine: &Engine,
    cold: &Arc<ColdStore>,
    watch: ProgressWatch,
) -> Result<Compactor> {
    let keep_archived_days = settings.keep_archived_days()?;
    let rules = Rules { keep_archived_days, ..Rules::default() };
    Ok(Compactor::new(engine.partitions(), Arc::clone(cold), rules, watch))
}

/// One run, with the people who are to be forgotten.
pub(crate) async fn run_once(
    settings: &Settings,
    engine: &Engine,
    cold: &Arc<ColdStore>,
    closed: ClosedPolicy,
    watch: ProgressWatch,
) -> Result<CompactionReport> {
    engine::know_erasures(engine.hot(), cold).await?;
    let report = compactor(settings, engine, cold, watch)?.run(engine.now(), closed).await;
    let report = report.map_err(cli_error)?;
    if let Some(through) = report.erased.through {
        engine.note_archived(through).await?;
    }
    Ok(report)
}

/// Takes the lock of the one compaction that runs, if nobody has it. Two would do no harm, but the same work twice.
pub(crate) fn lock_if_free(settings: &Settings) -> Result<Option<File>> {
    let file = lock_file(settings)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(CliError::because("cannot lock compact.lock")(error))
        }
    }
}

pub(crate) async fn lock(settings: &Settings) -> Result<File> {
    let file = lock_file(settings)?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(CliError::of)?.map_err(CliError::because("cannot lock compact.lock"))
}

fn lock_file(settings: &Settings) -> Result<File> {
    files::lock_file(&settings.data.value.join("compact.lock"))
}

/// Compacts as often as the setting `compact_every` says, and when somebody asks for it at the console, until it is
/// dropped. Waits for its turn among all stores of this process.
pub(crate) async fn from_time_to_time(
    settings: Settings,
    engine: Arc<Engine>,
    compactions: Arc<CompactionTrigger>,
    turns: Arc<tokio::sync::Mutex<()>>,
) {
    let every = settings.compact_every.value.every;
    let mut pause = every.map(|every| every.min(FIRST_AFTER));
    loop {
        let is_time = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        let asker = tokio::select! {
            () = is_time => None,
            asker = compactions.asked() => Some(asker),
        };
        let _turn = turns.lock().await;
        log(compacted(&settings, &engine, asker.as_deref()).await);
        if asker.is_some() {
            compactions.done();
        }
        pause = every;
    }
}

/// `asker` is who asked for it at the console.
async fn compacted(
    settings: &Settings,
    engine: &Engine,
    asker: Option<&str>,
) -> Result<CompactionReport> {
    let mut run = CompactionRun::new(asker.unwrap_or("serve"), &host(), engine.now());
    let others = match settings.hot.value {
        Hot::Sqlite => OtherRuns::AreOver,
        Hot::Cql(_) => OtherRuns::ComeFirst,
    };
    let begun = async {
        let lock = lock_if_free(settings)?;
        let lock = lock.ok_or_else(|| CliError::new("another compaction is running"))?;
        begin(engine, &run, others).await?;
        Ok::<_, CliError>(lock)
    };
    let _lock = match begun.await {
        Ok(lock) => lock,
        Err(error) => {
            // Whoever asked finds it in the list of runs, and in the log. An erasure asks again.
            if asker.is_some_and(|asker| asker != ERASURE) {
                let failed = Some(error.to_string());
                run.ended = Some(CompactionEnd { failed, ..CompactionEnd::default() });
                let _ = begin(engine, &run, OtherRuns::GoOn).await;
            }
            return Err(error);
        }
    };
    let noted = Noted::new(run, Arc::new(|_| {}));
    let watch = noted.watch();
    let work = async {
        // A store of its own: the engine's gives up as soon as a caller would.
        let traffic = Arc::clone(engine.cold().traffic());
        let cold = open::cold_beside(settings, BucketPatience::Work, traffic)?;
        let wanted = ClosedPolicy::WhenWorthwhile;
        let (closed, warning) = clock::allowed(engine, &cold, wanted, Witness::Alone).await?;
        if let Some(warning) = warning {
            tracing::warn!("compaction: {warning}");
        }
        run_once(settings, engine, &cold, closed, watch).await
    };
    traced(settings, noted.during(engine, work)).await
}

/// Makes a compaction a span, for OpenTelemetry, above those of its requests to the bucket.
async fn traced(
    settings: &Settings,
    work: impl Future<Output = Result<CompactionReport>>,
) -> Result<CompactionReport> {
    let mut span = global::tracer(env!("CARGO_PKG_NAME")).start("compaction");
    if let Some(space) = &settings.space.value {
        span.set_attribute(KeyValue::new("couponry.space", space.to_string()));
    }
    let context = Context::new().with_span(span);
    let ended = work.with_context(context.clone()).await;
    let span = context.span();
    if let Ok(report) = &ended {
        let coupons = i64::try_from(report.copied()).unwrap_or(i64::MAX);
        span.set_attribute(KeyValue::new("couponry.coupons", coupons));
    }
    if let Some(why) = failure(&ended) {
        span.set_status(Status::error(why));
    }
    span.end();
    ended
}

/// Enters a run in the list of all processes.
///
/// # Errors
/// Another one comes first. A list that cannot be written keeps nobody from compacting.
pub(crate) async fn begin(engine: &Engine, run: &CompactionRun, others: OtherRuns) -> Result<()> {
    match engine.begin_compaction(run, others).await {
        Ok(None) => Ok(()),
        Ok(Some(other)) => {
            let of = format!("{} on {}", other.by, other.host);
            Err(CliError::new(format!("another compaction is running, of {of}")))
        }
        Err(error) => {
            tracing::warn!(?error, "the console does not show this compaction");
            Ok(())
        }
    }
}

/// A run that has begun and says from time to time how far it is.
pub(crate) struct Noted {
    run: CompactionRun,
    step: Arc<Mutex<CompactionStep>>,
    /// Gets the progress, too.
    other: ProgressWatch,
}

impl Noted {
    pub(crate) fn new(run: CompactionRun, other: ProgressWatch) -> Noted {
        Noted { run, step: Arc::default(), other }
    }

    pub(crate) fn watch(&self) -> ProgressWatch {
        let (step, other) = (Arc::clone(&self.step), Arc::clone(&self.other));
        Arc::new(move |progress| {
            let mut step = step.lock();
            match progress {
                CompactionProgress::Begins(work) => {
                    *step = CompactionStep { day: Some(work.day.0), ..CompactionStep::default() };
                }
                CompactionProgress::Copied { rows, total }
                | CompactionProgress::Removed { rows, total } => {
                    (step.rows, step.total) = (rows, total);
                }
                CompactionProgress::Committed { .. } | CompactionProgress::Indexed { .. } => {}
            }
            drop(step);
            other(progress);
        })
    }

    /// Does its `work`, and enters how far it is and how it ends.
    pub(crate) async fn during(
        mut self,
        engine: &Engine,
        work: impl Future<Output = Result<CompactionReport>>,
    ) -> Result<CompactionReport> {
        let mut work = std::pin::pin!(work);
        let begun = Instant::now();
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                () = tokio::time::sleep(NOTE_EVERY) => {
                    self.run.step = *self.step.lock();
                    note(engine, &mut self.run).await;
                }
            }
        };
        self.run.ended = Some(end(begun.elapsed(), &ended));
        note(engine, &mut self.run).await;
        ended
    }
}

async fn note(engine: &Engine, run: &mut CompactionRun) {
    run.seen_at = engine.now().0;
    if let Err(error) = engine.note_compaction(run).await {
        tracing::debug!(?error, "the console does not know how far the compaction is");
    }
}

fn end(took: Duration, ended: &Result<CompactionReport>) -> CompactionEnd {
    let done = ended.as_ref().ok();
    CompactionEnd {
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        days: done.map_or(0, |report| report.partitions.len() as u64),
        rows: done.map_or(0, CompactionReport::copied),
        bytes: done.map_or(0, CompactionReport::bytes),
        failed: failure(ended),
    }
}

/// Why not all was done.
fn failure(ended: &Result<CompactionReport>) -> Option<String> {
    match ended {
        Ok(report) => {
            let of_day =
                report.failed.first().map(|(work, error)| format!("{}: {error}", work.day));
            let why = report.not_erased.as_ref().or(report.not_deleted.as_ref());
            let why = why.or(report.not_indexed.as_ref());
            of_day.or_else(|| why.map(CompactError::to_string))
        }
        Err(error) => Some(error.to_string()),
    }
}

pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// What a compaction would do now, for the console.
pub(crate) async fn plan(settings: &Settings, engine: &Engine) -> Result<CompactionPlan> {
    let warning = clock::would_observe(engine).await?.warning();
    let closed =
        if warning.is_none() { ClosedPolicy::WhenWorthwhile } else { ClosedPolicy::OnlyFinish };
    let cold = open::cold(settings, BucketPatience::Work)?;
    let compactor = compactor(settings, engine, &cold, Arc::new(|_| {}))?;
    let works = compactor.plan(engine.now(), closed).await.map_err(cli_error)?;
    let planned = |work: DuePass| PlannedWork {
        day: work.day,
        pass: match work.pass {
            CompactionPass::Finish => PlannedPass::Finish,
            CompactionPass::Closed => PlannedPass::Closed,
            CompactionPass::Expired => PlannedPass::Expired,
        },
        waiting: work.waiting,
    };
    Ok(CompactionPlan { works: works.into_iter().map(planned).collect(), warning })
}

fn log(ended: Result<CompactionReport>) {
    match ended {
        Ok(report) => {
            for partition in &report.partitions {
                tracing::info!(
                    day = %partition.day, pass = ?partition.pass, copied = partition.copied,
                    bytes = partition.bytes, removed = partition.removed, "compacted a partition"
                );
            }
        }
        Err(error) => tracing::warn!(%error, "no compaction, or not all of it; nothing is lost"),
    }
}

pub(crate) fn cli_error(error: CompactError) -> CliError {
    let next = match &error {
        CompactError::Hot(_) | CompactError::Conflict { .. } => {
            "run it again: it continues where it stopped"
        }
        CompactError::StoreMismatch(_) => "nothing was changed",
        CompactError::Cold(_)
        | CompactError::ArchivedMarkerAlone { .. }
        | CompactError::NotAsWritten { .. }
        | CompactError::NoProgress { .. } => {
            "nothing was removed from hot; `couponry doctor` checks both tiers"
        }
    };
    CliError::of(error).and(next)
}
