//! How many coupons of a campaign are in each state.
//!
//! Each process counts its own changes and writes its sums every second, in a row for the campaign
//! that no other process writes. So a count costs no conditional update, and is some seconds old.
//! If a process is killed, the changes that it has counted and not written stay missing. If two
//! imports bring the same new line at one time, both write its row, by plain writes that do not say
//! which was first, and both count it. `verify` notes how many campaigns have such counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use coupon::campaign::CampaignCounts;
use coupon::coupon::State;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::protocol::StateCounts;
use scylla::DeserializeRow;
use uuid::Uuid;

use super::CqlStore;
use cql_session::Result;

pub(super) const WRITTEN_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
struct OfCampaign {
    sums: StateCounts,
    arrived: BTreeMap<BatchId, i64>,
    changes: u64,
    /// How many of them are in the store.
    written: u64,
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
    fn add(&mut self, row: CountRow) {
        if !row.batch_id.is_empty() {
            *self.arrived.entry(row.batch_id).or_default() += row.arrived.unwrap_or(0);
            return;
        }
        let all = [row.issued, row.redeemed, row.void];
        let cold = [row.cold_issued, row.cold_redeemed, row.cold_void];
        for at in 0..3 {
            self.sums.all[at] += all[at].unwrap_or(0);
            self.sums.cold[at] += cold[at].unwrap_or(0);
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

#[derive(DeserializeRow)]
struct CountRow {
    process: Uuid,
    batch_id: String,
    issued: Option<i64>,
    redeemed: Option<i64>,
    void: Option<i64>,
    cold_issued: Option<i64>,
    cold_redeemed: Option<i64>,
    cold_void: Option<i64>,
    arrived: Option<i64>,
}

impl ProcessCounts {
    fn with(&self, id: &CampaignId, count: impl FnOnce(&mut OfCampaign)) {
        if let Ok(mut all) = self.of.lock() {
            let of = all.entry(id.clone()).or_default();
            count(of);
            of.changes += 1;
        }
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

    fn own(&self, id: &CampaignId) -> OfCampaign {
        let all = self.of.lock();
        all.ok().and_then(|all| all.get(id).cloned()).unwrap_or_default()
    }

    fn unwritten(&self) -> Vec<(CampaignId, OfCampaign)> {
        let Ok(all) = self.of.lock() else { return Vec::new() };
        let unwritten = all.iter().filter(|(_, of)| of.written != of.changes);
        unwritten.map(|(id, of)| (id.clone(), of.clone())).collect()
    }

    fn was_written(&self, id: &CampaignId, changes: u64) {
        if let Ok(mut all) = self.of.lock()
            && let Some(of) = all.get_mut(id)
        {
            of.written = changes;
        }
    }

    /// The counts of this process as they are now, those of others as they were last written.
    pub(super) async fn of(&self, store: &CqlStore, id: &CampaignId) -> Result<CampaignSums> {
        let rows = written(store, id).await?;
        let own = self.own(id);
        let arrived = own.arrived.into_iter().map(|(batch, count)| (batch.to_string(), count));
        let mut counted = CampaignSums { sums: own.sums, arrived: arrived.collect() };
        let others = rows.into_iter().filter(|row| row.process != store.process);
        others.for_each(|row| counted.add(row));
        Ok(counted)
    }

    pub(super) async fn write_down(&self, store: &CqlStore) {
        let _writing = self.writing.lock().await;
        for (id, of) in self.unwritten() {
            let arrived = of.arrived.iter().map(|(batch, count)| (batch, *count)).collect();
            match write_sums(store, &id, store.process, of.sums, arrived).await {
                // Not earlier: the write may be given up while it is under way.
                Ok(()) => self.was_written(&id, of.changes),
                // The next round writes the same sums and more.
                Err(error) => tracing::debug!(error = %error, "counts could not be written down"),
            }
        }
    }
}

async fn written(store: &CqlStore, id: &CampaignId) -> Result<Vec<CountRow>> {
    let cql = "SELECT process, batch_id, issued, redeemed, void, cold_issued, cold_redeemed, \
               cold_void, arrived FROM campaign_counts WHERE campaign_id = ?";
    store.session.scan(cql, (id.as_str(),)).await
}

/// The counts of a campaign as every process, this one included, last wrote them.
pub(super) async fn as_written(store: &CqlStore, id: &CampaignId) -> Result<CampaignSums> {
    let mut counted = CampaignSums::default();
    written(store, id).await?.into_iter().for_each(|row| counted.add(row));
    Ok(counted)
}

pub(super) async fn write_sums(
    store: &CqlStore,
    id: &CampaignId,
    process: Uuid,
    sums: StateCounts,
    arrived: Vec<(&BatchId, i64)>,
) -> Result<()> {
    let cql = "INSERT INTO campaign_counts (campaign_id, process, batch_id, issued, redeemed, \
               void, cold_issued, cold_redeemed, cold_void) VALUES (?, ?, '', ?, ?, ?, ?, ?, ?)";
    let StateCounts { all: [issued, redeemed, void], cold } = sums;
    let values = (id.as_str(), process, issued, redeemed, void, cold[0], cold[1], cold[2]);
    store.session.write(cql, values).await?;
    let cql =
        "INSERT INTO campaign_counts (campaign_id, process, batch_id, arrived) VALUES (?, ?, ?, ?)";
    let rows = arrived.iter();
    let rows = rows.map(|(batch, count)| (id.as_str(), process, batch.as_str(), *count));
    store.session.write_all(cql, rows.collect()).await
}
