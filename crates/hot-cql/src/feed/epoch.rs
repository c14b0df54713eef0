//! The epochs of the feed: a restore begins a new one, since events behind the snapshot did not
//! survive it.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::CqlStore;
use crate::announcing::{FeedState, PART, SPAN_SLOTS, slot_of};
use cql_session::{FeedList, Result};
use hot::HotError;

/// The feed begins this many slots before its creator's clock: other clocks may be behind.
const BEGINS_BEFORE: i64 = 15;

/// The old epoch ends this many slots, half a minute, before the last row of a snapshot: nodes are
/// copied one after the other, so a change may be missing whose index row is there.
const CUT_SLOTS: i64 = 15;

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

    /// The last slot in which changes were written, or `began`. Not one that has only rows which were put aside: it may
    /// be later than the store.
    async fn newest_slot(&self, feed: &FeedState, began: i64) -> Result<i64> {
        let first = began.div_euclid(SPAN_SLOTS);
        let spans = self.session.listed(FeedList::Runs, first, i32::MAX).await?;
        let asides = self.session.listed(FeedList::Asides, first, i32::MAX).await?;
        for span in spans.into_iter().rev() {
            let aside = Some(span * SPAN_SLOTS).filter(|_| asides.contains(&span));
            let slots: Vec<i64> = (span * SPAN_SLOTS..(span + 1) * SPAN_SLOTS).collect();
            let none = BTreeSet::new();
            let looks = self.session.slots_with_changes(&slots, feed.shards, &none).await?;
            let mut newest = looks.into_iter().rev().filter(|((slot, _), _)| Some(*slot) != aside);
            if let Some(((slot, _), error)) = newest.next() {
                return error.map_or(Ok(slot), Err);
            }
        }
        Ok(began)
    }
}
