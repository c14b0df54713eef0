//! `couponry doctor`: what is wrong with the data, the keys and the machine.

mod cluster;
mod machine;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cold::{ColdStore, Patience, ProbeResult};
use coupon::calendar::Zone;
use engine::{Clock, ColdArchive, Engine, HealthFinding, SystemClock};
use hot::facts::clock_record;
use hot::{ClockRecord, Facts, HotStore, Witness};
use hot_sqlite::FILE_NAME;

use crate::cluster::{Waiting, patiently};
use crate::failure::{CliError, Ended};
use crate::keys::{Keys, Kind};
use crate::progress::{Progress, Work};
use crate::settings::{Hot, Origin, Settings};
use crate::{open, output, serve};

/// A durable write past this makes every request wait: a good disk takes a tenth of it.
const SLOW_WRITE: Duration = Duration::from_millis(20);

/// SQLite writes the release that wrote the file last at this place of its first page.
const WRITTEN_BY_AT: usize = 96;

/// The release of SQLite that `hot` asks for, as SQLite counts.
const SQLITE_WANTED: u32 = 3_051_003;

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Ok(String),
    Warn(String),
    Fail(String),
}

/// Prints verdicts as they come.
#[derive(Default)]
struct Report {
    checks: usize,
    failed: usize,
}

impl Report {
    fn add(&mut self, about: &str, verdict: Verdict) -> Result<(), CliError> {
        self.checks += 1;
        self.failed += usize::from(matches!(verdict, Verdict::Fail(_)));
        let (word, text) = match &verdict {
            Verdict::Ok(text) => ("ok", text),
            Verdict::Warn(text) => ("warn", text),
            Verdict::Fail(text) => ("FAIL", text),
        };
        output::say(&format!("{word:<4} {about}: {text}"))
    }

    fn end(self) -> Result<Ended, CliError> {
        match self.failed {
            0 => Ok(Ended::Done),
            failed => Err(CliError::new(format!("{failed} of {} checks failed", self.checks))),
        }
    }
}

pub(crate) async fn run(settings: &Settings) -> Result<Ended, CliError> {
    let mut report = Report::default();
    report.add("settings", given(settings))?;
    report.add("clock", machine::clock())?;
    report.add("time zones", time_zones())?;
    let data = &settings.data.value;
    if let Err(cli_error) = open::must_be_there(settings) {
        report.add("data folder", Verdict::Fail(cli_error.to_string()))?;
        return report.end();
    }
    report.add("data folder", permissions(data))?;
    if settings.hot.value == Hot::Sqlite {
        for (about, verdict) in disk(settings) {
            report.add(about, verdict)?;
        }
    }
    if let Some(keys) = keys(settings, &mut report)? {
        store(settings, &keys, &mut report).await?;
    }
    report.end()
}

fn given(settings: &Settings) -> Verdict {
    let lines = settings.lines();
    let set = lines.iter().filter(|(_, _, origin)| **origin != Origin::Default).count();
    Verdict::Ok(format!("{set} of {} are set; `couponry config` shows them", lines.len()))
}

fn time_zones() -> Verdict {
    match "Asia/Seoul".parse::<Zone>() {
        Ok(_) => Verdict::Ok("the time zone data is there".into()),
        Err(error) => Verdict::Fail(error.to_string()),
    }
}

/// What a store in the data folder depends on.
fn disk(settings: &Settings) -> Vec<(&'static str, Verdict)> {
    let data = &settings.data.value;
    vec![
        ("file system", machine::file_system(data)),
        ("free space", machine::free_space(data, settings.free_min_mib.value << 20)),
        // Before this process has the file open: closing it would drop SQLite's locks on it.
        ("sqlite", written_by(&data.join(FILE_NAME))),
    ]
}

fn permissions(data: &Path) -> Verdict {
    let about = match data.metadata() {
        Ok(about) => about,
        Err(error) => return Verdict::Fail(format!("{}: {error}", data.display())),
    };
    let (folder, mode) = (data.display(), about.permissions().mode() & 0o777);
    let us = rustix::process::geteuid().as_raw();
    if about.uid() != us {
        return Verdict::Warn(format!(
            "{folder} belongs to user {}, this is user {us}: run the commands as the user that \
             `serve` runs as, or files appear that it cannot write",
            about.uid()
        ));
    }
    match mode & 0o077 {
        0 => Verdict::Ok(format!("{folder} is its owner's alone")),
        _ => Verdict::Warn(format!(
            "{folder} has mode {mode:03o}, so others may read coupons: chmod 700 it"
        )),
    }
}

/// What wrote the file last, from its header.
fn written_by(path: &Path) -> Verdict {
    use std::io::Read;
    let mut header = [0; WRITTEN_BY_AT + 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    if let Err(error) = read {
        return Verdict::Fail(format!("cannot read {}: {error}", path.display()));
    }
    let mut number = [0; 4];
    number.copy_from_slice(&header[WRITTEN_BY_AT..]);
    release(u32::from_be_bytes(number))
}

fn release(number: u32) -> Verdict {
    let text = |number: u32| {
        format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
    };
    let (found, wanted) = (text(number), text(SQLITE_WANTED));
    match number >= SQLITE_WANTED {
        true => Verdict::Ok(format!("{FILE_NAME} was last written by SQLite {found}")),
        false => Verdict::Warn(format!(
            "{FILE_NAME} was last written by SQLite {found}, which can lose commits: write it \
             with couponry only, or with SQLite {wanted} and later"
        )),
    }
}

fn keys(settings: &Settings, report: &mut Report) -> Result<Option<Keys>, CliError> {
    let data = &settings.data.value;
    let keys = match Keys::load(data) {
        Ok(keys) => keys,
        Err(cli_error) => {
            report.add("keys", Verdict::Fail(cli_error.to_string()))?;
            return Ok(None);
        }
    };
    report.add("keys", present(&keys))?;
    report.add("key files", modes(&keys))?;
    report.add("tokens", identity(settings, &keys))?;
    Ok(Some(keys))
}

fn present(keys: &Keys) -> Verdict {
    let newest = (keys.newest(Kind::Code), keys.newest(Kind::Token));
    let (Some(code), Some(token)) = newest else {
        let text = "a kind has no key in use: put the folder `keys` back from a backup";
        return Verdict::Fail(text.into());
    };
    Verdict::Ok(format!(
        "{} in {}; {} mints codes, {} signs tokens",
        keys.all.len(),
        code.path.parent().unwrap_or(Path::new("")).display(),
        code.id,
        token.id
    ))
}

fn modes(keys: &Keys) -> Verdict {
    let open = keys.all.iter().find_map(|key| {
        let mode = key.path.metadata().ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then(|| (key.path.display(), mode))
    });
    match open {
        None => Verdict::Ok("their owner's alone".into()),
        Some((path, mode)) => Verdict::Fail(format!(
            "{path} has mode {mode:03o}, so others may make codes or tokens: chmod 600 it"
        )),
    }
}

fn identity(settings: &Settings, keys: &Keys) -> Verdict {
    let tested = open::tokens(settings, keys)
        .and_then(|tokens| tokens.self_test().map_err(|error| CliError::new(error.to_string())));
    match (tested, &settings.identity_issuer.value) {
        (Err(cli_error), _) => Verdict::Fail(cli_error.to_string()),
        (Ok(()), None) => Verdict::Ok("they are signed and verified here".into()),
        (Ok(()), Some(issuer)) => {
            Verdict::Ok(format!("they are signed and verified here, and accepted from {issuer}"))
        }
    }
}

async fn store(settings: &Settings, keys: &Keys, report: &mut Report) -> Result<(), CliError> {
    let cold = open::cold(settings, Patience::Work)?;
    match &settings.hot.value {
        Hot::Sqlite => match open::sqlite(settings, keys, &cold) {
            Ok(store) => {
                report.add("clock", clock(&store).await)?;
                of_any_kind(Arc::new(store), cold, keys, SLOW_WRITE, report).await
            }
            Err(cli_error) => report.add("hot store", Verdict::Fail(cli_error.to_string())),
        },
        Hot::Cluster(target) => {
            let attempt = async || {
                let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
                crate::cluster::connect(settings, target, keys.code_keys(), archive).await
            };
            match patiently(target, Waiting::Command, attempt).await {
                Ok(connected) => {
                    cluster::report(settings, &connected, report).await?;
                    let store = Arc::clone(&connected.store) as Arc<dyn HotStore>;
                    let ended = of_any_kind(store, cold, keys, cluster::SLOW_WRITE, report).await;
                    connected.flush().await;
                    ended
                }
                Err(cli_error) => report.add("cluster", Verdict::Fail(cli_error.to_string())),
            }
        }
    }
}

/// The clock beside the highest time that the store has seen.
async fn clock(store: &dyn Facts) -> Verdict {
    match clock_record(store).await {
        Ok(None) => Verdict::Ok("nothing to compare it with yet".to_owned()),
        Ok(seen) => match ClockRecord::after(seen, SystemClock.now(), Witness::Alone).warning() {
            None => Verdict::Ok("agrees with the highest time seen".to_owned()),
            Some(warning) => Verdict::Warn(warning),
        },
        Err(error) => Verdict::Fail(error.to_string()),
    }
}

/// What is looked at in every hot store.
async fn of_any_kind(
    store: Arc<dyn HotStore>,
    cold: Arc<ColdStore>,
    keys: &Keys,
    slow: Duration,
    report: &mut Report,
) -> Result<(), CliError> {
    let missing = match open::missing_keys(store.as_ref(), &keys.ring()).await {
        Ok(missing) if missing.is_empty() => {
            Verdict::Ok("the key of every minted batch is there".into())
        }
        Ok(missing) => {
            let ids: Vec<String> = missing.iter().map(|id| format!("code-{id}.key")).collect();
            let files = ids.join(", ");
            Verdict::Fail(format!(
                "minted with keys that are not here: put {files} back, from a backup or a node \
                 that runs"
            ))
        }
        Err(error) => Verdict::Fail(error.to_string()),
    };
    report.add("batches", missing)?;
    let engine = open::engine_over(store, cold, keys);
    report.add("writes", writes(&engine, slow).await)?;
    let progress = Progress::new(Work::Examine, None, false);
    let findings = progress.during(engine.hot().examine()).await;
    drop(progress);
    match findings {
        Ok(findings) => findings.into_iter().try_for_each(|it| report.add("hot store", found(it))),
        Err(error) => report.add("hot store", Verdict::Fail(error.to_string())),
    }?;
    cold_tier(&engine, report).await
}

/// The files of the cold tier, and whether the two stores say the same.
async fn cold_tier(engine: &Engine, report: &mut Report) -> Result<(), CliError> {
    const ABOUT: &str = "cold tier";
    match engine.cold().probe().await {
        Ok(ProbeResult::Known) => {}
        Ok(ProbeResult::Raced { writers, races }) => report.add(
            ABOUT,
            Verdict::Ok(format!(
                "{}: of {writers} writers one alone created an object, in {races} races; its clock \
                 is ours",
                engine.cold().location()
            )),
        )?,
        Err(error) => report.add(ABOUT, Verdict::Fail(error.to_string()))?,
    }
    let progress = Progress::new(Work::Examine, None, false);
    let both = progress.during(compactor::examine(engine.hot(), engine.cold())).await;
    match both {
        Ok(findings) => findings.into_iter().try_for_each(|it| report.add(ABOUT, found(it)))?,
        Err(error) => report.add(ABOUT, Verdict::Fail(error.to_string()))?,
    }
    match engine.hot().cold_mark().await {
        Ok(mark) if mark.begun.is_none() => return Ok(()),
        Ok(_) => {}
        Err(error) => return report.add(ABOUT, Verdict::Fail(error.to_string())),
    }
    let files = progress.during(engine.cold().examine()).await;
    drop(progress);
    match files {
        Ok(findings) => findings.into_iter().try_for_each(|it| {
            let verdict = match it {
                cold::FileFinding::Sound(text) => Verdict::Ok(text),
                cold::FileFinding::Fault(text) => Verdict::Fail(text),
            };
            report.add(ABOUT, verdict)
        }),
        Err(error) => report.add(ABOUT, Verdict::Fail(error.to_string())),
    }
}

fn found(finding: HealthFinding) -> Verdict {
    match finding {
        HealthFinding::Sound(text) => Verdict::Ok(text),
        HealthFinding::Drifted(text) => Verdict::Warn(text),
        HealthFinding::Fault(text) => Verdict::Fail(text),
    }
}

async fn writes(engine: &Engine, slow: Duration) -> Verdict {
    if let Err(why) = engine.writable().await {
        return Verdict::Fail(why);
    }
    match serve::durable_write(engine).await {
        Err(why) => Verdict::Fail(why),
        Ok(took) => {
            let text = format!("a durable write takes {}", serve::milliseconds(took));
            match took > slow {
                true => Verdict::Warn(format!("{text}, which every change waits for")),
                false => Verdict::Ok(text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        let cases = [
            ("the first good one", 3_051_003, true),
            ("one before", 3_051_002, false),
            ("a later one", 3_100_000, true),
        ];
        for (name, number, good) in cases {
            assert_eq!(matches!(release(number), Verdict::Ok(_)), good, "{name}");
        }
        let Verdict::Ok(text) = release(3_051_003) else { panic!("it is good") };
        assert!(text.ends_with("SQLite 3.51.3"), "{text}");
    }
}
