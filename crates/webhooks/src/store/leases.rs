//! Which process posts to which endpoint.
//!
//! Each process says again and again that it lives. They share the active endpoints, as many to each. One that has too
//! many leaves an endpoint alone for one round, so that what is under way arrives, and gives it back in the next.
//!
//! A process is gone when its row is, or when its row has not changed for two leases by the clock that cannot jump: by
//! a wall clock that was set back, a row would last too long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync};
use tokio::time::Instant;

use super::endpoints::EndpointRow;
use super::lane::WebhookLane;
use super::numbers::{millis, numbered};
use super::progress::LaneProgress;
use super::{Result, WebhookStore, locked};
use crate::retry::ahead_max;

/// Processes that post. A key is the name of one, a value how often it has said that it lives.
const PROCESS: RecordKind = RecordKind { name: "webhook.process", sync: RecordSync::Later };

/// Which process posts to an endpoint: its name, and a number that it raises.
const LEASE: RecordKind = RecordKind { name: "webhook.lease", sync: RecordSync::Later };

fn lease_of(webhook: i64) -> RecordPart {
    LEASE.part(numbered(webhook))
}

/// What processes said last, and since when this one knows it.
#[derive(Debug, Default)]
pub(super) struct LiveProcesses {
    /// What each said, since when, and when this process looked last.
    seen: BTreeMap<Vec<u8>, (Vec<u8>, Instant, Instant)>,
    /// How often this process has said that it lives.
    beats: u64,
}

impl LiveProcesses {
    /// Whether what stands under `key` has changed within `limit`, as far as this process knows.
    fn is_live(&mut self, key: &[u8], said: &[u8], limit: Duration) -> bool {
        let now = Instant::now();
        match self.seen.get_mut(key) {
            Some((before, since, looked)) if before == said => {
                *looked = now;
                since.elapsed() < limit
            }
            _ => {
                self.seen.insert(key.to_vec(), (said.to_vec(), now, now));
                true
            }
        }
    }

    fn next_beat(&mut self) -> u64 {
        self.beats += 1;
        self.beats
    }

    /// Forgets what this process has not looked at for so long.
    fn forget_old(&mut self, limit: Duration) {
        self.seen.retain(|_, (_, _, looked)| looked.elapsed() < limit);
    }
}

impl WebhookStore {
    /// Renews the leases of this process, and gives some back or takes some, so that all processes have as many.
    ///
    /// A lease only saves work. Two processes that both send to an endpoint, because one was frozen or a clock
    /// jumped, post some events twice, with the same id.
    pub(crate) async fn lease(&self) -> Result<()> {
        let rows = self.endpoint_rows().await?;
        // Nothing more is written of endpoints that were deleted.
        let numbers: BTreeSet<i64> = rows.iter().map(|row| row.number).collect();
        self.lanes().retain(|webhook, _| numbers.contains(webhook));
        let active = rows.into_iter().filter(|row| row.terms.is_active());
        let mut active: BTreeMap<i64, EndpointRow> = active.map(|row| (row.number, row)).collect();
        let share = active.len().div_ceil(self.processes().await?);
        self.give_away(&active).await;
        let held = self.take_over_changes(&mut active);
        self.renew_all(&held).await;
        let held = self.leave_some(share);
        // What is left in `active` belongs to nobody here.
        let free = share.saturating_sub(held);
        self.take_some(active, free).await;
        Ok(())
    }

    /// Says that this process lives, and counts those that do. The first of them leads.
    async fn processes(&self) -> Result<usize> {
        let until = Instant::now() + self.options.lease;
        let beat = locked(&self.live).next_beat().to_string();
        let part = PROCESS.part("");
        let row = RecordPut::new(self.process.as_str(), beat).kept_for(self.options.lease);
        self.tables.put(&part, vec![row]).await?;
        let rows = self.tables.scan(&part, RecordRange::first(usize::MAX)).await?;
        let mut live = locked(&self.live);
        let names: Vec<Vec<u8>> = rows
            .into_iter()
            .filter(|row| live.is_live(&row.key, &row.value, self.options.lease * 2))
            .map(|row| row.key)
            .collect();
        live.forget_old(self.options.lease * 10);
        let leads = names.first().is_some_and(|first| first == self.process.as_bytes());
        *locked(&self.leads_until) = leads.then_some(until);
        Ok(names.len().max(1))
    }

    /// Gives back what was left alone for a round, and what is not active any more.
    async fn give_away(&self, active: &BTreeMap<i64, EndpointRow>) {
        let goes = |lane: &WebhookLane| lane.is_leaving || !active.contains_key(&lane.row.number);
        for webhook in self.lanes_that(goes) {
            self.give_back(webhook).await;
        }
    }

    /// If that fails, the lease lapses.
    async fn give_back(&self, webhook: i64) {
        let given = async {
            // Before the progress: the cursor passes only what is written.
            self.write_waiting(webhook, true).await?;
            self.save_progress(webhook).await?;
            // Before the lease: another process may post from then on.
            let lease = self.with_lane(webhook, |lane| lane.lease.clone());
            self.forget_lane(webhook);
            if let Some(lease) = lease {
                let part = lease_of(webhook);
                self.tables.replace(&part, Some(&lease), RecordPut::delete("")).await?;
            }
            Result::Ok(())
        };
        if let Err(error) = given.await {
            tracing::debug!(%error, "a webhook could not be given back");
        }
        self.forget_lane(webhook);
    }

    /// Forgets lanes whose lease is over, and takes over what callers have changed in the others. Removes these from
    /// `active`, and returns them.
    fn take_over_changes(&self, active: &mut BTreeMap<i64, EndpointRow>) -> Vec<i64> {
        let now = self.now();
        let mut lanes = self.lanes();
        lanes.retain(|_, lane| lane.is_leased());
        let mut held = Vec::new();
        for (number, lane) in lanes.iter_mut() {
            if let Some(row) = active.remove(number) {
                lane.take_over(row, now);
                lane.mend_due(now, millis(ahead_max(&self.options)));
                held.push(*number);
            }
        }
        held
    }

    /// Takes a lease, or renews it, if it still says `seen`. Returns what it says then.
    async fn hold(&self, webhook: i64, seen: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        let lease = format!("{} {}", self.process, locked(&self.live).next_beat());
        let row = RecordPut::new("", lease.clone()).kept_for(self.options.lease);
        let is_held = self.tables.replace(&lease_of(webhook), seen, row).await?;
        Ok(is_held.then(|| lease.into_bytes()))
    }

    /// Also a lease that has lapsed, because a wall clock jumped, and that nobody has taken.
    async fn renew_one(&self, webhook: i64, seen: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        let renewed = self.hold(webhook, seen).await?;
        if renewed.is_none() && self.tables.get(&lease_of(webhook), b"").await?.is_none() {
            return self.hold(webhook, None).await;
        }
        Ok(renewed)
    }

    async fn renew_all(&self, held: &[i64]) {
        let renewals = held.iter().map(|&webhook| async move {
            // Timed before the write: here the lease must never seem longer than in the store.
            let (begun, seen) = (Instant::now(), self.with_lane(webhook, |it| it.lease.clone()));
            (webhook, begun, self.renew_one(webhook, seen.as_deref()).await)
        });
        for (webhook, begun, renewed) in join_all(renewals).await {
            match renewed {
                Ok(Some(lease)) => {
                    let renew = |lane: &mut WebhookLane| {
                        (lane.until, lane.lease) = (begun + self.options.lease, lease);
                    };
                    self.with_lane(webhook, renew);
                }
                Ok(None) => self.forget_lane(webhook),
                // The outcome is unknown: it is held until the old lease ends, and then taken again.
                Err(error) => tracing::debug!(%error, "a lease of a webhook is not renewed"),
            }
        }
    }

    /// Leaves alone what this process has too much of. Returns how many it has.
    fn leave_some(&self, share: usize) -> usize {
        let mut lanes = self.lanes();
        for lane in lanes.values_mut().skip(share) {
            lane.is_leaving = true;
        }
        lanes.len()
    }

    async fn take_some(&self, active: BTreeMap<i64, EndpointRow>, mut free: usize) {
        for (webhook, row) in active {
            if free == 0 {
                return;
            }
            match self.take_if_free(row).await {
                Ok(is_taken) => free -= usize::from(is_taken),
                // Another round will take it, or another process.
                Err(error) => tracing::warn!(%error, webhook, "a webhook cannot be taken over"),
            }
        }
    }

    async fn take_if_free(&self, row: EndpointRow) -> Result<bool> {
        let found = self.tables.get(&lease_of(row.number), b"").await?;
        // If it is this process, a round of before has taken it, and did not learn that.
        let is_of_another = found.as_deref().is_some_and(|lease| {
            let limit = self.options.lease * 2;
            lease.split(|byte| *byte == b' ').next() != Some(self.process.as_bytes())
                && locked(&self.live).is_live(&numbered(row.number), lease, limit)
        });
        if is_of_another { Ok(false) } else { self.take(row, found.as_deref()).await }
    }

    /// Takes an endpoint that nobody holds, and reads what waits at it.
    async fn take(&self, row: EndpointRow, seen: Option<&[u8]>) -> Result<bool> {
        let (webhook, begun) = (row.number, Instant::now());
        // The lease first, which saves work; the epoch is what keeps two processes apart.
        let Some(lease) = self.hold(webhook, seen).await? else { return Ok(false) };
        let (found, text) = self.progress(webhook).await?;
        let (epoch, saves) = (found.epoch + 1, found.saves + 1);
        let progress = LaneProgress { epoch, saves, ..found };
        let saved = self.replace_progress(webhook, text.as_deref(), &progress).await?;
        let Some(saved) = saved else { return Ok(false) };
        // After the epoch: nobody else names a block from now on.
        let waiting = self.read_waiting(webhook, &progress.blocks).await?;
        // Last, so that no change of a caller is missing.
        let row = self.endpoint_row(&row.name).await?;
        if row.number != webhook {
            return Ok(false);
        }
        let now = self.now();
        let until = begun + self.options.lease;
        let mut lane = WebhookLane::new(row, (progress, saved), waiting, (lease, until), now);
        lane.mend_due(now, millis(ahead_max(&self.options)));
        self.lanes().insert(webhook, lane);
        Ok(true)
    }

    /// Gives all back, and says that this process is gone.
    pub(crate) async fn release(&self) -> Result<()> {
        let all = self.lanes_that(|_| true);
        join_all(all.into_iter().map(|webhook| self.give_back(webhook))).await;
        let end = RecordPut::delete(self.process.as_str());
        Ok(self.tables.put(&PROCESS.part(""), vec![end]).await?)
    }
}
