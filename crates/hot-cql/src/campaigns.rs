//! Campaigns and batches: creates them in steps that any process may finish, and reads the terms
//! that a change needs.
//!
//! A process caches terms for [`TERMS_KNOWN`]. A call that changes them waits for this time before
//! it answers: then every process has read them again.

mod batches;
mod making;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::{Campaign, CampaignCounts, MintedRun};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use parking_lot::RwLock;
use tokio::time::Instant;

use super::CqlStore;
use super::values::parsed;
pub(super) use cql_session::campaign_rows::BatchHere;
use cql_session::campaign_rows::{BatchRow, StoredCampaign};
use cql_session::{Result, StatementProfile};
use hot::{CampaignRow, HotError, protocol};

/// How long terms are used after their read began.
const TERMS_KNOWN: Duration = Duration::from_secs(1);

/// The names of all campaigns are in one CQL partition: there are thousands, not millions.
const NAMES: i32 = 0;

const REMEMBERED_MAX: usize = 10_000;

#[derive(Clone, Debug)]
pub(super) struct CampaignHere {
    pub(super) terms: Arc<Campaign>,
    pub(super) batches: Arc<BTreeMap<BatchId, BatchHere>>,
    pub(super) created_as: Arc<str>,
    pub(super) revision: i64,
    pub(super) made: bool,
    /// What its last update carries: see [`crate::audit_events`].
    pub(super) carries: Option<Arc<str>>,
    pub(super) sold_out: bool,
}

impl CampaignHere {
    pub(super) fn in_order(&self) -> Vec<&BatchHere> {
        let mut batches: Vec<&BatchHere> = self.batches.values().collect();
        batches.sort_by_key(|batch| batch.number);
        batches
    }

    fn with_batch(self, id: &BatchId) -> Option<(CampaignHere, BatchHere)> {
        let batch = self.batches.get(id)?.clone();
        Some((self, batch))
    }

    pub(super) fn untouched(&self, code: Code, batch: &BatchHere) -> Coupon {
        protocol::untouched(&self.terms, batch.id.clone(), batch.made_at, code)
    }
}

#[derive(Default)]
pub(super) struct CampaignCache(RwLock<HashMap<CampaignId, (Instant, CampaignHere)>>);

impl CampaignCache {
    fn get(&self, id: &CampaignId) -> Option<CampaignHere> {
        let known = self.0.read();
        let (since, here) = known.get(id)?;
        (since.elapsed() < TERMS_KNOWN).then(|| here.clone())
    }

    fn keep(&self, since: Instant, here: &CampaignHere) {
        let mut known = self.0.write();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(here.terms.id.clone(), (since, here.clone()));
    }

    pub(super) fn forget(&self, id: &CampaignId) {
        self.0.write().remove(id);
    }
}

impl CqlStore {
    /// A campaign as it is now, also one that is not finished.
    pub(super) async fn campaign_now(&self, id: &CampaignId) -> Result<Option<CampaignHere>> {
        self.campaign_by(StatementProfile::Read, id).await
    }

    pub(super) async fn campaign_by(
        &self,
        profile: StatementProfile,
        id: &CampaignId,
    ) -> Result<Option<CampaignHere>> {
        // Before the read: what is read may be out of date from the moment at which it began.
        let since = Instant::now();
        let cql = "SELECT campaign_id, revision, made, name, handout, shared_code, code_prefix, \
                   valid_from, expires_at, time_zone, valid_days, issue_from, issue_until, \
                   per_user_limit, cancel_days, extend_days, paused, metadata, worth, created_at, \
                   created_as, carries, sold_out, earlier_ends FROM campaign WHERE campaign_id = ? LIMIT 1";
        let row: Option<StoredCampaign> =
            self.session.row_with(profile, cql, (id.as_str(),)).await?;
        let Some(row) = row.filter(|row| row.revision.is_some()) else { return Ok(None) };
        let cql = "SELECT batch_id, number, key_id, expiry_day, first_serial, count, batch_paused, \
                   paused_reason, lines, imported, already_there, rejected, batch_made_at FROM \
                   campaign WHERE campaign_id = ?";
        let mut batches = BTreeMap::new();
        for batch in self.session.scan::<BatchRow>(cql, (id.as_str(),)).await? {
            if let Some(batch) = batch.batch()? {
                batches.insert(batch.id.clone(), batch);
            }
        }
        let here = CampaignHere {
            terms: Arc::new(row.terms()?),
            batches: Arc::new(batches),
            created_as: row.created_as.as_deref().unwrap_or_default().into(),
            revision: row.revision.unwrap_or(0),
            made: row.made == Some(true),
            carries: row.carries.as_deref().map(Into::into),
            sold_out: row.sold_out == Some(true),
        };
        if here.made {
            self.known.keep(since, &here);
        }
        Ok(Some(here))
    }

    /// `None` also if it is not finished.
    pub(super) async fn made_now(&self, id: &CampaignId) -> Result<Option<CampaignHere>> {
        Ok(self.campaign_now(id).await?.filter(|here| here.made))
    }

    /// The terms of a campaign, at most [`TERMS_KNOWN`] old.
    pub(super) async fn terms(&self, id: &CampaignId) -> Result<Option<CampaignHere>> {
        if let Some(here) = self.known.get(id) {
            return Ok(Some(here));
        }
        // One task reads for all that ask at this moment.
        let _lock = self.write_locks.lock(("terms", id)).await?;
        if let Some(here) = self.known.get(id) {
            return Ok(Some(here));
        }
        // With the terms, so that a call that gives a coupon does not wait for it.
        let (here, ()) = tokio::join!(self.made_now(id), self.session.renew_erasing(&self.erasing));
        here
    }

    /// The same with a batch that may have been made a moment ago.
    pub(super) async fn batch_of(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
    ) -> Result<Option<(CampaignHere, BatchHere)>> {
        let Some(here) = self.terms(campaign).await? else { return Ok(None) };
        match here.with_batch(batch) {
            None => self.batch_now(campaign, batch).await,
            found => Ok(found),
        }
    }

    pub(super) async fn batch_now(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
    ) -> Result<Option<(CampaignHere, BatchHere)>> {
        Ok(self.made_now(campaign).await?.and_then(|here| here.with_batch(batch)))
    }

    /// Fails where this process does not have the code key of a batch yet: then it does not know
    /// the batch's coupons without a row, and so neither what a user has nor what is left.
    pub(super) fn check_keys_of(&self, campaign: &CampaignHere) -> Result<()> {
        let keys = self.keys.current();
        for batch in campaign.batches.values() {
            if let Some(run) = &batch.run
                && !keys.iter().any(|key| key.id() == run.key)
            {
                return Err(key_missing(batch, run));
            }
        }
        Ok(())
    }

    pub(super) async fn campaign_row(
        &self,
        here: &CampaignHere,
        now: Millis,
    ) -> Result<CampaignRow> {
        let counted = self.counts.of(self, &here.terms.id).await?;
        let minted = here.batches.values().filter_map(|batch| batch.run).map(|run| run.count);
        let stock = minted.sum::<u64>() + counted.arrived();
        let counts = CampaignCounts { stock, ..counted.counts() };
        let counted_at = counted.counted_at(now);
        let (campaign, created_as) = (Arc::clone(&here.terms), here.created_as.to_string());
        Ok(CampaignRow { campaign, counts, counted_at, spent: 0, created_as })
    }

    pub(super) async fn campaign_names(
        &self,
        after: Option<&CampaignId>,
        limit: usize,
    ) -> Result<Vec<CampaignId>> {
        let cql = "SELECT campaign_id FROM campaign_name WHERE part = ? AND campaign_id > ? \
                   LIMIT ?";
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (NAMES, after.map_or("", CampaignId::as_str), limit);
        let names: Vec<(String,)> = self.session.rows(StatementProfile::Read, cql, values).await?;
        names.iter().map(|(name,)| parsed("campaign_id", name)).collect()
    }
}

/// Another process minted the batch with a key that this one has not read yet; it will in a moment.
pub(super) fn key_missing(batch: &BatchHere, run: &MintedRun) -> HotError {
    let why = format!("the code key {} of batch {} is not here yet", run.key, batch.id);
    HotError::Unavailable(why.into())
}
