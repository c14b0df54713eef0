//! Windows: sorted lines that are written while the next ones are read.

use std::sync::Arc;

use coupon::ids::{BatchId, CampaignId};
use coupon::imported::ImportRun;
use hot::{HotError, HotStore, ImportLine, ImportOutcome};
use tokio::task::JoinHandle;

use super::lines::FileLine;
use crate::Clock;

/// Lines in each of the first groups of a file.
const GROUP_MIN: usize = 200;

/// A group has at most this part of the lines before it. Coupons that arrive in one group are
/// handed out together, so a short file comes in many small groups, and a long one does not come in
/// millions.
const GROUP_PART: u64 = 64;

pub(super) struct SentWindow {
    /// Each with the earlier line of the file that has the same code.
    pub(super) lines: Vec<(FileLine, Option<u64>)>,
    pub(super) written: JoinHandle<WindowOutcome>,
}

/// How far a window got: the outcomes of its first lines, and the error that stopped it.
pub(super) struct WindowOutcome {
    pub(super) outcomes: Vec<ImportOutcome>,
    pub(super) failed: Option<HotError>,
}

/// Writes the lines of a window, which are in the order of their codes.
pub(super) struct ImportWindow {
    pub(super) hot: Arc<dyn HotStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) campaign: CampaignId,
    pub(super) batch: BatchId,
    pub(super) run: ImportRun,
    /// Lines of the file that were read before this window was sent.
    pub(super) before: u64,
}

impl ImportWindow {
    /// Writes group after group, each in a transaction, until the first that fails.
    pub(super) async fn write(mut self, lines: Vec<ImportLine>) -> WindowOutcome {
        let mut outcomes = Vec::with_capacity(lines.len());
        let group = group_of(self.before, self.hot.import_lines_max());
        for group in lines.chunks(group) {
            // A long file takes hours, so each group has its own time of change.
            self.run.at = self.clock.now();
            let (group, run) = (group.to_vec(), self.run.clone());
            match self.hot.import(&self.campaign, &self.batch, group, run).await {
                Ok(of_group) => outcomes.extend(of_group),
                Err(error) => return WindowOutcome { outcomes, failed: Some(error) },
            }
        }
        WindowOutcome { outcomes, failed: None }
    }
}

fn group_of(before: u64, most: usize) -> usize {
    let part = usize::try_from(before / GROUP_PART).unwrap_or(usize::MAX);
    part.max(GROUP_MIN).min(most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_grow_with_the_file() {
        let cases = [
            ("the first lines", 0, 4_096, 200),
            ("a window", 50_000, 4_096, 781),
            ("a long file", 1_000_000_000, 4_096, 4_096),
            ("a store that takes few at once", 1_000_000_000, 200, 200),
            ("one line at once", 0, 1, 1),
        ];
        for (name, before, most, want) in cases {
            assert_eq!(group_of(before, most), want, "{name}");
        }
    }

    /// Each group of a cluster is a row of one partition.
    #[test]
    fn a_billion_lines_are_few_groups() {
        let (mut before, mut groups) = (0_u64, 0_u64);
        while before < 1_000_000_000 {
            before += group_of(before, 4_096) as u64;
            groups += 1;
        }
        assert!(groups < 300_000, "{groups}");
    }
}
