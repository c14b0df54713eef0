//! Campaigns with their batches, runs and counts, written by a copy.

use coupon::campaign::MintedRun;
use coupon::ids::CampaignId;
use hot::inventory::{BatchItem, CampaignItem};
use hot::protocol::StateCounts;
use scylla::SerializeRow;
use uuid::Uuid;

use super::LONG_AGO;
use crate::Store;
use crate::campaigns::Row;
use crate::counts::write_sums;
use crate::values::{date, instant, signed};
use cql_session::Result;

impl Store {
    pub(super) async fn put_campaign(&self, it: &CampaignItem) -> Result<()> {
        let (terms, id) = (&it.terms, &it.terms.id);
        for run in it.batches.iter().filter_map(|batch| Some((batch, batch.run?))) {
            self.put_run(id, run.0, run.1).await?;
        }
        let imported = it.batches.iter().filter(|batch| batch.run.is_none());
        let arrived = imported.map(|batch| (&batch.id, signed(batch.count))).collect();
        let sums = StateCounts { all: it.all, cold: it.cold };
        // As those of a process that has ended.
        write_sums(self, id, Uuid::nil(), sums, arrived).await?;
        let here = self.campaign_item(id).await?;
        let same = |here: &CampaignItem| {
            here.terms == *terms
                && here.batches.len() == it.batches.len()
                && here
                    .batches
                    .iter()
                    .map(BatchItem::uncounted)
                    .eq(it.batches.iter().map(BatchItem::uncounted))
        };
        if here.as_ref().is_some_and(same) {
            return Ok(());
        }
        let cql = "SELECT revision FROM campaign WHERE campaign_id = ? LIMIT 1";
        let revision: Option<i64> = self.session.value(cql, (id.as_str(),)).await?;
        let revision = revision.unwrap_or(0) + 1;
        let cql = "INSERT INTO campaign_name (part, campaign_id) VALUES (0, ?)";
        self.session.write(cql, (id.as_str(),)).await?;
        for (number, batch) in (0_i64..).zip(&it.batches) {
            self.put_batch_row(id, batch, number, LONG_AGO + revision).await?;
        }
        let cql = "UPDATE campaign USING TIMESTAMP :long_ago SET revision = ?, made = ?, \
                   name = ?, handout = ?, shared_code = ?, code_prefix = ?, valid_from = ?, \
                   expires_at = ?, time_zone = ?, valid_days = ?, issue_from = ?, \
                   issue_until = ?, per_user_limit = ?, cancel_days = ?, extend_days = ?, \
                   paused = ?, metadata = ?, created_at = ?, created_as = ? \
                   WHERE campaign_id = ?";
        let row = Row::of(terms, &it.created_as, revision, true);
        self.session.write(cql, RowLongAgo { long_ago: LONG_AGO + revision, row }).await?;
        self.known.forget(id);
        Ok(())
    }

    /// The serials of a batch, and how far they have been offered.
    async fn put_run(&self, id: &CampaignId, batch: &BatchItem, run: MintedRun) -> Result<()> {
        let key = run.key.to_string();
        let cql = "INSERT INTO key_in_use (key_id) VALUES (?)";
        self.session.write(cql, (key.as_str(),)).await?;
        let cql = "INSERT INTO minted_run (expiry_day, first, count, key_id, campaign_id, \
                   batch_id) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let (first, count) = (signed(run.first), signed(run.count));
        let (day, batch_id) = (date(run.day), batch.id.as_str());
        let values = (day, first, count, key.as_str(), id.as_str(), batch_id, LONG_AGO);
        self.session.write(cql, values).await?;
        let cql = "UPDATE lease USING TIMESTAMP ? SET cursor = ? \
                   WHERE campaign_id = ? AND batch_id = ?";
        let offered = signed(batch.offered);
        self.session.write(cql, (LONG_AGO + offered, offered, id.as_str(), batch_id)).await
    }

    async fn put_batch_row(
        &self,
        id: &CampaignId,
        batch: &BatchItem,
        number: i64,
        written: i64,
    ) -> Result<()> {
        let cql = "UPDATE campaign USING TIMESTAMP ? SET number = ?, key_id = ?, expiry_day \
                   = ?, first_serial = ?, count = ?, batch_paused = ?, paused_reason = ?, lines = \
                   ?, imported = ?, already_there = ?, rejected = ?, batch_made_at = ? WHERE \
                   campaign_id = ? AND batch_id = ?";
        let run = batch.run;
        let values = (
            written,
            number,
            run.map(|run| run.key.to_string()),
            run.map(|run| date(run.day)),
            run.map(|run| signed(run.first)),
            run.map(|run| signed(run.count)),
            batch.paused,
            batch.paused_reason.as_deref(),
            signed(batch.import.lines),
            signed(batch.import.imported),
            signed(batch.import.already_there),
            signed(batch.import.rejected),
            instant(batch.created_at),
            id.as_str(),
            batch.id.as_str(),
        );
        self.session.write(cql, values).await
    }
}

#[derive(Clone, SerializeRow)]
struct RowLongAgo {
    long_ago: i64,
    #[scylla(flatten)]
    row: Row,
}
