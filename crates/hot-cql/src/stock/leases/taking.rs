//! Leasing more stock: a lease without an owner, returned coupons, or the next serials of a batch.

use std::sync::atomic::Ordering;

use coupon::campaign::MintedRun;
use coupon::time::Millis;
use scylla::response::PagingState;

use super::lease_size;
use crate::CqlStore;
use crate::campaigns::{BatchHere, CampaignHere};
use crate::stock::RUN;
use crate::stock::counter::OfferQueue;
use crate::stock::lease_rows::{LEASES, LeaseRow, unleased};
use crate::stock::walk::StockWalk;
use crate::values::signed;
use cql_session::Result;

impl CqlStore {
    /// Leases more of the first batch that has something; returns whether it did.
    pub(in crate::stock) async fn lease_more(
        &self,
        counter: &OfferQueue,
        campaign: &CampaignHere,
        at: Millis,
    ) -> Result<bool> {
        // Otherwise a lease may be taken over whose codes are unknown.
        self.check_keys_of(campaign)?;
        for batch in campaign.in_order() {
            let key = (campaign.terms.id.clone(), batch.id.clone());
            // Every serial of it is leased, which never changes.
            let is_used_up = self.used_up.read().contains(&key);
            if batch.paused || is_used_up {
                continue;
            }
            // Before new serials: what dead processes left would wait until the batch is sold out.
            let left = self.take_over_first(counter, campaign, batch).await?;
            let Some((cursor, returned)) = left else { return Ok(true) };
            let mut walk = StockWalk::default();
            self.walk_returned(campaign, batch, returned, at, &mut walk).await?;
            if !walk.found.is_empty() {
                counter.push(walk.found);
                return Ok(true);
            }
            let Some(run) = &batch.run else { continue };
            if at >= campaign.terms.expires_at {
                continue;
            }
            if unleased(cursor, run) == 0 {
                self.used_up.write().insert(key);
            } else if self.lease_run(counter, campaign, batch, run).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes over the first lease of a batch without an owner. Reads no further than it must: a
    /// large import has many. If there is none, returns how far the serials of the batch are leased,
    /// and how many coupons came back to it.
    async fn take_over_first(
        &self,
        counter: &OfferQueue,
        campaign: &CampaignHere,
        batch: &BatchHere,
    ) -> Result<Option<(Option<i64>, u64)>> {
        let values = (campaign.terms.id.as_str(), batch.id.as_str());
        let (mut cursor, mut returned) = (None, 0);
        let mut from = Some(PagingState::start());
        while let Some(state) = from {
            let (rows, next) = self.session.page::<LeaseRow>(LEASES, values, state).await?;
            if let Some(row) = rows.first() {
                cursor = row.cursor;
                returned = row.returned_rows.map_or(0, i64::unsigned_abs);
            }
            for row in rows.iter().filter(|row| row.kind.is_some() && !row.is_owned()) {
                if self.take_over_lease(counter, campaign, batch, row).await? {
                    return Ok(None);
                }
            }
            from = next;
        }
        Ok(Some((cursor, returned)))
    }

    /// Leases the next serials of a batch; `false` if none is left.
    async fn lease_run(
        &self,
        counter: &OfferQueue,
        campaign: &CampaignHere,
        batch: &BatchHere,
        run: &MintedRun,
    ) -> Result<bool> {
        let id = &campaign.terms.id;
        let mut attempts = self.attempts("a lease");
        loop {
            let (cursor, _) = attempts.looked(self.leased(id, &batch.id).await)?;
            let left = unleased(cursor, run);
            if left == 0 {
                return Ok(false);
            }
            let first = cursor.unwrap_or(0);
            let count = lease_size(run.count, left);
            let next = first.saturating_add(signed(count));
            let cql = "UPDATE lease SET cursor = ?, count = ? WHERE campaign_id = ? \
                       AND batch_id = ? AND kind = ? AND first = ? AND name = '' IF cursor = ?";
            let values = (next, signed(count), id.as_str(), batch.id.as_str(), RUN, first, cursor);
            let cas = self.session.change(attempts.profile(), cql, values).await;
            if !attempts.wrote(cas).await? {
                // If it was applied all the same, a walk finds it.
                continue;
            }
            let row = LeaseRow {
                kind: Some(RUN),
                first: Some(first),
                name: Some(String::new()),
                count: Some(signed(count)),
                ..LeaseRow::default()
            };
            if !self.own(id, &batch.id, &row).await? {
                // Another process took it over in between.
                continue;
            }
            let (lease, waiting) = self.codes_of(campaign, batch, &row, true).await?;
            let is_fresh = !counter.suspicious.load(Ordering::Relaxed);
            lease.fresh.store(is_fresh, Ordering::Relaxed);
            counter.push(waiting);
            return Ok(true);
        }
    }

    /// Takes over a lease without an owner; `false` if another process was faster, or it is empty.
    async fn take_over_lease(
        &self,
        counter: &OfferQueue,
        campaign: &CampaignHere,
        batch: &BatchHere,
        row: &LeaseRow,
    ) -> Result<bool> {
        if !self.own(&campaign.terms.id, &batch.id, row).await? {
            return Ok(false);
        }
        let (lease, waiting) = self.codes_of(campaign, batch, row, true).await?;
        if waiting.is_empty() {
            // It had ended when its owner gave it back, and only `done` is left of it.
            self.end_lease(&campaign.terms.id, &lease).await?;
            return Ok(false);
        }
        counter.push(waiting);
        Ok(true)
    }
}
