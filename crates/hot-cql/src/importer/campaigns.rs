//! Campaigns with their batches, runs and counts, written by a copy.

use coupon::campaign::MintedRun;
use coupon::ids::CampaignId;
use hot::HotError;
use hot::inventory::{BatchItem, CampaignItem};
use hot::protocol::StateCounts;
use uuid::Uuid;

use super::LONG_AGO;
use crate::CqlStore;
use crate::campaigns::{BatchHere, CampaignHere};
use crate::values::{date, instant, signed};
use cql_session::{Cas, Result, StatementProfile};

impl CqlStore {
    /// Each update of the campaign is conditional on its revision, so no value of a pass that was
    /// stopped stays among those of a later one.
    pub(super) async fn put_campaign(&self, it: &CampaignItem) -> Result<()> {
        let (terms, id) = (&it.terms, &it.terms.id);
        for run in it.batches.iter().filter_map(|batch| Some((batch, batch.run()?))) {
            // Before the campaign is shown: by then each of its codes has an owner.
            self.put_run(id, run.0, run.1).await?;
        }
        let imported = it.batches.iter().map(|it| &it.batch).filter(|it| it.run().is_none());
        let arrived = imported.map(|batch| (&batch.id, signed(batch.count))).collect();
        let sums = StateCounts { all: it.all, cold: it.cold };
        // As those of a process that has ended.
        self.session.write_counts(id, Uuid::nil(), sums, arrived).await?;
        let mut here = match self.campaign_now(id).await? {
            Some(here) => here,
            None => {
                let begun = self.begin_campaign(terms, &it.created_as).await?;
                begun.ok_or_else(|| HotError::Damaged(format!("{id} is another campaign here")))?
            }
        };
        if here.terms != *terms {
            let (carries, _) = self.carried(&here, None).await?;
            let profile = StatementProfile::Change;
            let cas = self.change_terms(&here, terms, carries.clone(), profile).await?;
            (here.revision, here.carries) = (next_revision(&here, cas)?, carries);
        }
        for (number, batch) in (0..).zip(&it.batches) {
            let batch = as_here(number, batch);
            if here.batches.get(&batch.id) != Some(&batch) {
                let cas = self.put_batch_row(&here, &batch).await?;
                here.revision = next_revision(&here, cas)?;
            }
        }
        if !here.made {
            self.finish_campaign(here, None).await?;
        }
        self.known.forget(id);
        Ok(())
    }

    /// The serials of a batch, and how far they have been offered.
    async fn put_run(&self, id: &CampaignId, batch: &BatchItem, run: MintedRun) -> Result<()> {
        let key = run.key.to_string();
        // First: a key without this row could be deleted while codes need it.
        let cql = "INSERT INTO key_in_use (key_id) VALUES (?)";
        self.session.write(cql, (key.as_str(),)).await?;
        let cql = "INSERT INTO minted_run (expiry_day, first, count, key_id, campaign_id, \
                   batch_id) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let (first, count) = (signed(run.first), signed(run.count));
        let (day, batch_id) = (date(run.day), batch.batch.id.as_str());
        let values = (day, first, count, key.as_str(), id.as_str(), batch_id, LONG_AGO);
        self.session.write(cql, values).await?;
        let cql = "UPDATE lease USING TIMESTAMP ? SET cursor = ? \
                   WHERE campaign_id = ? AND batch_id = ?";
        let offered = signed(batch.offered);
        self.session.write(cql, (LONG_AGO + offered, offered, id.as_str(), batch_id)).await
    }

    /// The row goes on carrying what it carries.
    async fn put_batch_row(&self, here: &CampaignHere, batch: &BatchHere) -> Result<Cas> {
        let cql = "UPDATE campaign SET revision = ?, number = ?, batch_paused = ?, \
                   paused_reason = ?, key_id = ?, expiry_day = ?, first_serial = ?, count = ?, \
                   lines = ?, imported = ?, already_there = ?, rejected = ?, batch_made_at = ? \
                   WHERE campaign_id = ? AND batch_id = ? IF revision = ?";
        let (run, import) = (batch.run, batch.import);
        let values = (
            here.revision + 1,
            batch.number,
            batch.paused,
            batch.paused_reason.as_deref(),
            run.map(|run| run.key.to_string()),
            run.map(|run| date(run.day)),
            run.map(|run| signed(run.first)),
            run.map(|run| signed(run.count)),
            signed(import.lines),
            signed(import.imported),
            signed(import.already_there),
            signed(import.rejected),
            instant(batch.made_at),
            here.terms.id.as_str(),
            batch.id.as_str(),
            here.revision,
        );
        self.session.change(StatementProfile::Change, cql, values).await
    }
}

/// A batch as it is read from this store after it was copied.
fn as_here(number: i64, BatchItem { batch, paused_reason, .. }: &BatchItem) -> BatchHere {
    BatchHere {
        id: batch.id.clone(),
        number,
        run: batch.run(),
        paused: batch.paused,
        paused_reason: paused_reason.clone(),
        made_at: batch.created_at,
        import: batch.import,
    }
}

/// The revision after an update.
///
/// # Errors
/// Another process writes the campaign, too; or it is not known what became of the update.
fn next_revision(here: &CampaignHere, cas: Cas) -> Result<i64> {
    match cas.known()? {
        true => Ok(here.revision + 1),
        false => {
            let id = &here.terms.id;
            Err(HotError::Unavailable(format!("another process writes campaign {id}, too").into()))
        }
    }
}
