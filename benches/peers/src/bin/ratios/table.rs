//! The table of ratios, and its comparison with the committed one.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::bench::Bench;

/// The committed table, from the root of the repository.
const REPORT: &str = "benches/report.json";

/// A ratio has moved if it differs from the committed one by more than this, and is outside of the
/// rounds of both runs.
const MOVED: f64 = 0.1;

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    /// The goal of the ratio, at least or at most.
    goal: f64,
    is_most: bool,
    median: f64,
    lowest: f64,
    highest: f64,
    /// Medians of both sides, in the unit of the row. They are valid for this machine only.
    ours: f64,
    peers: f64,
}

/// The medians of the rounds.
fn table(bench: &Bench) -> BTreeMap<String, Row> {
    let rows = bench.seen.iter().map(|(name, pairs)| {
        let ratios: Vec<f64> = pairs.iter().map(|(ours, peers)| ours / peers).collect();
        let (goal, is_most) = bench.goals[name];
        let row = Row {
            goal,
            is_most,
            median: median(&ratios),
            lowest: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            highest: ratios.iter().copied().fold(0.0, f64::max),
            ours: median(&pairs.iter().map(|(ours, _)| *ours).collect::<Vec<_>>()),
            peers: median(&pairs.iter().map(|(_, peers)| *peers).collect::<Vec<_>>()),
        };
        (name.clone(), row)
    });
    rows.collect()
}

/// Prints the table, and which rows have moved since the committed one.
pub(crate) fn print(bench: &Bench) -> Result<(), Failure> {
    let table = table(bench);
    let committed: BTreeMap<String, Row> = match fs::read_to_string(REPORT) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => BTreeMap::new(),
    };
    println!();
    println!("| what | goal | ratio | rounds | ours | peer | committed |");
    println!("|---|---|---|---|---|---|---|");
    for (name, row) in &table {
        let (sign, met) = match row.is_most {
            true => ("≤", row.median <= row.goal),
            false => ("≥", row.median >= row.goal),
        };
        let verdict = if met { "" } else { " MISSED" };
        let before = committed.get(name).map_or_else(String::new, |before| {
            let is_far = (row.median / before.median - 1.0).abs() > MOVED;
            let apart = row.highest < before.lowest || row.lowest > before.highest;
            let moved = if is_far && apart { " MOVED" } else { "" };
            format!("{:.2}{moved}", before.median)
        });
        println!(
            "| {name} | {sign} {} | {:.2}{verdict} | {:.2} to {:.2} | {:.1} | {:.1} | {before} |",
            row.goal, row.median, row.lowest, row.highest, row.ours, row.peers
        );
    }
    if bench.arguments.write {
        let mut all = committed;
        all.extend(table);
        fs::write(REPORT, serde_json::to_string_pretty(&all)? + "\n")?;
        println!("written to {REPORT}");
    }
    Ok(())
}

/// The middle of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
