//! A window of lines on its way into the store, beside the one that is being read.

use std::sync::Arc;

use coupon::ids::{BatchId, CampaignId};
use coupon::imported::ImportRun;
use hot::{HotError, HotStore, ImportLine, ImportOutcome};
use tokio::task::JoinHandle;

use super::GROUP;
use super::lines::Line;
use crate::Clock;

/// A window that is being written.
pub(super) struct Sent {
    pub(super) lines: Vec<Line>,
    pub(super) written: JoinHandle<Written>,
}

/// How far a window got: the outcomes of its first lines, and what stopped it before its last.
pub(super) struct Written {
    pub(super) outcomes: Vec<ImportOutcome>,
    pub(super) failed: Option<HotError>,
}

/// Writes the lines of a window, which stand in the order of their codes.
pub(super) struct Window {
    pub(super) hot: Arc<dyn HotStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) campaign: CampaignId,
    pub(super) batch: BatchId,
    pub(super) run: ImportRun,
}

impl Window {
    /// Writes group after group, each in a transaction, until the first that fails.
    pub(super) async fn write(mut self, lines: Vec<ImportLine>) -> Written {
        let mut outcomes = Vec::with_capacity(lines.len());
        for group in lines.chunks(GROUP) {
            // A long file takes hours: what it changes, it changes now.
            self.run.at = self.clock.now();
            let (group, run) = (group.to_vec(), self.run.clone());
            match self.hot.import(&self.campaign, &self.batch, group, run).await {
                Ok(of_group) => outcomes.extend(of_group),
                Err(error) => return Written { outcomes, failed: Some(error) },
            }
        }
        Written { outcomes, failed: None }
    }
}
