//! What `couponry compact` prints: the plan of a dry run, or what a run has done.

use std::time::Duration;

use compactor::{CompactionPass, CompactionReport, DuePass as Planned, PartitionReport};

use crate::failure::{CliError, Ended};
use crate::output::{self, Left, Right, thousands};

pub(super) fn planned(works: &[Planned]) -> Result<Ended, CliError> {
    if works.is_empty() {
        return output::done(
            "nothing to do: no day can be sealed, and too few closed coupons wait",
        );
    }
    let row = |work: &Planned| {
        [work.day.to_string(), would(work.pass).to_owned(), thousands(work.waiting)]
    };
    let heads = [("DAY", Left), ("WHAT", Left), ("CLOSED", Right)];
    output::done(&output::table(heads, works.iter().map(row)))
}

fn would(pass: CompactionPass) -> &'static str {
    match pass {
        CompactionPass::Finish => "finish an earlier run",
        CompactionPass::Closed => "move closed coupons",
        CompactionPass::Expired => "seal it, move all of it",
    }
}

/// # Errors
/// No day could be moved.
pub(super) fn done(report: &CompactionReport, elapsed: Duration) -> Result<Ended, CliError> {
    if !report.partitions.is_empty() {
        output::say(&table(&report.partitions))?;
    }
    for (work, error) in &report.failed {
        output::note(&format!("{}: {error}", work.day));
    }
    if let Some(error) = &report.not_indexed {
        output::note(&format!("the holder index is not complete: {error}"));
    }
    if report.partitions.is_empty() && !report.failed.is_empty() {
        let sentence = "no day could be moved; nothing was removed from hot before it was in cold";
        return Err(
            CliError::new(sentence).and("run it again; `couponry doctor` checks both tiers")
        );
    }
    let (copied, bytes) = (report.copied(), report.bytes());
    let each = if copied > 0 { bytes as f64 / copied as f64 } else { 0.0 };
    output::say(&format!(
        "{} coupons moved to cold, {} bytes ({each:.1} for each), in {:.1} s; removed {} old files",
        thousands(copied),
        thousands(bytes),
        elapsed.as_secs_f64(),
        thousands(report.swept.files),
    ))?;
    let is_all = report.failed.is_empty() && report.not_indexed.is_none();
    Ok(if is_all { Ended::Done } else { Ended::Partly })
}

fn table(partitions: &[PartitionReport]) -> String {
    let row = |partition: &PartitionReport| {
        let pass = match partition.pass {
            CompactionPass::Finish => "finish",
            CompactionPass::Closed => "closed",
            CompactionPass::Expired => "expired",
        };
        let [copied, bytes, removed] =
            [partition.copied, partition.bytes, partition.removed].map(thousands);
        [partition.day.to_string(), pass.to_owned(), copied, bytes, removed]
    };
    let heads =
        [("DAY", Left), ("PASS", Left), ("COPIED", Right), ("BYTES", Right), ("REMOVED", Right)];
    output::table(heads, partitions.iter().map(row))
}
