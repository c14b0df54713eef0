//! Decides when to merge which runs of a partition. Reads nothing.
//!
//! A *run* is the files of one archive commit: sorted by code, and no code is in two of them. So a
//! look-up reads the footer and one row group of one file of each run. More runs make look-ups
//! expensive, and fewer runs make merges expensive. No policy avoids both: if each row is written a
//! bounded number of times, the number of runs must grow with the number of commits. This policy
//! bounds the writes by [`WRITES_MAX`], and the number of runs grows as slowly as the cube root.
//!
//! A run of level 0 has rows copied from hot. A partition may have `runs_max` runs below level 2, and
//! one more for each of its runs of level 2. When the next commit would exceed that, the runs of
//! level 0 are merged into one of level 1. If there is only one run of level 0, everything below
//! level 2 is merged into one of level 2. A run of level 2 stays until the partition is over. So
//! the first run of level 2 has `8 + 7 + … + 1` commits, the next one `9 + 8 + … + 1`, and
//! `tests/moves/runs_at_most.rs` adds them up.

use std::collections::BTreeMap;

use cold::ColdFile;

/// How often a row of a partition is written to cold, at most, including the first time.
pub const WRITES_MAX: u64 = 3;

/// How often an open partition rewrites a row, at most.
pub(crate) const REWRITES_MAX: u8 = 2;

const _: () = assert!(WRITES_MAX == REWRITES_MAX as u64 + 1);

/// With fewer runs a partition would rewrite a single run.
const RUNS_MIN: usize = 2;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileRun {
    /// In the order of their codes.
    pub(crate) files: Vec<ColdFile>,
    pub(crate) size: RunSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunSize {
    pub(crate) rows: u64,
    /// How often its rows were rewritten, at most.
    pub(crate) rewrites: u8,
}

/// The runs of the files of one partition, oldest first.
pub(crate) fn runs(files: &[ColdFile]) -> Vec<FileRun> {
    let mut runs: BTreeMap<u64, FileRun> = BTreeMap::new();
    for file in files {
        let empty = || FileRun { files: Vec::new(), size: RunSize { rows: 0, rewrites: 0 } };
        let run = runs.entry(file.archive_commit()).or_insert_with(empty);
        run.size.rows += file.rows();
        run.size.rewrites = run.size.rewrites.max(file.rewrites());
        run.files.push(file.clone());
    }
    runs.into_values().collect()
}

pub(crate) fn sizes(runs: &[FileRun]) -> Vec<RunSize> {
    runs.iter().map(|run| run.size).collect()
}

/// Which runs to merge before another commit adds a run; none while there is room.
pub(crate) fn make_room(runs: &[RunSize], runs_max: usize) -> Vec<usize> {
    let below = |level: u8| -> Vec<usize> {
        (0..runs.len()).filter(|at| runs[*at].rewrites < level).collect()
    };
    let open = below(REWRITES_MAX);
    let full = runs.len() - open.len();
    if open.len() < runs_max.max(RUNS_MIN) + full {
        return Vec::new();
    }
    let new = below(1);
    if new.len() > 1 { new } else { open }
}

/// How often the rows of a run that is merged of these were rewritten, at most.
pub(crate) fn rewrites_of(merged: &[RunSize]) -> u8 {
    merged.iter().map(|run| run.rewrites).max().map_or(0, |most| most.saturating_add(1))
}

/// Which runs to merge with the rest of hot when the partition is over. `fresh` is the number of
/// rows of hot that are in no run. Merges all runs, unless that would exceed [`WRITES_MAX`] on
/// average over the rows of the partition; then the largest runs stay.
pub(crate) fn at_end(runs: &[RunSize], fresh: u64) -> Vec<usize> {
    let left =
        |run: &RunSize| run.rows.saturating_mul(REWRITES_MAX.saturating_sub(run.rewrites).into());
    let mut budget = fresh.saturating_mul(WRITES_MAX - 1);
    budget = runs.iter().map(left).fold(budget, u64::saturating_add);
    let mut order: Vec<usize> = (0..runs.len()).collect();
    // Smallest first: the budget then removes as many runs as it can.
    order.sort_by_key(|at| runs[*at].rows);
    order.retain(|at| match budget.checked_sub(runs[*at].rows) {
        Some(rest) => {
            budget = rest;
            true
        }
        None => false,
    });
    order.sort_unstable();
    order
}

#[cfg(test)]
#[path = "../tests/moves/runs_at_most.rs"]
mod runs_at_most;

#[cfg(test)]
mod tests {
    use super::runs_at_most::runs_at_most;
    use super::*;
    use crate::PARTITION_FILES_MAX;

    /// A partition as the policy sees it, and the rows that were written to it.
    #[derive(Default)]
    struct Simulated {
        runs: Vec<RunSize>,
        archived: u64,
        written: u64,
        most: usize,
    }

    impl Simulated {
        fn archives(&mut self, rows: u64, runs_max: usize) {
            loop {
                let merged = make_room(&self.runs, runs_max);
                if merged.is_empty() {
                    break;
                }
                assert!(merged.len() > 1, "one run is rewritten by itself: {:?}", self.runs);
                self.merges(&merged, 0);
            }
            self.runs.push(RunSize { rows, rewrites: 0 });
            self.archived += rows;
            self.written += rows;
            self.most = self.most.max(self.runs.len());
        }

        fn merges(&mut self, merged: &[usize], fresh: u64) {
            let sizes: Vec<RunSize> = merged.iter().map(|at| self.runs[*at]).collect();
            let rows = sizes.iter().map(|run| run.rows).sum::<u64>() + fresh;
            for at in merged.iter().rev() {
                self.runs.remove(*at);
            }
            self.runs.push(RunSize { rows, rewrites: rewrites_of(&sizes) });
            self.archived += fresh;
            self.written += rows;
        }

        fn ends(&mut self, fresh: u64) {
            let merged = at_end(&self.runs, fresh);
            if merged.len() > 1 || fresh > 0 {
                self.merges(&merged, fresh);
            }
        }

        fn ratio(&self) -> f64 {
            self.written as f64 / self.archived.max(1) as f64
        }
    }

    /// A thousandth of real sizes: a commit has 1,000 rows instead of a million.
    const ROWS: u64 = 1_000;

    #[test]
    fn rows_written_of_rows_archived() {
        println!("| commits | rows archived | rows written | ratio | runs, and at most |");
        println!("|---|---|---|---|---|");
        let mut partition = Simulated::default();
        for commit in 1..=1_000 {
            partition.archives(ROWS, PARTITION_FILES_MAX);
            let most = runs_at_most(commit, PARTITION_FILES_MAX);
            assert!(partition.written <= WRITES_MAX * partition.archived, "{commit} commits");
            assert!(partition.runs.len() <= most, "{commit} commits: {:?}", partition.runs);
            if [1, 8, 36, 80, 100, 250, 500, 1_000].contains(&commit) {
                println!(
                    "| {commit} | {} | {} | {:.2} | {}, {most} |",
                    partition.archived,
                    partition.written,
                    partition.ratio(),
                    partition.runs.len(),
                );
            }
        }
    }

    #[test]
    fn a_look_up_opens_so_many_runs() {
        let cases = [
            ("none", 0, 8),
            ("the first", 1, 8),
            ("as many as there is room for", 36, 8),
            ("one more", 37, 10),
            ("80 million coupons", 80, 10),
            ("250 million", 250, 16),
            ("a billion", 1_000, 28),
        ];
        for (name, commits, want) in cases {
            assert_eq!(runs_at_most(commits, PARTITION_FILES_MAX), want, "{name}");
        }
        // The bound is reached where it changes.
        let mut partition = Simulated::default();
        for commit in 1..=2_000 {
            partition.archives(ROWS, PARTITION_FILES_MAX);
            if runs_at_most(commit + 1, PARTITION_FILES_MAX)
                > runs_at_most(commit, PARTITION_FILES_MAX)
            {
                assert_eq!(partition.most, runs_at_most(commit, PARTITION_FILES_MAX), "{commit}");
            }
        }
    }

    /// For any number of commits of any sizes, and whenever the partition is over.
    #[test]
    fn no_order_of_sizes_exceeds_it() {
        let mut random = 7_u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for round in 0..200 {
            let runs_max = 2 + round % 9;
            let mut partition = Simulated::default();
            for commit in 1..=next(400) {
                let rows = if next(10) == 0 { 1_000_000 } else { 1 + next(1_000) };
                partition.archives(rows, runs_max);
                assert!(partition.runs.len() <= runs_at_most(commit, runs_max), "round {round}");
                assert!(partition.written <= WRITES_MAX * partition.archived, "round {round}");
            }
            let before = partition.runs.len();
            partition.ends(next(2_000_000));
            assert!(partition.written <= WRITES_MAX * partition.archived, "round {round}, the end");
            assert!(partition.runs.len() <= before.max(1), "round {round}, the end");
        }
    }

    #[test]
    fn what_is_merged_when_it_is_over() {
        let run = |rows, rewrites| RunSize { rows, rewrites };
        let two = run(100, 2);
        let cases: [(&str, Vec<RunSize>, u64, Vec<usize>); 7] = [
            ("nothing there", vec![], 5, vec![]),
            ("one run and more from hot", vec![run(100, 0)], 5, vec![0]),
            (
                "new runs pay for themselves",
                vec![run(9, 1), run(5, 0), run(1, 0)],
                0,
                vec![0, 1, 2],
            ),
            ("enough is fresh for an old one", vec![two, run(1, 0)], 50, vec![0, 1]),
            ("one row too few", vec![two, run(1, 0)], 49, vec![1]),
            ("the smaller of two old ones", vec![two, run(80, 2)], 49, vec![1]),
            ("a run that has ended before stays", vec![two], 0, vec![]),
        ];
        for (name, runs, fresh, want) in cases {
            assert_eq!(at_end(&runs, fresh), want, "{name}");
        }
    }

    /// Repeating the end does not merge its run again.
    #[test]
    fn an_end_is_not_repeated() {
        for (fresh, commits) in [(0, 3), (0, 50), (10, 0), (70_000, 50), (1_000, 300)] {
            let mut partition = Simulated::default();
            (0..commits).for_each(|_| partition.archives(ROWS, PARTITION_FILES_MAX));
            partition.ends(fresh);
            let last = partition.runs.len() - 1;
            partition.runs[last].rewrites = REWRITES_MAX;
            assert!(at_end(&partition.runs, 0).len() <= 1, "{commits} commits, {fresh} fresh");
        }
    }
}
