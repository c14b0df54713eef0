//! Checks of the hot store and the cold tier: the keys of the batches, one write, the bucket, and
//! all that `verify` checks.

use std::sync::Arc;
use std::time::Duration;

use cold::{BucketPatience, ColdStore, ProbeResult};
use engine::{Clock, Engine, SystemClock};
use hot::clock::clock_record;
use hot::{ClockRecord, Facts, HotError, HotStore, Witness};
use verify::{Finding, VerifyOptions};

use super::{DoctorArgs, Report, Verdict, cluster};
use crate::commands::verify::checked;
use crate::cql::Waiting;
use crate::failure::Result;
use crate::keys::Keys;
use crate::open;
use crate::output::thousands;
use crate::serve::banner::{durable_write, milliseconds};
use crate::settings::{Hot, Settings};

/// A slow durable write, which every request waits for: a good disk takes a tenth of it.
const SLOW_WRITE: Duration = Duration::from_millis(20);

const VERIFY: &str = "verify";

pub(super) async fn report(
    settings: &Settings,
    keys: &Keys,
    args: &DoctorArgs,
    report: &mut Report,
) -> Result<()> {
    let cold = open::cold(settings, BucketPatience::Work)?;
    let attempt = async || open::store(settings, keys, &cold).await;
    let (store, cluster) = match open::patiently(settings, Waiting::Command, attempt).await {
        Ok(opened) => opened,
        Err(error) => {
            let what = match settings.hot.value {
                Hot::Sqlite => "hot store",
                Hot::Cql(_) => "cluster",
            };
            return report.add(what, Verdict::Fail(error.to_string()));
        }
    };
    let Some(cluster) = cluster else {
        report.add("clock", clock(store.as_ref()).await)?;
        return both_tiers(store, cold, keys, SLOW_WRITE, args, report).await;
    };
    cluster::report(settings, &cluster, report).await?;
    let ended = both_tiers(store, cold, keys, cluster::SLOW_WRITE, args, report).await;
    cluster.flush().await;
    ended
}

async fn clock(store: &dyn Facts) -> Result<Verdict, HotError> {
    let seen = clock_record(store).await?;
    if seen.is_none() {
        return Ok(Verdict::Ok("nothing to compare it with yet".to_owned()));
    }
    Ok(match ClockRecord::after(seen, SystemClock.now(), Witness::Alone).warning() {
        None => Verdict::Ok("agrees with the highest time that the store has seen".to_owned()),
        Some(warning) => Verdict::Warn(warning),
    })
}

async fn both_tiers(
    store: Arc<dyn HotStore>,
    cold: Arc<ColdStore>,
    keys: &Keys,
    slow: Duration,
    args: &DoctorArgs,
    report: &mut Report,
) -> Result<()> {
    report.add("batches", batches(store.as_ref(), keys).await)?;
    let engine = open::engine_over(store, cold, keys).await?;
    report.add("writes", writes(&engine, slow).await)?;
    probe(engine.cold(), report).await?;
    if args.quick { Ok(()) } else { verified(&engine, keys, report).await }
}

async fn batches(store: &dyn HotStore, keys: &Keys) -> Result<Verdict, HotError> {
    let missing = open::missing_keys(store, &keys.ring()).await?;
    if missing.is_empty() {
        return Ok(Verdict::Ok("the key of every minted batch is here".into()));
    }
    let files: Vec<String> = missing.iter().map(|id| format!("code-{id}.key")).collect();
    Ok(Verdict::Fail(format!(
        "some were minted with keys that are not here: put {} back, from a backup or another machine",
        files.join(", ")
    )))
}

async fn writes(engine: &Engine, slow: Duration) -> Result<Verdict, String> {
    engine.hot().writable().await?;
    let took = durable_write(engine).await?;
    let text = format!("a durable write takes {}", milliseconds(took));
    Ok(match took > slow {
        true => Verdict::Warn(format!("{text}, and every change waits for one")),
        false => Verdict::Ok(text),
    })
}

/// Whether a bucket lets only one of many writers create an object.
async fn probe(cold: &ColdStore, report: &mut Report) -> Result<()> {
    let verdict = match cold.probe().await {
        Ok(ProbeResult::Known) => return Ok(()),
        Ok(ProbeResult::Raced { writers, races }) => Verdict::Ok(format!(
            "{}: in {races} races, exactly one of {writers} writers created an object; its clock \
             agrees with ours",
            cold.location()
        )),
        Err(error) => Verdict::Fail(error.to_string()),
    };
    report.add("cold tier", verdict)
}

/// Checks what `couponry verify` checks. Each finding fails; a note, which a killed process may leave
/// behind, is a warning.
async fn verified(engine: &Engine, keys: &Keys, report: &mut Report) -> Result<()> {
    let mut printed: Result<()> = Ok(());
    let print = |found: &Finding| {
        if printed.is_ok() {
            printed = report.add(VERIFY, Verdict::Fail(sentence(found)));
        }
    };
    let ended = checked(engine, keys, VerifyOptions::default(), print).await;
    printed?;
    let read = match ended {
        Ok(read) => read,
        Err(error) => return report.add(VERIFY, Verdict::Fail(error.to_string())),
    };
    for (note, count) in &read.notes {
        report.add(VERIFY, Verdict::Warn(format!("{} {}", thousands(*count), note.meaning())))?;
    }
    if read.found() > 0 {
        return Ok(());
    }
    let looked_at = thousands(read.looked_at());
    report.add(VERIFY, Verdict::Ok(format!("{looked_at} rows and entries, nothing found")))
}

fn sentence(found: &Finding) -> String {
    let Finding { kind, about, one, other } = found;
    format!("{} {about}: {one}; {other}; safe: {}", kind.name(), kind.safe())
}
