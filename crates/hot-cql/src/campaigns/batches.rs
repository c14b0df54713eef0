//! The batches of a campaign: made for minted codes or an import, paused, read.

use async_trait::async_trait;
use coupon::campaign::{Batch, MintedRun};
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::minted::KeyId;
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::{BatchHere, CampaignHere, TERMS_KNOWN};
use crate::values::{date, instant, parsed, signed};
use crate::{CqlHot, CqlStore};
use cql_session::Result;
use cql_session::campaign_rows::absent;
use hot::audit::{Act, AuditEvent};
use hot::protocol::batch_before;
use hot::{Batches, HotError, MintOrder, Named};

#[async_trait]
impl Batches for CqlHot {
    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        act: &Act,
    ) -> Result<Named<Batch>> {
        self.store.may_write()?;
        self.store.make_batch(campaign, &order.id, Some(&order), act).await
    }

    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>> {
        let here = self.store.made_now(campaign).await?;
        let Some(here) = here else { return Ok(Vec::new()) };
        let after = after.and_then(|id| here.batches.get(&id)).map_or(-1, |batch| batch.number);
        let mut batches = Vec::new();
        for batch in here.in_order().into_iter().filter(|it| it.number > after).take(limit) {
            batches.push(self.store.batch_row(&here, batch).await?);
        }
        Ok(batches)
    }

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>> {
        let found = self.store.batch_now(campaign, id).await?;
        let Some((here, batch)) = found else { return Ok(None) };
        self.store.batch_row(&here, &batch).await.map(Some)
    }

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        act: &Act,
    ) -> Result<Option<Batch>> {
        let store = &self.store;
        store.may_write()?;
        let reason = act.reason.as_ref().map(Reason::as_str);
        let mut attempts = store.attempts("a batch's pause");
        let mut wrote = false;
        loop {
            let found = attempts.looked(store.batch_now(campaign, id).await)?;
            let Some((here, batch)) = found else { return Ok(None) };
            // Not before the first write: the reason may be another one.
            if wrote && batch.paused == paused {
                // Until then another process may use the old terms.
                tokio::time::sleep(TERMS_KNOWN).await;
                store.known.forget(campaign);
                return store.batch_row(&here, &batch).await.map(Some);
            }
            let after = Batch { paused, ..store.batch_row(&here, &batch).await? };
            let events = [AuditEvent::batch_paused(&after)];
            let doing = (batch.paused != paused).then_some((act, &events[..]));
            let (carries, _) = attempts.looked(store.carried(&here, doing).await)?;
            let cql = "UPDATE campaign SET revision = ?, carries = ?, batch_paused = ?, \
                       paused_reason = ? WHERE campaign_id = ? AND batch_id = ? IF revision = ?";
            let (campaign, revision) = (campaign.as_str(), here.revision);
            let values = (revision + 1, carries, paused, reason, campaign, id.as_str(), revision);
            wrote = true;
            attempts.wrote(store.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>> {
        let cql = "SELECT key_id FROM key_in_use";
        let rows: Vec<(String,)> = self.store.session.scan(cql, ()).await?;
        rows.iter().map(|(id,)| parsed("key_id", id)).collect()
    }
}

impl CqlStore {
    /// Adds a batch to a campaign, or finds that it has it.
    pub(super) async fn put_batch(
        &self,
        mut here: CampaignHere,
        id: &BatchId,
        run: Option<MintedRun>,
        now: Millis,
        doing: Option<&Act>,
    ) -> Result<CampaignHere> {
        let events = [AuditEvent::batch_created(&here.terms.id, id, run.map(|run| run.count))];
        let mut attempts = self.attempts("a new batch");
        loop {
            if here.batches.contains_key(id) {
                self.known.forget(&here.terms.id);
                return Ok(here);
            }
            // Its serials may be from before the campaign got a later end: until then they work now.
            if let Some(run) = run.filter(|run| run.day != here.terms.expiry_day()) {
                let entered = self.enter(run.day, &here.terms, None, run.count);
                if !attempts.looked(entered.await)? {
                    return Err(HotError::Unavailable("the day of a new batch has closed".into()));
                }
            }
            let number = here.batches.values().map(|it| it.number + 1).max().unwrap_or(0);
            let doing = doing.map(|act| (act, &events[..]));
            let (carries, _) = attempts.looked(self.carried(&here, doing).await)?;
            let cql = "UPDATE campaign SET revision = ?, carries = ?, number = ?, key_id = ?, \
                       expiry_day = ?, first_serial = ?, count = ?, batch_made_at = ? \
                       WHERE campaign_id = ? AND batch_id = ? IF revision = ?";
            let values = (
                here.revision + 1,
                carries,
                number,
                run.map(|run| run.key.to_string()),
                run.map(|run| date(run.day)),
                run.map(|run| signed(run.first)),
                run.map(|run| signed(run.count)),
                instant(now),
                here.terms.id.as_str(),
                id.as_str(),
                here.revision,
            );
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
            let again = attempts.looked(self.campaign_now(&here.terms.id).await)?;
            here = again.ok_or_else(|| absent("row"))?;
        }
    }

    /// Makes a batch, or finds that there is nothing to make: a minted one by `order`, else one for an
    /// import.
    pub(crate) async fn make_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        order: Option<&MintOrder>,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let here = self.made_now(campaign).await?;
        let Some(here) = here else { return Ok(Named::Refused(Refusal::NotFound)) };
        let found = match here.batches.get(id) {
            Some(batch) => Some(self.batch_row(&here, batch).await?),
            None => None,
        };
        let count = order.map(|order| order.count);
        if let Some(named) = batch_before(found, count, here.batches.len()) {
            return Ok(named);
        }
        // The serials first: a crash leaves a gap, never two batches with one serial.
        let run = match order {
            Some(order) => match self.reserve(&here.terms, order, act.at).await? {
                Ok(run) => Some(run),
                Err(refusal) => return Ok(Named::Refused(refusal)),
            },
            None => None,
        };
        let here = self.put_batch(here, id, run, act.at, Some(act)).await?;
        let batch = here.batches.get(id).ok_or_else(|| absent("batch"))?;
        // Another process may have made another batch of this name meanwhile.
        match batch.run == run {
            true => Ok(Named::Created(self.batch_row(&here, batch).await?)),
            false => Ok(Named::Refused(Refusal::NameTaken)),
        }
    }

    pub(crate) async fn batch_row(&self, here: &CampaignHere, batch: &BatchHere) -> Result<Batch> {
        let arrived = match batch.run {
            Some(_) => 0,
            None => self.counts.of(self, &here.terms.id).await?.arrived_in(&batch.id),
        };
        Ok(batch.as_batch(&here.terms.id, arrived))
    }
}
