//! Which process posts to which endpoint.
//!
//! Each process says that it lives, with a row that deletes itself. They share the active endpoints, as many to each.
//! One that has too many leaves an endpoint alone for one round, so that what is under way arrives, and lets it
//! go in the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use cql_session::StatementProfile;
use futures::future::join_all;
use tokio::time::Instant;
use webhooks::{Options, ahead_max};

use crate::ClusterStore;
use crate::endpoints::EndpointRow;
use crate::error::{Result, Trouble};
use crate::lane::{Lane, millis};

impl ClusterStore {
    /// Renews the leases of this process, gives some back or takes some. Returns the endpoints that it holds.
    pub(crate) async fn renew(&self, me: &str, options: &Options) -> Result<Vec<i64>> {
        let rows = self.endpoint_rows().await?;
        self.forget_deleted(&rows);
        let active = rows.into_iter().filter(|row| row.terms.is_active());
        let mut active: BTreeMap<i64, EndpointRow> = active.map(|row| (row.number, row)).collect();
        let share = active.len().div_ceil(self.processes(me, options).await?);
        self.give_away(me, &active).await;
        let held = self.take_over_changes(&mut active, options);
        self.renew_all(&held, me, options).await;
        let held = self.leave_some(share);
        // What is left in `active` belongs to nobody here.
        let free = share.saturating_sub(held);
        self.take_some(active, free, me, options).await;
        Ok(self.held())
    }

    /// Says that this process lives, and counts those that do. The first of them leads.
    async fn processes(&self, me: &str, options: &Options) -> Result<usize> {
        let until = Instant::now() + options.lease;
        let cql = "INSERT INTO webhook_process (part, name) VALUES (?, ?) USING TTL ?";
        let lasts = i32::try_from(options.lease.as_secs().max(1)).unwrap_or(i32::MAX);
        self.session.write(cql, (self.part, me, lasts)).await?;
        let cql = "SELECT name FROM webhook_process WHERE part = ?";
        let names: Vec<(String,)> =
            self.session.rows(StatementProfile::Read, cql, (self.part,)).await?;
        let leads = names.first().is_some_and(|(first,)| first == me);
        *self.leads_until.lock().unwrap_or_else(PoisonError::into_inner) = leads.then_some(until);
        Ok(names.len().max(1))
    }

    /// Nothing more is written of endpoints that were deleted.
    fn forget_deleted(&self, rows: &[EndpointRow]) {
        let numbers: BTreeSet<i64> = rows.iter().map(|row| row.number).collect();
        self.lanes().retain(|webhook, _| numbers.contains(webhook));
    }

    /// Gives back what was left alone for a round, and what is not active any more.
    async fn give_away(&self, me: &str, active: &BTreeMap<i64, EndpointRow>) {
        let goes = |lane: &Lane| lane.is_leaving || !active.contains_key(&lane.row.number);
        for webhook in self.lanes_that(goes) {
            self.give_back(webhook, me).await;
        }
    }

    /// If that fails, the lease lapses.
    async fn give_back(&self, webhook: i64, me: &str) {
        let given = async {
            self.write_waiting(webhook, true).await?;
            self.save_progress(webhook).await?;
            // Before the lease: another process may post from then on.
            self.forget_lane(webhook);
            self.let_go(webhook, me).await
        };
        if let Err(trouble) = given.await {
            tracing::debug!(?trouble, "a webhook could not be given back");
        }
        self.forget_lane(webhook);
    }

    /// Forgets lanes whose lease is over, and takes over what callers have changed in the others. Removes these from
    /// `active`, and returns them.
    fn take_over_changes(
        &self,
        active: &mut BTreeMap<i64, EndpointRow>,
        options: &Options,
    ) -> Vec<i64> {
        let now = options.now();
        let mut lanes = self.lanes();
        lanes.retain(|_, lane| lane.is_leased());
        let mut held = Vec::new();
        for (number, lane) in lanes.iter_mut() {
            if let Some(row) = active.remove(number) {
                lane.take_over(row, now);
                lane.mend_due(now, millis(ahead_max(options)));
                held.push(*number);
            }
        }
        held
    }

    async fn renew_all(&self, held: &[i64], me: &str, options: &Options) {
        let renewals = held.iter().map(|&webhook| async move {
            let begun = Instant::now();
            (webhook, begun, self.hold(webhook, Some(me), me, options.lease).await)
        });
        for (webhook, begun, renewed) in join_all(renewals).await {
            match renewed {
                Ok(true) => {
                    self.with_lane(webhook, |lane| lane.until = begun + options.lease);
                }
                Ok(false) => self.forget_lane(webhook),
                // It may be renewed or not: it is held as long as the lease of before.
                Err(trouble) => tracing::debug!(?trouble, "a lease of a webhook is not renewed"),
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

    async fn take_some(
        &self,
        active: BTreeMap<i64, EndpointRow>,
        mut free: usize,
        me: &str,
        options: &Options,
    ) {
        for (webhook, row) in active {
            if free == 0 {
                return;
            }
            match self.take_if_free(row, me, options).await {
                Ok(is_taken) => free -= usize::from(is_taken),
                // Another round will take it, or another process.
                Err(trouble) => tracing::debug!(?trouble, webhook, "a webhook cannot be taken"),
            }
        }
    }

    async fn take_if_free(&self, row: EndpointRow, me: &str, options: &Options) -> Result<bool> {
        let found = self.progress_row(row.number, StatementProfile::Read).await?;
        let holder = found.holder.as_deref();
        // If it is this process, a round of before has taken it, and did not learn that.
        if holder.is_some_and(|holder| holder != me) {
            return Ok(false);
        }
        self.take(row, holder, me, options).await
    }

    /// Takes an endpoint that nobody holds, and reads what waits at it.
    async fn take(
        &self,
        row: EndpointRow,
        from: Option<&str>,
        me: &str,
        options: &Options,
    ) -> Result<bool> {
        let (webhook, begun) = (row.number, Instant::now());
        if !self.hold(webhook, from, me, options.lease).await? {
            return Ok(false);
        }
        let Some(found) = self.begin_epoch(webhook, me).await? else { return Ok(false) };
        // After the epoch: what a process of before still writes, it has no lease for.
        let pending = self.pending(webhook).await?;
        // Last, so that no change of a caller is missing.
        let row = self.endpoint_row(&row.name).await?;
        if row.number != webhook {
            return Ok(false);
        }
        let now = options.now();
        let mut lane = Lane::new(row, found, pending, begun + options.lease, now);
        lane.mend_due(now, millis(ahead_max(options)));
        self.lanes().insert(webhook, lane);
        Ok(true)
    }

    /// Gives all back, and says that this process is gone.
    pub(crate) async fn give_all_back(&self, me: &str) -> Result<()> {
        let all = self.lanes_that(|_| true);
        join_all(all.into_iter().map(|webhook| self.give_back(webhook, me))).await;
        let cql = "DELETE FROM webhook_process WHERE part = ? AND name = ?";
        self.session.write(cql, (self.part, me)).await.map_err(Trouble::from)
    }
}
