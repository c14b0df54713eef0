//! How many coupons of a campaign are in each state.
//!
//! Each process counts its own changes and writes its sums every second, in a row for the campaign
//! that no other process writes. So a count costs no conditional update, and is some seconds old.
//! If a process is killed, the changes that it has counted and not written stay missing, and so does a
//! change whose caller was told that its outcome is unknown. If two
//! imports bring the same new line at one time, both write its row, by plain writes that do not say
//! which was first, and both count it. `verify` notes how many campaigns have such counts.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use coupon::campaign::CampaignCounts;
use coupon::coupon::State;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::protocol::StateCounts;
use parking_lot::Mutex;
use uuid::Uuid;

use super::CqlStore;
use cql_session::{CountKey, CountSums, Result};

pub(super) const WRITTEN_EVERY: Duration = Duration::from_secs(1);

/// After so long without a change a process begins another row: one that nobody has written for a day is merged.
const RESTED_MS: i64 = 12 * 3_600_000;

#[derive(Clone, Debug, Default)]
struct OfCampaign {
    /// The name of its rows.
    process: Uuid,
    sums: StateCounts,
    arrived: BTreeMap<BatchId, i64>,
    changes: u64,
    /// How many of them are in the store.
    written: u64,
    /// When they were written, in milliseconds since 1970.
    written_at: i64,
}

#[derive(Default)]
pub(super) struct ProcessCounts {
    of: Mutex<HashMap<CampaignId, OfCampaign>>,
    /// Held while sums are written: whoever calls `write_down` also waits for the write of the upkeep
    /// that is under way, and older sums are not sent beside newer ones.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
pub(super) struct CampaignSums {
    pub(super) sums: StateCounts,
    arrived: BTreeMap<String, i64>,
}

impl CampaignSums {
    fn add(&mut self, ((_, batch), sums): (CountKey, CountSums)) {
        if !batch.is_empty() {
            *self.arrived.entry(batch).or_default() += sums[6];
            return;
        }
        for at in 0..3 {
            self.sums.all[at] += sums[at];
            self.sums.cold[at] += sums[3 + at];
        }
    }

    /// Without `stock`.
    pub(super) fn counts(&self) -> CampaignCounts {
        let [issued, redeemed, void] = self.sums.all.map(|sum| u64::try_from(sum).unwrap_or(0));
        CampaignCounts { stock: 0, issued, redeemed, void }
    }

    pub(super) fn arrived(&self) -> u64 {
        self.arrived.values().map(|sum| u64::try_from(*sum).unwrap_or(0)).sum()
    }

    pub(super) fn arrived_in(&self, batch: &BatchId) -> u64 {
        let sum = self.arrived.get(batch.as_str()).copied().unwrap_or(0);
        u64::try_from(sum).unwrap_or(0)
    }

    /// The instant for which the counts hold: every process has written what it counted before.
    pub(super) fn counted_at(&self, now: Millis) -> Millis {
        now.plus_ms(-i64::try_from(2 * WRITTEN_EVERY.as_millis()).unwrap_or(0))
    }
}

impl ProcessCounts {
    fn with(&self, id: &CampaignId, count: impl FnOnce(&mut OfCampaign)) {
        let mut all = self.of.lock();
        let new = || OfCampaign { process: Uuid::now_v7(), ..OfCampaign::default() };
        let of = all.entry(id.clone()).or_insert_with(new);
        count(of);
        of.changes += 1;
    }

    pub(super) fn count_change(&self, id: &CampaignId, from: &State, to: &State) {
        if std::mem::discriminant(from) == std::mem::discriminant(to) {
            return;
        }
        self.with(id, |of| of.sums.change(from, to));
    }

    /// A coupon of the campaign in this state was archived.
    pub(super) fn count_moved(&self, id: &CampaignId, state: &str) {
        self.with(id, |of| of.sums.archive(state));
    }

    pub(super) fn count_arrivals(&self, id: &CampaignId, batch: &BatchId, count: i64) {
        if count != 0 {
            self.with(id, |of| *of.arrived.entry(batch.clone()).or_default() += count);
        }
    }

    fn unwritten(&self) -> Vec<(CampaignId, OfCampaign)> {
        let all = self.of.lock();
        let unwritten = all.iter().filter(|(_, of)| of.written != of.changes);
        unwritten.map(|(id, of)| (id.clone(), of.clone())).collect()
    }

    fn was_written(&self, id: &CampaignId, changes: u64, at: i64) {
        if let Some(of) = self.of.lock().get_mut(id) {
            (of.written, of.written_at) = (changes, at);
        }
    }

    fn forget_rested(&self, now: i64) {
        let rests = |of: &OfCampaign| of.written == of.changes && now - of.written_at >= RESTED_MS;
        self.of.lock().retain(|_, of| !rests(of));
    }

    /// The counts of this process as they are now, those of others as they were last written.
    pub(super) async fn of(&self, store: &CqlStore, id: &CampaignId) -> Result<CampaignSums> {
        let rows = store.session.campaign_counts(id).await?;
        let own = self.of.lock().get(id).cloned().unwrap_or_default();
        let arrived = own.arrived.into_iter().map(|(batch, count)| (batch.to_string(), count));
        let mut counted = CampaignSums { sums: own.sums, arrived: arrived.collect() };
        // Without a name it has no row, and those without one are of a copy.
        let is_own = |process: Uuid| process == own.process && !process.is_nil();
        let others = rows.into_iter().filter(|((process, _), _)| !is_own(*process));
        others.for_each(|row| counted.add(row));
        Ok(counted)
    }

    pub(super) async fn write_down(&self, store: &CqlStore) {
        let _writing = self.writing.lock().await;
        let now = store.session.now_ms();
        self.forget_rested(now);
        for (id, of) in self.unwritten() {
            let arrived = of.arrived.iter().map(|(batch, count)| (batch, *count)).collect();
            if let Err(error) = store.session.write_counts(&id, of.process, of.sums, arrived).await
            {
                // The next round writes the same sums and more.
                tracing::debug!(error = %error, "counts could not be written down");
                continue;
            }
            // Not earlier: the write may be given up while it is under way.
            self.was_written(&id, of.changes, now);
            if of.written == 0
                && let Err(error) = merge_ended(store, &id).await
            {
                tracing::debug!(error = %error, "old counts could not be merged");
            }
        }
    }
}

/// The counts of a campaign as every process, this one included, last wrote them.
pub(super) async fn as_written(store: &CqlStore, id: &CampaignId) -> Result<CampaignSums> {
    let mut counted = CampaignSums::default();
    store.session.campaign_counts(id).await?.into_iter().for_each(|row| counted.add(row));
    Ok(counted)
}

/// Who adds a row merges those of processes that have ended.
async fn merge_ended(store: &CqlStore, id: &CampaignId) -> Result<()> {
    store.clock.measure_again(&store.session).await?;
    // By a clock that is days ahead all processes would have ended.
    store.may_write()?;
    store.session.merge_counts(id, store.session.now_ms()).await
}
