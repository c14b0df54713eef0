//! The batches of a campaign: minted, opened for an import, paused, counted.

use coupon::campaign::{Batch, BatchKind, ImportCounts, MintedRun};
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::rows::absent;
use super::{BatchHere, CampaignHere, TERMS_KNOWN};
use crate::Store;
use crate::audit_events::UpdateName;
use crate::values::{date, instant, signed};
use cql_session::Result;
use hot::audit::{Act, AuditEvent};
use hot::protocol::batch_before;
use hot::{MintOrder, Named};

impl Store {
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

    pub(crate) async fn mint_batch(
        &self,
        campaign: &CampaignId,
        order: &MintOrder,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let here = self.made_now(campaign).await?;
        let Some(here) = here else { return Ok(Named::Refused(Refusal::NotFound)) };
        if let Some(named) = self.before(&here, &order.id, Some(order.count)).await? {
            return Ok(named);
        }
        match self.reserve(&here.terms, order, act.at).await? {
            Err(refusal) => Ok(Named::Refused(refusal)),
            Ok(run) => self.make_batch(here, &order.id, Some(run), act).await,
        }
    }

    pub(crate) async fn open_import_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let here = self.made_now(campaign).await?;
        let Some(here) = here else { return Ok(Named::Refused(Refusal::NotFound)) };
        match self.before(&here, id, None).await? {
            Some(named) => Ok(named),
            None => self.make_batch(here, id, None, act).await,
        }
    }

    /// The answer to a call that makes a batch, if nothing has to be made for it.
    async fn before(
        &self,
        here: &CampaignHere,
        id: &BatchId,
        count: Option<u64>,
    ) -> Result<Option<Named<Batch>>> {
        let found = match here.batches.get(id) {
            Some(batch) => Some(self.batch_row(here, batch).await?),
            None => None,
        };
        Ok(batch_before(found, count, here.batches.len()))
    }

    async fn make_batch(
        &self,
        here: CampaignHere,
        id: &BatchId,
        run: Option<MintedRun>,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let here = self.put_batch(here, id, run, act.at, Some(act)).await?;
        let batch = here.batches.get(id).ok_or_else(|| absent("batch"))?;
        // Another process may have made another batch of this name meanwhile.
        match batch.run == run {
            true => Ok(Named::Created(self.batch_row(&here, batch).await?)),
            false => Ok(Named::Refused(Refusal::NameTaken)),
        }
    }

    pub(crate) async fn batch_row(&self, here: &CampaignHere, batch: &BatchHere) -> Result<Batch> {
        let count = match batch.run {
            Some(run) => run.count,
            None => self.counts.of(self, &here.terms.id).await?.arrived_in(&batch.id),
        };
        Ok(Batch {
            id: batch.id.clone(),
            campaign: here.terms.id.clone(),
            kind: batch.run.map_or(BatchKind::Imported, BatchKind::Minted),
            count,
            paused: batch.paused,
            import: batch.import,
            created_at: batch.made_at,
        })
    }

    pub(crate) async fn pause(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        act: &Act,
    ) -> Result<Option<Batch>> {
        let reason = act.reason.as_ref().map(Reason::as_str);
        let mut attempts = self.attempts("a batch's pause");
        let mut wrote = false;
        loop {
            let found = attempts.looked(self.batch_now(campaign, id).await)?;
            let Some((here, batch)) = found else { return Ok(None) };
            if wrote && batch.paused == paused {
                tokio::time::sleep(TERMS_KNOWN).await;
                self.known.forget(campaign);
                return self.batch_row(&here, &batch).await.map(Some);
            }
            let after = Batch { paused, ..self.batch_row(&here, &batch).await? };
            let events = [AuditEvent::batch_paused(&after)];
            let doing = (batch.paused != paused).then_some((act, &events[..]));
            let (carries, _) = attempts.looked(self.carried(&here, doing).await)?;
            let cql = "UPDATE campaign SET revision = ?, carries = ?, batch_paused = ?, \
                       paused_reason = ? WHERE campaign_id = ? AND batch_id = ? IF revision = ?";
            let (campaign, revision) = (campaign.as_str(), here.revision);
            let values = (revision + 1, carries, paused, reason, campaign, id.as_str(), revision);
            wrote = true;
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    pub(crate) async fn count_import(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        counts: ImportCounts,
        ended: Option<&Act>,
    ) -> Result<Option<Batch>> {
        let events = [AuditEvent::batch_imported(campaign, id, &counts)];
        let doing = ended.map(|act| (act, &events[..]));
        // Each update that was sent: any of them may have been applied, and one of them is enough.
        let mut sent: Vec<UpdateName> = Vec::new();
        let mut attempts = self.attempts("an import's counts");
        loop {
            let found = attempts.looked(self.batch_now(campaign, id).await)?;
            let Some((here, batch)) = found else { return Ok(None) };
            let is_audited = doing.is_some() && self.log.get().is_some();
            let mut is_done = !is_audited && batch.import == counts;
            for name in &sent {
                is_done |= attempts.looked(self.has_made(&here, *name).await)?;
            }
            if is_done {
                return self.batch_row(&here, &batch).await.map(Some);
            }
            let (carries, name) = attempts.looked(self.carried(&here, doing).await)?;
            sent.extend(name);
            let cql = "UPDATE campaign SET revision = ?, carries = ?, lines = ?, imported = ?, \
                       already_there = ?, rejected = ? WHERE campaign_id = ? AND batch_id = ? \
                       IF revision = ?";
            let ImportCounts { lines, imported, already_there, rejected } = counts;
            let counted = [lines, imported, already_there, rejected].map(signed);
            let [lines, imported, there, rejected] = counted;
            let (campaign, batch, revision) = (campaign.as_str(), id.as_str(), here.revision);
            let next = revision + 1;
            let values =
                (next, carries, lines, imported, there, rejected, campaign, batch, revision);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }
}
