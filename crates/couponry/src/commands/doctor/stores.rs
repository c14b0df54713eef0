//! Checks of the hot store and the cold tier: one write, every row, every file.

use std::sync::Arc;
use std::time::Duration;

use cold::{ColdStore, FileFinding, Patience, ProbeResult};
use engine::{Clock, ColdArchive, Engine, HealthFinding, SystemClock};
use hot::clock::clock_record;
use hot::{ClockRecord, Facts, HotStore, Witness};

use super::{Report, Verdict, cluster};
use crate::cluster::{Waiting, connect, patiently};
use crate::failure::CliError;
use crate::keys::Keys;
use crate::open;
use crate::progress::{Progress, Work};
use crate::serve::banner::{durable_write, milliseconds};
use crate::settings::{Hot, Settings};

/// A slow durable write, which every request waits for: a good disk takes a tenth of it.
const SLOW_WRITE: Duration = Duration::from_millis(20);

/// What checks of the cold tier are about.
const COLD: &str = "cold tier";

/// Opens the hot store and checks both tiers.
pub(super) async fn report(
    settings: &Settings,
    keys: &Keys,
    report: &mut Report,
) -> Result<(), CliError> {
    let cold = open::cold(settings, Patience::Work)?;
    match &settings.hot.value {
        Hot::Sqlite => match open::sqlite(settings, keys, &cold) {
            Ok(store) => {
                report.add("clock", clock(&store).await)?;
                both_tiers(Arc::new(store), cold, keys, SLOW_WRITE, report).await
            }
            Err(error) => report.add("hot store", Verdict::Fail(error.to_string())),
        },
        Hot::Cluster(target) => {
            let attempt = async || {
                let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
                connect(settings, target, keys.code_keys(), archive).await
            };
            match patiently(target, Waiting::Command, attempt).await {
                Ok(connected) => {
                    cluster::report(settings, &connected, report).await?;
                    let store = Arc::clone(&connected.store) as Arc<dyn HotStore>;
                    let ended = both_tiers(store, cold, keys, cluster::SLOW_WRITE, report).await;
                    connected.flush().await;
                    ended
                }
                Err(error) => report.add("cluster", Verdict::Fail(error.to_string())),
            }
        }
    }
}

/// Compares the clock with the highest time that the store has seen.
async fn clock(store: &dyn Facts) -> Verdict {
    match clock_record(store).await {
        Ok(None) => Verdict::Ok("nothing to compare it with yet".to_owned()),
        Ok(seen) => match ClockRecord::after(seen, SystemClock.now(), Witness::Alone).warning() {
            None => Verdict::Ok("agrees with the highest time that the store has seen".to_owned()),
            Some(warning) => Verdict::Warn(warning),
        },
        Err(error) => Verdict::Fail(error.to_string()),
    }
}

async fn both_tiers(
    store: Arc<dyn HotStore>,
    cold: Arc<ColdStore>,
    keys: &Keys,
    slow: Duration,
    report: &mut Report,
) -> Result<(), CliError> {
    report.add("batches", batches(store.as_ref(), keys).await)?;
    let engine = open::engine_over(store, cold, keys);
    report.add("writes", writes(&engine, slow).await)?;
    let progress = Progress::new(Work::Examine, None, false);
    let findings = progress.during(engine.hot().examine()).await;
    drop(progress);
    match findings {
        Ok(findings) => {
            findings.into_iter().try_for_each(|it| report.add("hot store", verdict(it)))?;
        }
        Err(error) => report.add("hot store", Verdict::Fail(error.to_string()))?,
    }
    probe(engine.cold(), report).await?;
    cold_tier(&engine, report).await
}

/// Whether the key of every minted batch is here.
async fn batches(store: &dyn HotStore, keys: &Keys) -> Verdict {
    match open::missing_keys(store, &keys.ring()).await {
        Ok(missing) if missing.is_empty() => {
            Verdict::Ok("the key of every minted batch is here".into())
        }
        Ok(missing) => {
            let files: Vec<String> = missing.iter().map(|id| format!("code-{id}.key")).collect();
            Verdict::Fail(format!(
                "some were minted with keys that are not here: put {} back, from a backup or a \
                 node that runs",
                files.join(", ")
            ))
        }
        Err(error) => Verdict::Fail(error.to_string()),
    }
}

/// Times one durable write.
async fn writes(engine: &Engine, slow: Duration) -> Verdict {
    if let Err(why) = engine.writable().await {
        return Verdict::Fail(why);
    }
    match durable_write(engine).await {
        Err(why) => Verdict::Fail(why),
        Ok(took) => {
            let text = format!("a durable write takes {}", milliseconds(took));
            match took > slow {
                true => Verdict::Warn(format!("{text}, and every change waits for one")),
                false => Verdict::Ok(text),
            }
        }
    }
}

/// Whether a bucket lets only one of many writers create an object.
async fn probe(cold: &ColdStore, report: &mut Report) -> Result<(), CliError> {
    match cold.probe().await {
        Ok(ProbeResult::Known) => Ok(()),
        Ok(ProbeResult::Raced { writers, races }) => report.add(
            COLD,
            Verdict::Ok(format!(
                "{}: in {races} races, exactly one of {writers} writers created an object; its \
                 clock agrees with ours",
                cold.location()
            )),
        ),
        Err(error) => report.add(COLD, Verdict::Fail(error.to_string())),
    }
}

/// Whether the two stores agree, and whether the files of the cold tier can be read.
async fn cold_tier(engine: &Engine, report: &mut Report) -> Result<(), CliError> {
    let progress = Progress::new(Work::Examine, None, false);
    let both = progress.during(compactor::examine(engine.hot(), engine.cold())).await;
    match both {
        Ok(findings) => findings.into_iter().try_for_each(|it| report.add(COLD, verdict(it)))?,
        Err(error) => report.add(COLD, Verdict::Fail(error.to_string()))?,
    }
    match engine.hot().cold_mark().await {
        Ok(mark) if mark.begun.is_none() => return Ok(()),
        Ok(_) => {}
        Err(error) => return report.add(COLD, Verdict::Fail(error.to_string())),
    }
    let files = progress.during(engine.cold().examine()).await;
    drop(progress);
    match files {
        Ok(findings) => findings.into_iter().try_for_each(|it| {
            let verdict = match it {
                FileFinding::Sound(text) => Verdict::Ok(text),
                FileFinding::Fault(text) => Verdict::Fail(text),
            };
            report.add(COLD, verdict)
        }),
        Err(error) => report.add(COLD, Verdict::Fail(error.to_string())),
    }
}

fn verdict(finding: HealthFinding) -> Verdict {
    match finding {
        HealthFinding::Sound(text) => Verdict::Ok(text),
        HealthFinding::Drifted(text) => Verdict::Warn(text),
        HealthFinding::Fault(text) => Verdict::Fail(text),
    }
}
