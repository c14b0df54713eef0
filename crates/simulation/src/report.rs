//! The report of one seed, and the sums over many.

mod coverage;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use simulated_cluster::trace::TraceLine;

pub use coverage::{StateCoverage, missing};

/// The result of one seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedVerdict {
    pub seed: u64,
    /// Operations of its callers.
    pub operations: u64,
    pub faults: u64,
    /// What was violated, in words.
    pub violations: Vec<String>,
    /// States that were reached, and how often.
    pub reached: BTreeMap<String, u64>,
    /// What the seed drew.
    pub plan: String,
    /// A number that depends on every line: two runs of a seed have the same.
    pub digest: u64,
    /// The time line, if it was asked for.
    pub lines: Vec<TraceLine>,
}

impl SeedVerdict {
    /// The verdict on a seed whose process failed or did not end.
    pub fn broken(seed: u64, why: String) -> SeedVerdict {
        SeedVerdict { seed, violations: vec![why], ..SeedVerdict::default() }
    }

    /// The verdict as one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }

    /// Reads [`SeedVerdict::to_json`].
    pub fn parse(text: &str) -> Option<SeedVerdict> {
        serde_json::from_str(text).ok()
    }

    /// The plan, what was violated and the last lines of the time line, for a person.
    pub fn for_a_person(&self, lines_max: usize) -> String {
        let mut text = format!("seed {}\n{}\n", self.seed, self.plan.trim_end());
        for violation in &self.violations {
            let _ = writeln!(text, "VIOLATION {violation}");
        }
        text.push_str(&time_line(&self.lines, lines_max));
        text
    }
}

/// One row for each line: seconds, who, what.
fn time_line(lines: &[TraceLine], lines_max: usize) -> String {
    let mut text = String::new();
    let from = lines.len().saturating_sub(lines_max);
    if from > 0 {
        let _ = writeln!(text, "  … {from} lines before");
    }
    let width = lines.iter().map(|line| line.who.len()).max().unwrap_or_default();
    for line in &lines[from..] {
        let (s, ms) = (line.at_ms / 1_000, line.at_ms % 1_000);
        let _ = writeln!(text, "{s:>9}.{ms:03} s  {:width$}  {}", line.who, line.what);
    }
    text
}

/// Sums over seeds.
#[derive(Clone, Debug, Default)]
pub struct VerdictSum {
    /// Seeds that ended.
    pub seeds: u64,
    pub operations: u64,
    pub faults: u64,
    pub violations: u64,
    /// The states that any of them reached.
    pub coverage: StateCoverage,
}

impl VerdictSum {
    pub fn add(&mut self, verdict: &SeedVerdict) {
        self.seeds += 1;
        self.operations += verdict.operations;
        self.faults += verdict.faults;
        self.violations += verdict.violations.len() as u64;
        self.coverage.add(&verdict.reached);
    }

    /// The last line that `simulate` prints.
    pub fn line(&self) -> String {
        let VerdictSum { seeds, operations, faults, violations, .. } = self;
        format!("seeds {seeds}, operations {operations}, faults {faults}, violations {violations}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_as_it_was_written() {
        let line = TraceLine { at_ms: 61_003, who: "serve 1".into(), what: "is killed".into() };
        let verdict = SeedVerdict {
            seed: 7,
            operations: 100,
            faults: 3,
            violations: vec!["redeemed twice".into()],
            reached: BTreeMap::from([("killed after the claim".into(), 2)]),
            plan: "two processes".into(),
            digest: u64::MAX,
            lines: vec![line],
        };
        assert_eq!(SeedVerdict::parse(&verdict.to_json()).as_ref(), Some(&verdict));
        let text = verdict.for_a_person(200);
        assert!(text.contains("VIOLATION redeemed twice"), "{text}");
        assert!(text.contains("61.003 s  serve 1  is killed"), "{text}");
    }

    #[test]
    fn seeds_are_summed() {
        let mut sum = VerdictSum::default();
        sum.add(&SeedVerdict { operations: 5, faults: 2, ..SeedVerdict::default() });
        sum.add(&SeedVerdict::broken(2, "panicked".into()));
        assert_eq!(sum.line(), "seeds 2, operations 5, faults 2, violations 1");
    }
}
