//! The epochs of the feed: a restore begins a new one, since events behind the snapshot did not
//! survive it.

use uuid::Uuid;

use crate::CqlStore;
use crate::announcing::{FeedState, PART, SPAN_SLOTS, slot_of};
use cql_session::{Result, StatementProfile};
use hot::HotError;

/// The feed begins this many slots before its creator's clock: other clocks may be behind.
const BEGINS_BEFORE: i64 = 15;

/// The old epoch ends this many slots, half a minute, before the last row of a snapshot: nodes are
/// copied one after the other, so a change may be missing whose index row is there.
const CUT_SLOTS: i64 = 15;

/// Runs of slots that one statement lists.
const SPANS: i32 = 1_000;

fn new_epoch() -> String {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    format!("{low:016x}")
}

impl CqlStore {
    /// Makes the feed, if there is none: before the first index row.
    pub(crate) async fn begin_feed(&self) -> Result<()> {
        let mut attempts = self.attempts("the beginning of the feed");
        while attempts.looked(self.session.feed_epochs().await)?.is_none() {
            let cql = "UPDATE feed SET epoch = ?, began = ? WHERE part = ? IF epoch = null";
            let began = slot_of(self.session.now_ms()) - BEGINS_BEFORE;
            let values = (new_epoch(), began, PART);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
        Ok(())
    }

    pub(crate) async fn begin_epoch(&self, feed: &FeedState) -> Result<()> {
        let none = || HotError::Damaged("the feed has no epoch".into());
        let old = self.session.feed_epochs().await?.ok_or_else(none)?;
        let newest = self.newest_slot(feed, old.began).await?;
        let cut = newest.saturating_sub(CUT_SLOTS).max(old.began);
        let (epoch, before) = (new_epoch(), old.before_text(cut));
        let mut attempts = self.attempts("a new epoch of the feed");
        while attempts.looked(self.session.feed_epochs().await)?.ok_or_else(none)?.epoch
            == old.epoch
        {
            let cql = "UPDATE feed SET epoch = ?, epochs_before = ? WHERE part = ? IF epoch = ?";
            let values = (epoch.as_str(), before.as_str(), PART, old.epoch.as_str());
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
        Ok(())
    }

    /// The last slot that has rows, or `began`.
    async fn newest_slot(&self, feed: &FeedState, began: i64) -> Result<i64> {
        let mut spans = Vec::new();
        loop {
            let from = spans.last().map_or(began.div_euclid(SPAN_SLOTS), |last| last + 1);
            let some = self.spans_from(PART, from, SPANS).await?;
            let is_all = (some.len() as i64) < i64::from(SPANS);
            spans.extend(some);
            if is_all {
                break;
            }
        }
        for span in spans.into_iter().rev() {
            let slots: Vec<i64> = (span * SPAN_SLOTS..(span + 1) * SPAN_SLOTS).collect();
            if let Some((slot, _)) =
                self.session.slots_with_changes(&slots, feed.shards).await?.last()
            {
                return Ok(*slot);
            }
        }
        Ok(began)
    }

    /// The first `limit` runs of slots from `span` on that are listed in a part.
    pub(super) async fn spans_from(&self, part: i32, span: i64, limit: i32) -> Result<Vec<i64>> {
        let cql = "SELECT span FROM change_span WHERE part = ? AND span >= ? LIMIT ?";
        let rows: Vec<(i64,)> =
            self.session.rows(StatementProfile::Read, cql, (part, span, limit)).await?;
        Ok(rows.into_iter().map(|(span,)| span).collect())
    }
}
