//! The trait `HotStore` of the store: each method runs its protocol by the writer or a reader.

mod importing;
mod issuing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use coupon::apply::Change;
use coupon::campaign::{Batch, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::imported::ImportRun;
use coupon::minted::KeyId;
use coupon::time::Millis;
use hot::settings::{LONG_CODES, TOUCHED_AT};
use hot::{
    Account, Applied, CampaignPatch, CampaignRow, CouponSnapshot, Gauge, HotError, HotStore,
    ImportLine, ImportOutcome, ListQuery, ListedPage, MintOrder, Named, NewCampaign, Patched,
    RejectedLine,
};
use router::{Address, Found};

use crate::checkpointer::SETTINGS_KNOWN;
use crate::cold::Prefetched;
use crate::settings::PROBED;
use crate::txn::Txn;
use crate::writer::{Unwell, free_space};
use crate::{
    SqliteHot, accounts, batches, campaigns, changes, coupons, import, list, prefetch, settings,
    stock,
};

/// How long a caller that asks whether the store is writable waits for a commit that shows it.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

#[async_trait]
impl HotStore for SqliteHot {
    async fn create_campaign(&self, new: NewCampaign) -> Result<Named<CampaignRow>, HotError> {
        self.writer.run(move |txn| campaigns::create(txn, &new)).await
    }

    async fn campaign(
        &self,
        id: &CampaignId,
        now: Millis,
    ) -> Result<Option<CampaignRow>, HotError> {
        self.readers.point(|txn| campaigns::row(txn, id, now)).await
    }

    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>, HotError> {
        self.readers.run(move |txn| campaigns::list(txn, after.as_ref(), limit, now)).await
    }

    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        now: Millis,
    ) -> Result<Patched, HotError> {
        let id = id.clone();
        self.writer.run(move |txn| campaigns::patch(txn, &id, &patch, now)).await
    }

    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        now: Millis,
    ) -> Result<Named<Batch>, HotError> {
        let campaign = campaign.clone();
        self.writer.run(move |txn| batches::mint(txn, &campaign, &order, now)).await
    }

    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        now: Millis,
    ) -> Result<Named<Batch>, HotError> {
        self.open_batch(campaign, batch, now).await
    }

    fn import_lines_max(&self) -> usize {
        import::LINES_MAX
    }

    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>, HotError> {
        self.import_lines(campaign, batch, lines, run).await
    }

    async fn keep_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<(), HotError> {
        self.keep_lines(campaign, batch, lines, now).await
    }

    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
    ) -> Result<Option<Batch>, HotError> {
        self.close_batch(campaign, batch, counts).await
    }

    async fn rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>, HotError> {
        self.lines_after(campaign, batch, after, limit).await
    }

    async fn forget_rejected(&self, before: Millis) -> Result<usize, HotError> {
        self.delete_lines(before).await
    }

    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>, HotError> {
        let campaign = campaign.clone();
        self.readers.run(move |txn| batches::batches(txn, &campaign, after.as_ref(), limit)).await
    }

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>, HotError> {
        self.readers.point(|txn| batches::batch(txn, campaign, id)).await
    }

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        reason: Option<String>,
    ) -> Result<Option<Batch>, HotError> {
        let (campaign, id) = (campaign.clone(), id.clone());
        self.writer
            .run(move |txn| batches::pause_batch(txn, &campaign, &id, paused, reason.as_deref()))
            .await
    }

    async fn announce_long_codes(&self) -> Result<(), HotError> {
        let announce = || async {
            self.writer.run(|txn| settings::set(txn, LONG_CODES, "yes")).await?;
            // Until then another process may refuse such a code without a read. This waits also if
            // the setting was there: the process that wrote it may still be waiting.
            tokio::time::sleep(SETTINGS_KNOWN).await;
            self.checkpointer.long_codes.store(true, Ordering::Relaxed);
            Ok(())
        };
        self.announced.get_or_try_init(announce).await.copied()
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>, HotError> {
        self.readers.run(batches::keys_in_use).await
    }

    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>, HotError> {
        self.look(|txn| Ok(coupons::locate(txn, address)?.map(|located| located.snapshot()))).await
    }

    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>, HotError> {
        let codes = Arc::new(codes);
        let read = |prefetched: Arc<Prefetched>| {
            let codes = Arc::clone(&codes);
            let touched = move |txn: &Txn<'_>| {
                let touched = codes.iter().map(|code| stock::was_touched(txn, run.day, code));
                prefetch::all(touched)
            };
            self.readers.run(move |txn| prefetch::attempt(txn, &prefetched, touched))
        };
        let (touched, _) = self.with_prefetch(Arc::default(), read).await?;
        Ok(touched.into_iter().map(|touched| !touched).collect())
    }

    async fn apply(&self, found: &Found, change: Change) -> Result<Applied, HotError> {
        match found.clone() {
            Found::Coupon(address) => self.change_coupon(address, change).await,
            Found::Shared { campaign } => self.change_shared(campaign, change).await,
        }
    }

    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied, HotError> {
        match found {
            Found::Coupon(address) => {
                self.look(|txn| Ok(changes::decide(txn, address, &change)?.applied)).await
            }
            Found::Shared { campaign } => self.dry_run_shared(campaign, &change).await,
        }
    }

    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied, HotError> {
        self.issue_next(campaign, change).await
    }

    async fn list(&self, query: ListQuery) -> Result<ListedPage, HotError> {
        self.readers.run(move |txn| list::page(txn, &query)).await
    }

    async fn create_account(&self, account: Account, now: Millis) -> Result<bool, HotError> {
        self.writer.run(move |txn| accounts::create(txn, &account, now)).await
    }

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>, HotError> {
        let login_id = login_id.clone();
        self.readers.run(move |txn| accounts::of_login(txn, &login_id)).await
    }

    async fn has_account(&self, user_id: &UserId) -> Result<bool, HotError> {
        self.readers.point(|txn| accounts::exists(txn, user_id)).await
    }

    async fn remove_account(&self, user_id: &UserId) -> Result<bool, HotError> {
        let user_id = user_id.clone();
        self.writer.run(move |txn| accounts::remove(txn, &user_id)).await
    }

    async fn writable(&self) -> Result<(), String> {
        free_space(&self.folder, self.options.free_min_bytes)?;
        match self.writer.well() {
            Ok(()) => Ok(()),
            Err(Unwell::Stuck(why)) => Err(why),
            // While this says no, no caller writes. So it must try a write by itself.
            Err(Unwell::Failing(why)) if self.writer.may_probe() => {
                let probe = self.writer.run(|txn| settings::set(txn, PROBED, "yes"));
                match tokio::time::timeout(PROBE_LIMIT, probe).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(why),
                }
            }
            Err(Unwell::Failing(why)) => Err(why),
        }
    }

    async fn touch(&self, now: Millis) -> Result<(), HotError> {
        self.writer.run(move |txn| settings::set(txn, TOUCHED_AT, &now.0.to_string())).await
    }

    fn gauge(&self) -> Gauge {
        let (writes, commits) = self.writer.counts();
        let (reads, waiting) = (self.readers.count(), self.writer.waiting());
        let statements = self.statements.load(Ordering::Relaxed);
        Gauge { reads, writes, commits, waiting, statements, ..Gauge::default() }
    }
}
