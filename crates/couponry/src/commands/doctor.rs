//! `couponry doctor`: checks the settings, the machine, the keys and the stores.

mod cluster;
mod machine;
mod stores;

use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::Args;
use coupon::calendar::{BadZone, Zone};
use engine::{Clock, SystemClock};
use hot_sqlite::FILE_NAME;

use crate::failure::{CliError, Ended, Result};
use crate::keys::{Keys, Kind};
use crate::settings::{Cold, Hot, Origin, Settings};
use crate::{open, output, serve};

/// Check the settings, the machine, the keys and the data
///
/// Prints one line for each check: `ok`, `warn` (works, but needs a look) or `FAIL`. First come the
/// checks of --quick, then all of `couponry verify`: a line for each finding. That reads every row
/// and every file, so it takes long on a large store; a running `serve` continues. Repairs nothing.
#[derive(Args)]
#[command(after_help = help_ending!("0 no check failed, 1 a check failed, 2 usage error",
    "couponry doctor --data /var/lib/couponry",
    "couponry doctor --quick"))]
pub(crate) struct DoctorArgs {
    /// Check only the settings, the clock, the keys, the disk, the cluster and one write. Read no
    /// rows and no files of coupons
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Ok(String),
    Warn(String),
    Fail(String),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Ok(_) => "ok",
            Verdict::Warn(_) => "warn",
            Verdict::Fail(_) => "FAIL",
        }
    }
}

/// What cannot be checked fails.
impl<E: Display> From<Result<Verdict, E>> for Verdict {
    fn from(checked: Result<Verdict, E>) -> Verdict {
        checked.unwrap_or_else(|error| Verdict::Fail(error.to_string()))
    }
}

/// Prints verdicts as they come, and counts them.
#[derive(Default)]
struct Report {
    checks: usize,
    failed: usize,
}

impl Report {
    fn add(&mut self, about: &str, verdict: impl Into<Verdict>) -> Result<()> {
        let verdict = verdict.into();
        self.checks += 1;
        self.failed += usize::from(matches!(verdict, Verdict::Fail(_)));
        let (Verdict::Ok(text) | Verdict::Warn(text) | Verdict::Fail(text)) = &verdict;
        output::say(&format!("{:<4} {about}: {text}", verdict.word()))
    }

    fn end(self) -> Result<Ended> {
        match self.failed {
            0 => Ok(Ended::Done),
            failed => Err(CliError::new(format!("{failed} of {} checks failed", self.checks))),
        }
    }
}

pub(crate) async fn run(settings: &Settings, args: &DoctorArgs) -> Result<Ended> {
    let mut report = Report::default();
    report.add("settings", given(settings))?;
    report.add("clock", machine::clock_at(SystemClock.now()))?;
    let zone: Result<Zone, BadZone> = "Asia/Seoul".parse();
    let readable = zone.map(|_| Verdict::Ok("the time zone data can be read".into()));
    report.add("time zones", readable)?;
    let data = &settings.data.value;
    if let Err(error) = open::must_be_there(settings) {
        report.add("data folder", Verdict::Fail(error.to_string()))?;
        return report.end();
    }
    report.add("data folder", machine::permissions(data))?;
    let cold = match &settings.cold.value {
        Cold::Folder(folder) => Some(folder.as_path()),
        Cold::Bucket(_) => None,
    };
    report.add("private files", machine::contents(data, cold))?;
    match settings.hot.value {
        Hot::Sqlite => {
            report.add("file system", machine::file_system(data))?;
            let free_min_bytes = settings.free_min_mib.value << 20;
            report.add("free space", machine::free_space(data, free_min_bytes))?;
            // Before this process opens the file: closing it would drop SQLite's locks on it.
            report.add("sqlite", machine::written_by(&data.join(FILE_NAME)))?;
        }
        Hot::Cql(_) => {}
    }
    if let Some(keys) = keys(settings, &mut report)? {
        stores::report(settings, &keys, args, &mut report).await?;
    }
    report.end()
}

fn given(settings: &Settings) -> Result<Verdict> {
    serve::check(settings)?;
    let lines = settings.lines();
    let set = lines.iter().filter(|(_, _, origin)| **origin != Origin::Default).count();
    Ok(Verdict::Ok(format!("{set} of {} are set; `couponry config` prints them", lines.len())))
}

/// Checks the keys; returns them if they can be read.
fn keys(settings: &Settings, report: &mut Report) -> Result<Option<Keys>> {
    let keys = match Keys::load(&settings.data.value) {
        Ok(keys) => keys,
        Err(error) => {
            report.add("keys", Verdict::Fail(error.to_string()))?;
            return Ok(None);
        }
    };
    report.add("keys", present(&keys))?;
    report.add("key files", modes(&keys))?;
    report.add("tokens", tokens(settings, &keys))?;
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
        None => Verdict::Ok("only their owner can read them".into()),
        Some((path, mode)) => Verdict::Fail(format!(
            "{path} has mode {mode:03o}, so others can make codes or tokens: chmod 600 it"
        )),
    }
}

fn tokens(settings: &Settings, keys: &Keys) -> Result<Verdict> {
    open::tokens(settings, keys)?.self_test().map_err(CliError::of)?;
    Ok(Verdict::Ok(match &settings.identity_issuer.value {
        None => "signed and verified here".to_owned(),
        Some(issuer) => format!("signed and verified here, and accepted from {issuer}"),
    }))
}
