//! The trait `HotStore` of the store: each method runs its protocol by the writer or a reader.

mod changing;
mod reports;

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
use hot::activity::Activities;
use hot::audit::{Act, Audit, AuditEvent};
use hot::feed::Feed;
use hot::redemptions::Redemptions;
use hot::tables::Tables;
use hot::settings::{LONG_CODES, TOUCHED_AT};
use hot::{
    Account, Applied, CampaignPatch, CampaignRow, CouponSnapshot, Gauge, HotError, HotStore,
    ImportLine, ImportOutcome, ListQuery, ListedPage, MintOrder, Named, NewCampaign, Patched,
    RejectedLine,
};
use router::{Address, Found};

use crate::checkpointer::SETTINGS_KNOWN;
use crate::cold::Prefetched;
use crate::issuing::handing_out::Plan;
use crate::settings::PROBED;
use crate::stock::Supply;
use crate::txn::Txn;
use crate::writer::{Unwell, free_space};
use crate::{
    Result, SqliteHot, accounts, activity, batches, campaigns, changes, coupons, events, import,
    issuing, list, prefetch, rejected_lines, settings, stock,
};

/// How long a caller that asks whether the store is writable waits for a commit that shows it.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Rejected lines that one transaction writes: about a millisecond, as for other background writes.
const REJECTED_MAX: usize = 500;

/// Rejected lines that one transaction deletes.
const DELETED_MAX: usize = 2_000;

/// Events that one transaction deletes: about a millisecond.
const EVENTS_DELETED_MAX: usize = 2_000;

#[async_trait]
impl HotStore for SqliteHot {
    fn tables(&self) -> Arc<dyn Tables> {
        self.records.clone()
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.options.events.then_some(self as &dyn Feed)
    }

    async fn forget_events(&self, before: Millis) -> Result<usize> {
        let counts = self.options.events;
        let forget = move |txn: &Txn<'_>| {
            // Counts are only kept while there is a feed.
            let up_to = activity::counted(txn)?.max(if counts { 0 } else { i64::MAX });
            events::forget(txn, before, up_to, EVENTS_DELETED_MAX)
        };
        self.background_write(forget).await
    }

    async fn begin_feed_epoch(&self) -> Result<()> {
        self.writer.run(events::begin_epoch).await
    }

    fn activities(&self) -> Option<&dyn Activities> {
        self.options.events.then_some(self as &dyn Activities)
    }

    fn audit(&self) -> Option<&dyn Audit> {
        Some(self)
    }

    fn redemptions(&self) -> Option<&dyn Redemptions> {
        Some(self)
    }

    async fn create_campaign(&self, new: NewCampaign, act: &Act) -> Result<Named<CampaignRow>> {
        self.must_have_room().await?;
        let act = act.clone();
        self.writer.run(move |txn| campaigns::create(txn, &new, &act)).await
    }

    async fn campaign(&self, id: &CampaignId, now: Millis) -> Result<Option<CampaignRow>> {
        self.readers.point(|txn| campaigns::row(txn, id, now)).await
    }

    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>> {
        self.readers.run(move |txn| campaigns::list(txn, after.as_ref(), limit, now)).await
    }

    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        act: &Act,
    ) -> Result<Patched> {
        let (id, act) = (id.clone(), act.clone());
        self.writer.run(move |txn| campaigns::patch(txn, &id, &patch, &act)).await
    }

    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let (campaign, act) = (campaign.clone(), act.clone());
        self.writer.run(move |txn| batches::mint(txn, &campaign, &order, &act)).await
    }

    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let now = act.at;
        let names = (campaign.clone(), batch.clone(), act.clone());
        let open = move |txn: &Txn<'_>| batches::open_import(txn, &names.0, &names.1, &names.2);
        let named = self.writer.run(open).await?;
        // A file may have left ten million lines, too many for one transaction. Lines that another
        // import into the batch keeps from now on stay.
        let mut left = matches!(named, Named::Same(_));
        while left {
            let (campaign, batch) = (campaign.clone(), batch.clone());
            let delete = move |txn: &Txn<'_>| match txn.batch(&campaign, &batch)? {
                Some((_, number)) => rejected_lines::delete_of_batch(txn, number, now, DELETED_MAX),
                None => Ok(0),
            };
            left = self.writer.run(delete).await? > 0;
        }
        Ok(named)
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
    ) -> Result<Vec<ImportOutcome>> {
        self.must_have_room().await?;
        let mut outcomes = vec![ImportOutcome::AlreadyThere; lines.len()];
        let mut left: Arc<Vec<_>> = Arc::new(lines.into_iter().enumerate().collect());
        let mut prefetched = Arc::new(Prefetched::default());
        // A line whose coupon is in cold is imported in a later transaction.
        while !left.is_empty() {
            let (campaign, batch, run) = (campaign.clone(), batch.clone(), run.clone());
            let (lines, here) = (Arc::clone(&left), Arc::clone(&prefetched));
            let imported = self.writer.run(move |txn| {
                let txn = txn.with_prefetched(&here);
                Ok((import::lines(&txn, &campaign, &batch, &lines, &run)?, txn.wanted()))
            });
            let (imported, wanted) = imported.await?;
            let gone = || HotError::Damaged("the batch of an import is gone".into());
            let mut in_cold = Vec::new();
            for ((at, line), outcome) in left.iter().zip(imported.ok_or_else(gone)?) {
                match outcome {
                    Some(outcome) => outcomes[*at] = outcome,
                    None => in_cold.push((*at, line.clone())),
                }
            }
            left = Arc::new(in_cold);
            prefetched = Arc::new(prefetched.and(wanted, &*self.archive).await?);
        }
        Ok(outcomes)
    }

    async fn dry_run_import(
        &self,
        campaign: &CampaignId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        self.look(|txn| import::dry_run(txn, campaign, &lines, &run)).await
    }

    async fn keep_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<()> {
        for some in lines.chunks(REJECTED_MAX) {
            let (campaign, batch, some) = (campaign.clone(), batch.clone(), some.to_vec());
            let keep = move |txn: &Txn<'_>| match txn.batch(&campaign, &batch)? {
                Some((_, number)) => rejected_lines::keep(txn, number, &some, now),
                None => Ok(()),
            };
            self.background_write(keep).await?;
        }
        Ok(())
    }

    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
        ended: Option<&Act>,
    ) -> Result<Option<Batch>> {
        let (campaign, batch, ended) = (campaign.clone(), batch.clone(), ended.cloned());
        let close = move |txn: &Txn<'_>| {
            if let Some((_, number)) = txn.batch(&campaign, &batch)? {
                import::close(txn, number, &counts)?;
                if let Some(act) = &ended {
                    txn.audit(act, &AuditEvent::batch_imported(&campaign, &batch, &counts))?;
                }
            }
            batches::batch(txn, &campaign, &batch)
        };
        self.writer.run(close).await
    }

    async fn rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>> {
        let (campaign, batch) = (campaign.clone(), batch.clone());
        let read = move |txn: &Txn<'_>| match txn.batch(&campaign, &batch)? {
            Some((_, number)) => rejected_lines::page(txn, number, after, limit),
            None => Ok(Vec::new()),
        };
        self.readers.run(read).await
    }

    async fn forget_rejected(&self, before: Millis) -> Result<usize> {
        self.writer.run(move |txn| rejected_lines::delete(txn, before, DELETED_MAX)).await
    }

    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>> {
        let campaign = campaign.clone();
        self.readers.run(move |txn| batches::batches(txn, &campaign, after.as_ref(), limit)).await
    }

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>> {
        self.readers.point(|txn| batches::batch(txn, campaign, id)).await
    }

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        act: &Act,
    ) -> Result<Option<Batch>> {
        let (campaign, id, act) = (campaign.clone(), id.clone(), act.clone());
        self.writer.run(move |txn| batches::pause_batch(txn, &campaign, &id, paused, &act)).await
    }

    async fn announce_long_codes(&self) -> Result<()> {
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

    async fn keys_in_use(&self) -> Result<Vec<KeyId>> {
        self.readers.run(batches::keys_in_use).await
    }

    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>> {
        self.look(|txn| Ok(coupons::locate(txn, address)?.map(|located| located.snapshot()))).await
    }

    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>> {
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

    async fn apply(&self, found: &Found, change: Change) -> Result<Applied> {
        match found.clone() {
            Found::Coupon(address) => self.change_coupon(address, change).await,
            Found::Shared { campaign } => self.change_shared(campaign, change).await,
        }
    }

    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied> {
        match found {
            Found::Coupon(address) => {
                self.look(|txn| Ok(changes::decide(txn, address, &change)?.applied)).await
            }
            Found::Shared { campaign } => self.dry_run_shared(campaign, &change).await,
        }
    }

    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied> {
        // A read transaction answers replays and refusals: the writer is for what needs a write.
        let keys = self.keys.current();
        let read =
            |txn: &Txn<'_>| issuing::plan(txn, &keys, campaign, &change).map(Plan::without_writing);
        let (applied, prefetched) = self.look_with(read).await?;
        if let Some(applied) = applied {
            return Ok(applied);
        }
        self.must_have_room().await?;
        let (campaign, keys) = (campaign.clone(), Arc::clone(&keys));
        let issue = move |txn: &Txn<'_>| {
            issuing::issue(txn, &Supply { keys: &keys, walked: None }, &campaign, &change)
        };
        self.hand_out(prefetched, issue).await
    }

    async fn list(&self, query: ListQuery) -> Result<ListedPage> {
        self.readers.run(move |txn| list::page(txn, &query)).await
    }

    async fn create_account(&self, account: Account, now: Millis) -> Result<bool> {
        self.must_have_room().await?;
        self.writer.run(move |txn| accounts::create(txn, &account, now)).await
    }

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>> {
        let login_id = login_id.clone();
        self.readers.run(move |txn| accounts::of_login(txn, &login_id)).await
    }

    async fn has_account(&self, user_id: &UserId) -> Result<bool> {
        self.readers.point(|txn| accounts::exists(txn, user_id)).await
    }

    async fn remove_account(&self, user_id: &UserId) -> Result<bool> {
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

    async fn touch(&self, now: Millis) -> Result<()> {
        self.writer.run(move |txn| settings::set(txn, TOUCHED_AT, &now.0.to_string())).await
    }

    fn gauge(&self) -> Gauge {
        let statements = self.statements.load(Ordering::Relaxed);
        let mut gauge = Gauge { reads: self.readers.count(), statements, ..Gauge::default() };
        self.writer.show(&mut gauge);
        gauge
    }
}
