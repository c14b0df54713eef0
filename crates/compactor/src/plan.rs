//! Decides which partitions are due, and for which pass. Reads nothing.

use std::collections::BTreeMap;

use cold::ColdPartition;
use coupon::time::{Day, Millis};
use hot::{ClosedPartition, PartitionPlan};

use crate::{ClosedPolicy, CompactionSettings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionPass {
    /// Finish an archive commit whose rows are still in hot.
    Finish,
    /// Archive the closed coupons and leave archived markers.
    Closed,
    /// Seal the partition, archive it and empty it.
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuePass {
    pub day: Day,
    pub pass: CompactionPass,
    /// Closed coupons in it that are not archived.
    pub waiting: u64,
}

pub(crate) struct PlanInput {
    pub(crate) now: Millis,
    pub(crate) closed: ClosedPolicy,
    pub(crate) partitions: Vec<PartitionPlan>,
    pub(crate) archive_commits: Vec<ColdPartition>,
    pub(crate) waiting: Vec<ClosedPartition>,
}

/// The work that is due, by day: at most one pass for each partition.
pub(crate) fn plan(seen: &PlanInput, settings: &CompactionSettings) -> Vec<DuePass> {
    let committed: BTreeMap<Day, u64> = seen
        .archive_commits
        .iter()
        .map(|partition| (partition.day, partition.archive_commit))
        .collect();
    let waiting: BTreeMap<Day, &ClosedPartition> =
        seen.waiting.iter().map(|partition| (partition.day, partition)).collect();
    let work = |partition: &PartitionPlan| {
        let closed = waiting.get(&partition.day);
        let unfinished = committed
            .get(&partition.day)
            .is_some_and(|archive_commit| *archive_commit > partition.archive_commit);
        let may_begin = seen.closed != ClosedPolicy::OnlyFinish;
        let pass = if partition.sealed || (may_begin && seen.now > partition.seal_after) {
            CompactionPass::Expired
        } else if may_begin && closed.is_some_and(|closed| is_worthwhile(closed, seen, settings)) {
            CompactionPass::Closed
        } else if unfinished {
            CompactionPass::Finish
        } else {
            return None;
        };
        Some(DuePass {
            day: partition.day,
            pass,
            waiting: closed.map_or(0, |closed| closed.waiting),
        })
    };
    seen.partitions.iter().filter(|partition| !partition.emptied).filter_map(work).collect()
}

fn is_worthwhile(
    closed: &ClosedPartition,
    seen: &PlanInput,
    settings: &CompactionSettings,
) -> bool {
    closed.waiting > 0
        && (seen.closed == ClosedPolicy::Now
            || closed.waiting >= settings.closed_enough
            || seen.now >= closed.since.plus_days(settings.closed_wait_days))
}

#[cfg(test)]
mod tests {
    use coupon::time::DAY_MS;

    use super::*;

    const DAY: Day = Day(20_800);
    const NOW: Millis = Millis(20_777 * DAY_MS);

    #[test]
    fn plans() {
        let open = PartitionPlan {
            day: DAY,
            seal_after: NOW,
            sealed: false,
            archive_commit: 2,
            emptied: false,
        };
        let over = PartitionPlan { seal_after: Millis(NOW.0 - 1), ..open };
        let sealed = PartitionPlan { sealed: true, ..open };
        let emptied = PartitionPlan { emptied: true, ..over };
        let wait = |waiting, days: i64| {
            vec![ClosedPartition { day: DAY, waiting, since: Millis(NOW.0 - days * DAY_MS) }]
        };
        let later = ClosedPolicy::WhenWorthwhile;
        let cases = [
            ("nothing to do", open, 2, vec![], later, None),
            ("not over before the next millisecond", open, 2, vec![], ClosedPolicy::Now, None),
            ("over", over, 2, vec![], later, Some(CompactionPass::Expired)),
            ("sealed and not emptied", sealed, 2, vec![], later, Some(CompactionPass::Expired)),
            ("emptied", emptied, 3, vec![], later, None),
            (
                "an archive commit not finished",
                open,
                3,
                vec![],
                later,
                Some(CompactionPass::Finish),
            ),
            ("too few", open, 2, wait(99_999, 29), later, None),
            ("too few, now", open, 2, wait(1, 0), ClosedPolicy::Now, Some(CompactionPass::Closed)),
            ("enough", open, 2, wait(100_000, 0), later, Some(CompactionPass::Closed)),
            ("one, for long enough", open, 2, wait(1, 30), later, Some(CompactionPass::Closed)),
            ("a clock that is not trusted: over", over, 2, vec![], ClosedPolicy::OnlyFinish, None),
            ("closed ones", open, 2, wait(100_000, 40), ClosedPolicy::OnlyFinish, None),
            (
                "an archive commit not finished",
                over,
                3,
                vec![],
                ClosedPolicy::OnlyFinish,
                Some(CompactionPass::Finish),
            ),
            ("sealed", sealed, 2, vec![], ClosedPolicy::OnlyFinish, Some(CompactionPass::Expired)),
            (
                "over, with closed ones",
                over,
                2,
                wait(100_000, 40),
                later,
                Some(CompactionPass::Expired),
            ),
        ];
        for (name, partition, archive_commit, waiting, closed, want) in cases {
            let archive_commits =
                vec![ColdPartition { day: DAY, version: 1, archive_commit, files: Vec::new() }];
            let seen = PlanInput {
                now: NOW,
                closed,
                partitions: vec![partition],
                archive_commits,
                waiting,
            };
            let works = plan(&seen, &CompactionSettings::default());
            assert_eq!(works.first().map(|work| work.pass), want, "{name}");
        }
    }
}
