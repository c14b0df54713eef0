//! The epochs of the feed and how far it is ahead of the clocks, as its row has them.

use std::collections::BTreeMap;

use crate::feed_cursor::FeedPosition;
use crate::{CqlSession, Result};

/// The one CQL partition of `feed`.
const PART: i32 = 0;

/// Most epochs that are remembered. A store is restored a few times in its life.
const EPOCHS_MAX: usize = 64;

pub struct FeedEpochs {
    pub epoch: String,
    /// The slot in which the feed began.
    pub began: i64,
    /// Each with the slot from which on it did not survive, oldest first.
    before: Vec<(String, i64)>,
    ahead: BTreeMap<i64, i64>,
}

impl FeedEpochs {
    /// From which slot on an earlier epoch did not survive; `None` if there was no such epoch.
    pub fn cut_of(&self, epoch: &str) -> Option<i64> {
        self.before.iter().find(|(of, _)| of == epoch).map(|(_, cut)| *cut)
    }

    /// By how many slots the feed was ahead of the clocks at an instant, in milliseconds since 1970.
    pub fn ahead_at(&self, at: i64) -> i64 {
        self.ahead.range(..=at).next_back().map_or(0, |(_, slots)| *slots)
    }

    /// The column `epochs_before` when this epoch ends at a slot.
    pub fn before_text(&self, cut: i64) -> String {
        let cut = (self.epoch.as_str(), cut);
        let all = self.before.iter().map(|(epoch, cut)| (epoch.as_str(), *cut)).chain([cut]);
        let all: Vec<String> =
            all.map(|(epoch, cut)| FeedPosition::at(cut).cursor(epoch)).collect();
        all[all.len().saturating_sub(EPOCHS_MAX)..].join(" ")
    }
}

impl CqlSession {
    /// `None`: the feed has not begun.
    pub async fn feed_epochs(&self) -> Result<Option<FeedEpochs>> {
        let cql = "SELECT epoch, began, epochs_before, ahead FROM feed WHERE part = ?";
        type Row = (Option<String>, Option<i64>, Option<String>, Option<BTreeMap<i64, i64>>);
        let row: Option<Row> = self.row(cql, (PART,)).await?;
        let Some((Some(epoch), began, before, ahead)) = row else { return Ok(None) };
        let before = before.unwrap_or_default();
        let before = before.split_whitespace().filter_map(FeedPosition::parse);
        let before = before.map(|(epoch, cut)| (epoch.to_owned(), cut.slot)).collect();
        let (began, ahead) = (began.unwrap_or(0), ahead.unwrap_or_default());
        Ok(Some(FeedEpochs { epoch, began, before, ahead }))
    }
}
