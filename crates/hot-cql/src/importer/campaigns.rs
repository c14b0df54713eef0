//! Campaigns with their batches, runs and counts, written by a copy.

use coupon::campaign::MintedRun;
use coupon::ids::CampaignId;
use hot::inventory::{BatchItem, CampaignItem};
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp};
use uuid::Uuid;

use super::LONG_AGO;
use crate::Store;
use crate::campaigns::TermsColumns;
use crate::session::{Result, StatementProfile};
use crate::values::{date, instant, signed};

impl Store {
    pub(super) async fn put_campaign(&self, it: &CampaignItem) -> Result<()> {
        let (terms, id) = (&it.terms, &it.terms.id);
        for run in it.batches.iter().filter_map(|batch| Some((batch, batch.run?))) {
            self.put_run(id, run.0, run.1).await?;
        }
        self.put_counts(it).await?;
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
        let row: Option<(Option<i64>,)> =
            self.session.row(StatementProfile::Read, cql, (id.as_str(),)).await?;
        let revision = row.and_then(|(revision,)| revision).unwrap_or(0) + 1;
        let cql = "INSERT INTO campaign_name (part, campaign_id) VALUES (0, ?)";
        self.session.write(cql, (id.as_str(),)).await?;
        for (number, batch) in (0_i64..).zip(&it.batches) {
            self.put_batch_row(id, batch, number, LONG_AGO + revision).await?;
        }
        let cql = "UPDATE campaign USING TIMESTAMP :long_ago SET revision = ?, made = true, \
                   name = ?, handout = ?, shared_code = ?, code_prefix = ?, valid_from = ?, \
                   expires_at = ?, time_zone = ?, valid_days = ?, issue_from = ?, \
                   issue_until = ?, per_user_limit = ?, cancel_days = ?, extend_days = ?, \
                   paused = ?, metadata = ?, created_at = ?, created_as = ? \
                   WHERE campaign_id = ?";
        let terms = TermsColumns::of(terms, &it.created_as);
        let values = CampaignValues { long_ago: LONG_AGO + revision, revision, terms };
        self.session.write(cql, values).await?;
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

    /// Writes the counts as those of a process that has ended.
    async fn put_counts(&self, it: &CampaignItem) -> Result<()> {
        let cql = "INSERT INTO campaign_counts (campaign_id, process, batch_id, issued, redeemed, \
                   void, cold_issued, cold_redeemed, cold_void) VALUES (?, ?, '', ?, ?, ?, ?, ?, \
                   ?)";
        let CampaignItem { all, cold, .. } = it;
        let (id, nobody) = (it.terms.id.as_str(), Uuid::nil());
        let values = (id, nobody, all[0], all[1], all[2], cold[0], cold[1], cold[2]);
        self.session.write(cql, values).await?;
        let cql = "INSERT INTO campaign_counts (campaign_id, process, batch_id, arrived) VALUES \
                   (?, ?, ?, ?)";
        for batch in it.batches.iter().filter(|batch| batch.run.is_none()) {
            let values = (id, nobody, batch.id.as_str(), signed(batch.count));
            self.session.write(cql, values).await?;
        }
        Ok(())
    }

    async fn put_batch_row(
        &self,
        id: &CampaignId,
        batch: &BatchItem,
        number: i64,
        written: i64,
    ) -> Result<()> {
        let cql = "UPDATE campaign USING TIMESTAMP :written SET number = ?, key_id = ?, expiry_day \
                   = ?, first_serial = ?, count = ?, batch_paused = ?, paused_reason = ?, lines = \
                   ?, imported = ?, already_there = ?, rejected = ?, batch_made_at = ? WHERE \
                   campaign_id = ? AND batch_id = ?";
        let run = batch.run;
        let values = BatchValues {
            written,
            number,
            key_id: run.map(|run| run.key.to_string()),
            expiry_day: run.map(|run| date(run.day)),
            first_serial: run.map(|run| signed(run.first)),
            count: run.map(|run| signed(run.count)),
            batch_paused: batch.paused,
            paused_reason: batch.paused_reason.as_deref(),
            lines: signed(batch.import.lines),
            imported: signed(batch.import.imported),
            already_there: signed(batch.import.already_there),
            rejected: signed(batch.import.rejected),
            batch_made_at: instant(batch.created_at),
            campaign_id: id.as_str(),
            batch_id: batch.id.as_str(),
        };
        self.session.write(cql, values).await
    }
}

#[derive(Clone, SerializeRow)]
struct CampaignValues<'a> {
    long_ago: i64,
    revision: i64,
    #[scylla(flatten)]
    terms: TermsColumns<'a>,
}

#[derive(Clone, SerializeRow)]
struct BatchValues<'a> {
    written: i64,
    number: i64,
    key_id: Option<String>,
    expiry_day: Option<CqlDate>,
    first_serial: Option<i64>,
    count: Option<i64>,
    batch_paused: bool,
    paused_reason: Option<&'a str>,
    lines: i64,
    imported: i64,
    already_there: i64,
    rejected: i64,
    batch_made_at: CqlTimestamp,
    campaign_id: &'a str,
    batch_id: &'a str,
}
