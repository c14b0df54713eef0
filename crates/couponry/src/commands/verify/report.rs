//! What `couponry verify` prints: each finding, and the summary, as text or as JSON lines.

use std::collections::BTreeSet;
use std::time::Duration;

use coupon::time::Day;
use serde_json::{Map, Value, json};
use verify::{Finding, PlaceStatement, VerifyReport};

use super::Format;
use crate::failure::{CliError, Result};
use crate::output::{Out, thousands};

/// Prints findings as they come.
pub(super) struct Printer {
    out: Out,
    format: Format,
    /// The first error of the output.
    failed: Option<CliError>,
}

impl Printer {
    pub(super) fn new(format: Format) -> Printer {
        Printer { out: Out::standard(), format, failed: None }
    }

    pub(super) fn finding(&mut self, finding: &Finding) {
        let Finding { kind, about, one, other } = finding;
        let text = match self.format {
            Format::Text => {
                let (name, safe) = (kind.name(), kind.safe());
                format!("FAIL {name} {about}\n     {one}\n     {other}\n     safe: {safe}\n")
            }
            Format::Jsonl => {
                let place = |said: &PlaceStatement| json!({"place": said.place, "says": said.says});
                let body = json!({"finding": kind.name(), "about": about,
                    "places": [place(one), place(other)], "safe": kind.safe()});
                format!("{body}\n")
            }
        };
        let put = self.out.put(&text).and_then(|()| self.out.flush());
        if let (Err(error), None) = (put, &self.failed) {
            self.failed = Some(error);
        }
    }

    /// Prints the summary of a run over these expiry days, or over all if there are none.
    pub(super) fn end(
        mut self,
        report: &VerifyReport,
        days: &BTreeSet<Day>,
        elapsed: Duration,
    ) -> Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.out.put(&match self.format {
            Format::Text => text(report, days, elapsed),
            Format::Jsonl => format!("{}\n", summary(report, days, elapsed)),
        })?;
        self.out.finish()
    }
}

fn text(report: &VerifyReport, days: &BTreeSet<Day>, elapsed: Duration) -> String {
    let mut lines = Vec::new();
    for (note, count) in &report.notes {
        lines.push(format!("note {}: {} {}", note.name(), thousands(*count), note.meaning()));
    }
    for (kind, count) in &report.findings {
        lines.push(format!("FAIL {}: {}; {}", kind.name(), thousands(*count), kind.meaning()));
    }
    let mended = [
        ("campaigns had their counts corrected", report.mended_counts),
        ("coupons had missing index rows written", report.mended_index_rows),
        ("index rows of no coupon were removed", report.removed_index_rows),
    ];
    for (what, count) in mended.into_iter().filter(|(_, count)| *count > 0) {
        lines.push(format!("mended: {} {what}", thousands(count)));
    }
    if !days.is_empty() {
        let days: Vec<String> = days.iter().map(ToString::to_string).collect();
        lines.push(format!("only of {}: run `couponry verify` for the rest", days.join(", ")));
    }
    lines.push(checked(report, elapsed));
    lines.push(match report.found() {
        0 => "nothing found".to_owned(),
        found => format!("{} found", thousands(found)),
    });
    lines.join("\n") + "\n"
}

fn checked(report: &VerifyReport, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let rate = (report.looked_at() as f64 / seconds.max(0.001)) as u64;
    format!(
        "checked {} rows and {} archived markers in hot, {} coupons and {} side rows in cold, {} \
         entries, {} claims, {} index rows, {} campaigns, in {seconds:.1} s ({}/s)",
        thousands(report.hot_rows),
        thousands(report.archived_markers),
        thousands(report.cold_rows),
        thousands(report.side_rows),
        thousands(report.entries),
        thousands(report.claims),
        thousands(report.index_rows),
        thousands(report.campaigns),
        thousands(rate),
    )
}

fn summary(report: &VerifyReport, days: &BTreeSet<Day>, elapsed: Duration) -> Value {
    let findings: Map<_, _> =
        report.findings.iter().map(|(it, count)| (it.name().to_owned(), json!(count))).collect();
    let notes: Map<_, _> =
        report.notes.iter().map(|(it, count)| (it.name().to_owned(), json!(count))).collect();
    json!({"summary": {
        "findings": findings,
        "notes": notes,
        "looked_at": {
            "hot_rows": report.hot_rows, "archived_markers": report.archived_markers,
            "cold_rows": report.cold_rows, "side_rows": report.side_rows,
            "entries": report.entries, "claims": report.claims,
            "index_rows": report.index_rows, "campaigns": report.campaigns,
            "looked_again": report.looked_again,
        },
        "mended": {"counts": report.mended_counts, "index_rows": report.mended_index_rows,
            "removed_index_rows": report.removed_index_rows},
        "partitions": days.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "seconds": (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0,
    }})
}
