//! `couponry verify`: reads both tiers and checks what must be true of them.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use compactor::{CompactError, check_pairing};
use engine::Engine;
use serde_json::json;
use verify::{Finding, Kind, Options, Repair, Report, Said, Verifier, VerifyError};

use crate::failure::{CliError, Ended};
use crate::keys::Keys;
use crate::open::{self, Purpose};
use crate::output::{self, Out, thousands};
use crate::progress::{Progress, Work};
use crate::settings::Settings;

/// Read both tiers and check what must be true of them
///
/// Every coupon is there once; its state is what its events say; every row and every file lies
/// where it belongs; archived markers, claims, directory, index rows, the side table and the counts
/// agree with the coupons. Names each finding: what it is, the coupon, the two places that
/// disagree, and what is safe to do. Reads everything once, in bounded memory, beside a running
/// `serve` and `compact`: what looks wrong is looked at again before it is told. What a killed
/// process may leave behind by the rules is counted as a note.
///
/// --repair sets right what follows from the coupons: index rows, and on the embedded store the
/// counts, unless they are higher than the coupons there are: that may be the trace of a lost one.
/// It never touches a coupon, an event, a claim or a file.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 nothing found, 1 could not finish, 2 wrong call, 3 something was found.

Examples:
  couponry verify
  couponry verify --format jsonl > findings.jsonl
  couponry verify --repair")]
pub(crate) struct VerifyArgs {
    /// How findings are written: lines for people, or a JSON object a line and the summary last
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write index rows that are missing, remove those that lead nowhere, set counts right
    #[arg(long)]
    repair: bool,
    /// With --repair: set counts right as well that are higher than the coupons there are, once a
    /// backup has shown that none is lost
    #[arg(long, requires = "repair")]
    lower_counts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// A JSON object a line
    Jsonl,
}

pub(crate) async fn run(settings: &Settings, ask: &VerifyArgs) -> Result<Ended, CliError> {
    let purpose = if ask.repair { Purpose::Write } else { Purpose::Read };
    open::with(settings, purpose, async |engine| {
        let keys = Keys::load(&settings.data.value)?;
        verified(engine, &keys, ask).await
    })
    .await
}

async fn verified(engine: &Engine, keys: &Keys, ask: &VerifyArgs) -> Result<Ended, CliError> {
    let begun = Instant::now();
    let written = Mutex::new(Written { out: Out::standard(), format: ask.format, failed: None });
    let put = |finding: &Finding| {
        if let Ok(mut written) = written.lock() {
            written.finding(finding);
        }
    };
    let apart = match check_pairing(engine.hot(), engine.cold()).await {
        Ok(()) => None,
        Err(CompactError::StoreMismatch(mismatch)) => Some(apart(&mismatch.to_string())),
        // The cold tier does not answer, or cannot be read: the run itself says more of that.
        Err(CompactError::Cold(cold::ColdError::Damaged { .. })) => None,
        Err(error) => return Err(CliError::new(error.to_string())),
    };
    let mut report = Report::default();
    match apart {
        Some(finding) => {
            put(&finding);
            report.findings.insert(Kind::StoresApart, 1);
        }
        None => {
            let codes = keys.code_keys();
            let progress = Progress::new(Work::Verify, None, output::is_terminal());
            let repair = if ask.repair { Repair::Derived } else { Repair::Nothing };
            let verifier = Verifier::new(
                engine.hot(),
                engine.cold(),
                &codes,
                engine.now(),
                Options { repair, lower_counts: ask.lower_counts, ..Options::default() },
                Box::new(put),
                Box::new(|it: verify::Progress| progress.set(it.findings, it.looked_at)),
            );
            report = progress.during(verifier.run()).await.map_err(cli_error)?;
        }
    }
    let written = written.into_inner().map_err(|error| CliError::new(error.to_string()))?;
    written.end(&report, begun.elapsed())?;
    Ok(match report.found() {
        0 => Ended::Done,
        _ => Ended::Partly,
    })
}

fn apart(mismatch: &str) -> Finding {
    Finding {
        kind: Kind::StoresApart,
        about: "both tiers".to_owned(),
        one: Said::new("hot and cold", mismatch),
        other: Said::new("nothing else", "was looked at"),
    }
}

fn cli_error(error: VerifyError) -> CliError {
    match error {
        VerifyError::Hot(error) => error.into(),
        VerifyError::Cold(error) => CliError::new(error.to_string()).and("run it again"),
    }
}

/// Findings on their way out.
struct Written {
    out: Out,
    format: Format,
    /// Why nobody reads them any more.
    failed: Option<CliError>,
}

impl Written {
    fn finding(&mut self, finding: &Finding) {
        let Finding { kind, about, one, other } = finding;
        let line = match self.format {
            Format::Text => {
                format!(
                    "FAIL {} {about}\n     {one}\n     {other}\n     safe: {}\n",
                    kind.name(),
                    kind.safe()
                )
            }
            Format::Jsonl => {
                let place = |said: &Said| json!({"place": said.place, "says": said.says});
                let body = json!({"finding": kind.name(), "about": about,
                    "places": [place(one), place(other)], "safe": kind.safe()});
                format!("{body}\n")
            }
        };
        let put = self.out.put(&line).and_then(|()| self.out.flush());
        if let (Err(why), None) = (put, &self.failed) {
            self.failed = Some(why);
        }
    }

    fn end(mut self, report: &Report, elapsed: Duration) -> Result<(), CliError> {
        if let Some(why) = self.failed {
            return Err(why);
        }
        self.out.put(&match self.format {
            Format::Text => text(report, elapsed),
            Format::Jsonl => format!("{}\n", summary(report, elapsed)),
        })?;
        self.out.finish()
    }
}

/// The end of what people read.
fn text(report: &Report, elapsed: Duration) -> String {
    let mut lines = Vec::new();
    for (note, count) in report.by_note() {
        lines.push(format!("note {}: {} {}", note.name(), thousands(count), note.meaning()));
    }
    for (kind, count) in report.by_kind() {
        lines.push(format!("FAIL {}: {}; {}", kind.name(), thousands(count), kind.meaning()));
    }
    let mended = [
        ("campaigns had their counts set right", report.mended_counts),
        ("coupons had their index rows written", report.mended_index_rows),
        ("index rows that led nowhere were removed", report.removed_index_rows),
    ];
    for (what, count) in mended.into_iter().filter(|(_, count)| *count > 0) {
        lines.push(format!("mended: {} {what}", thousands(count)));
    }
    let seconds = elapsed.as_secs_f64();
    let rate = (report.looked_at() as f64 / seconds.max(0.001)) as u64;
    lines.push(format!(
        "looked at {} rows and {} archived markers in hot, {} coupons and {} side rows in cold, {} entries, {} \
         claims, {} index rows, {} campaigns, in {seconds:.1} s ({}/s)",
        thousands(report.hot_rows),
        thousands(report.archived_markers),
        thousands(report.cold_rows),
        thousands(report.side_rows),
        thousands(report.entries),
        thousands(report.claims),
        thousands(report.index_rows),
        thousands(report.campaigns),
        thousands(rate),
    ));
    lines.push(match report.found() {
        0 => "nothing found".to_owned(),
        found => format!("{} found", thousands(found)),
    });
    lines.join("\n") + "\n"
}

fn summary(report: &Report, elapsed: Duration) -> serde_json::Value {
    let findings: serde_json::Map<_, _> =
        report.by_kind().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
    let notes: serde_json::Map<_, _> =
        report.by_note().map(|(note, count)| (note.name().to_owned(), json!(count))).collect();
    json!({"summary": {
        "findings": findings,
        "notes": notes,
        "looked_at": {
            "hot_rows": report.hot_rows, "archived_markers": report.archived_markers, "cold_rows": report.cold_rows,
            "side_rows": report.side_rows, "entries": report.entries, "claims": report.claims,
            "index_rows": report.index_rows, "campaigns": report.campaigns,
            "looked_again": report.looked_again,
        },
        "mended": {"counts": report.mended_counts, "index_rows": report.mended_index_rows,
            "removed_index_rows": report.removed_index_rows},
        "seconds": (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0,
    }})
}
