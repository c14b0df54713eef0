//! The number of runs that the policy of `tiers.rs` promises, for its tests.

/// With fewer runs a partition would rewrite a single run.
const RUNS_MIN: usize = 2;

/// The runs that an open partition has at most, at any moment, after `commits` commits out of hot. `runs_max` is
/// `CompactionSettings::partition_files_max`.
pub(crate) fn runs_at_most(commits: u64, runs_max: usize) -> usize {
    let runs_max = runs_max.max(RUNS_MIN);
    let (mut full, mut held) = (0, 0_u64);
    loop {
        let slots = (runs_max + full) as u64;
        held = held.saturating_add(slots * (slots + 1) / 2);
        if commits <= held {
            return runs_max + 2 * full;
        }
        full += 1;
    }
}
