//! [`HotStore`] and [`Directory`] for [`CqlHot`]: each call is one protocol of the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use coupon::apply::Change;
use coupon::campaign::{Batch, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::imported::ImportRun;
use coupon::minted::KeyId;
use coupon::time::{Day, Millis};
use hot::activity::Activities;
use hot::audit::{Act, Audit};
use hot::feed::Feed;
use hot::records::RecordSource;
use hot::redemptions::Redemptions;
use hot::tables::Tables;
use hot::settings::TOUCHED_AT;
use hot::{
    Account, Applied, CampaignPatch, CampaignRow, CouponSnapshot, Gauge, HotError, HotStore,
    ImportLine, ImportOutcome, ListQuery, ListedPage, MintOrder, Named, NewCampaign, Patched,
    RejectedLine,
};
use router::{Address, Directory, Entry, Found, Owner};

use crate::CqlHot;
use crate::stock;
use crate::values::parsed;
use cql_session::{Resolutions, Result, StatementProfile};

#[async_trait]
impl Directory for CqlHot {
    type Error = HotError;

    async fn entry(&self, code: &Code) -> Result<Option<Entry>> {
        self.store.directory_entry(code).await
    }

    async fn run_of(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> Result<Option<(Owner, MintedRun)>> {
        self.store.run_with(key, day, serial).await
    }

    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>> {
        self.store.bits(day).await
    }

    async fn has_long_codes(&self) -> Result<bool> {
        self.store.long_codes().await
    }
}

impl CqlHot {
    fn count_unknown<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(HotError::Unknown(_)) = &result {
            Resolutions::count(&self.store.resolved.unknown);
        }
        result
    }
}

#[async_trait]
impl HotStore for CqlHot {
    fn tables(&self) -> Arc<dyn Tables> {
        self.tables.clone()
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.store.feed()
    }

    fn audit(&self) -> Option<&dyn Audit> {
        self.records.as_deref().map(|records| records as &dyn Audit)
    }

    fn activities(&self) -> Option<&dyn Activities> {
        let records = self.records.as_deref().filter(|_| self.store.feed.is_some());
        records.map(|records| records as &dyn Activities)
    }

    fn redemptions(&self) -> Option<&dyn Redemptions> {
        let records = self.records.as_deref().filter(|_| self.store.feed.is_some());
        records.map(|records| records as &dyn Redemptions)
    }

    async fn begin_feed_epoch(&self) -> Result<()> {
        match &self.store.feed {
            Some(feed) => self.store.begin_epoch(feed).await,
            None => Ok(()),
        }
    }

    async fn create_campaign(&self, new: NewCampaign, act: &Act) -> Result<Named<CampaignRow>> {
        self.store.clock_is_right()?;
        self.store.make_campaign(&new, act).await
    }

    async fn campaign(&self, id: &CampaignId, now: Millis) -> Result<Option<CampaignRow>> {
        match self.store.made_now(id).await? {
            Some(here) => self.store.campaign_row(&here, now).await.map(Some),
            None => Ok(None),
        }
    }

    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>> {
        let (mut after, mut rows) = (after, Vec::new());
        while rows.len() < limit {
            let names = self.store.campaign_names(after.as_ref(), limit - rows.len()).await?;
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            for name in &names {
                // A name without a campaign: it was never finished.
                rows.extend(self.campaign(name, now).await?);
            }
        }
        Ok(rows)
    }

    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        act: &Act,
    ) -> Result<Patched> {
        self.store.clock_is_right()?;
        self.store.patch(id, &patch, act).await
    }

    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        act: &Act,
    ) -> Result<Named<Batch>> {
        self.store.clock_is_right()?;
        self.store.mint_batch(campaign, &order, act).await
    }

    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        act: &Act,
    ) -> Result<Named<Batch>> {
        self.store.clock_is_right()?;
        let named = self.store.open_import_batch(campaign, batch, act).await?;
        if matches!(named, Named::Same(_)) {
            // Those of earlier runs.
            let cql = "DELETE FROM rejected_line WHERE campaign_id = ? AND batch_id = ?";
            self.store.session.write(cql, (campaign.as_str(), batch.as_str())).await?;
        }
        Ok(named)
    }

    fn import_lines_max(&self) -> usize {
        stock::CHUNK_MAX
    }

    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        self.store.clock_is_right()?;
        self.store.import_lines(campaign, batch, &lines, &run).await
    }

    async fn dry_run_import(
        &self,
        campaign: &CampaignId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        self.store.dry_run_lines(campaign, &lines, &run).await
    }

    async fn keep_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<()> {
        match self.store.batch_of(campaign, batch).await? {
            Some(_) => self.store.session.put_rejected(campaign, batch, &lines, now).await,
            None => Ok(()),
        }
    }

    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
        ended: Option<&Act>,
    ) -> Result<Option<Batch>> {
        self.store.count_import(campaign, batch, counts, ended).await
    }

    async fn rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>> {
        let lines = self.store.session.rejected_behind(campaign, batch, after, limit).await?;
        Ok(lines.into_iter().map(|(line, _)| line).collect())
    }

    async fn forget_rejected(&self, before: Millis) -> Result<usize> {
        self.store.session.forget_rejected_before(before).await
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
        match self.store.batch_now(campaign, id).await? {
            Some((here, batch)) => self.store.batch_row(&here, &batch).await.map(Some),
            None => Ok(None),
        }
    }

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        act: &Act,
    ) -> Result<Option<Batch>> {
        self.store.clock_is_right()?;
        self.store.pause(campaign, id, paused, act).await
    }

    async fn announce_long_codes(&self) -> Result<()> {
        self.store.announced.get_or_try_init(|| self.store.announce_long()).await.copied()
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>> {
        let cql = "SELECT key_id FROM key_in_use";
        let rows: Vec<(String,)> = self.store.session.scan(cql, ()).await?;
        rows.iter().map(|(id,)| parsed("key_id", id)).collect()
    }

    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>> {
        Ok(self.store.locate(address).await?.map(|located| located.snapshot()))
    }

    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>> {
        self.store.untouched_ones(run, codes).await
    }

    async fn apply(&self, found: &Found, change: Change) -> Result<Applied> {
        self.store.clock_is_right()?;
        self.count_unknown(match found {
            Found::Coupon(address) => self.store.apply_at(address, &change).await,
            Found::Shared { campaign } => self.store.apply_shared(campaign, &change, true).await,
        })
    }

    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied> {
        match found {
            Found::Coupon(address) => self.store.dry_run_at(address, &change).await,
            Found::Shared { campaign } => self.store.apply_shared(campaign, &change, false).await,
        }
    }

    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied> {
        self.store.clock_is_right()?;
        self.count_unknown(self.store.issue_of_campaign(campaign, &change).await)
    }

    async fn list(&self, query: ListQuery) -> Result<ListedPage> {
        self.store.list_page(&query).await
    }

    async fn create_account(&self, account: Account, now: Millis) -> Result<bool> {
        self.store.session.make_account(&account, now, self.store.attempts("a new account")).await
    }

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>> {
        self.store.session.account(login_id).await
    }

    async fn has_account(&self, user_id: &UserId) -> Result<bool> {
        Ok(self.store.session.account_of(user_id).await?.is_some())
    }

    async fn remove_account(&self, user_id: &UserId) -> Result<bool> {
        self.store.session.unmake_account(user_id, self.store.attempts("an account's end")).await
    }

    async fn writable(&self) -> std::result::Result<(), String> {
        self.store.clock_is_right().map_err(|error| error.to_string())?;
        // A read at a quorum: it answers, or it does not.
        let plan = self.store.plan(StatementProfile::Read, Day(0)).await;
        plan.map(drop).map_err(|error| error.to_string())
    }

    async fn touch(&self, now: Millis) -> Result<()> {
        // One small conditional update, whose time a caller may measure.
        let (store, touched) = (&self.store, |_| Some(now.0.unsigned_abs()));
        store.session.change_number(store.attempts("a setting"), TOUCHED_AT, touched).await
    }

    fn gauge(&self) -> Gauge {
        let (counts, resolved) = (&self.store.session.counts, &self.store.resolved);
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let reads = of(&counts.reads) + of(&counts.serial_reads);
        let writes = of(&counts.writes) + of(&counts.changes);
        Gauge {
            reads,
            statements: reads + writes,
            writes,
            commits: of(&counts.changes),
            resolved_applied: of(&resolved.applied),
            resolved_refused: of(&resolved.refused),
            left_unknown: of(&resolved.unknown),
            resent: of(&counts.again),
            // There is no queue before a cluster, and it says nothing of its disks.
            ..Gauge::default()
        }
    }
}
