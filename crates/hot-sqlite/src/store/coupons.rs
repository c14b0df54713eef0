//! Calls about coupons, in as many transactions as they take.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::apply::Change;
use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::ids::{CampaignId, OrderRef};
use coupon::minted::CodeKey;
use hot::{Applied, CouponSnapshot, Coupons, HotError, ListQuery, ListedPage};
use router::{Address, Found};

use crate::cold::Prefetched;
use crate::issuing::StockRequest;
use crate::issuing::handing_out::{self, HandOutStep};
use crate::stock::{StockSupply, WalkedBatches};
use crate::txn::Txn;
use crate::{Result, SqliteHot, changes, coupons, list, prefetch, stock};

#[async_trait]
impl Coupons for SqliteHot {
    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>> {
        self.look(|txn| Ok(coupons::locate(txn, address)?.map(|located| located.snapshot()))).await
    }

    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>> {
        let codes = Arc::new(codes);
        let read = |prefetched: Arc<Prefetched>| {
            let codes = Arc::clone(&codes);
            let touched = move |txn: &Txn<'_>| {
                prefetch::all(codes.iter().map(|code| {
                    let Some(number) = txn.minted_number(code)? else { return Ok(false) };
                    // A sealed partition may be empty, so cold is asked.
                    Ok(stock::is_touched(txn, run.day, code, number)?
                        || txn.is_sealed(run.day)?
                            && txn.in_cold((run.day, code.clone()))?.is_some())
                }))
            };
            self.readers.run(move |txn| prefetch::attempt(txn, &prefetched, touched))
        };
        let (touched, _) = self.with_prefetch(Arc::default(), read).await?;
        Ok(touched.into_iter().map(|touched| !touched).collect())
    }

    async fn apply(&self, found: &Found, change: Change) -> Result<Applied> {
        match found.clone() {
            Found::Coupon(address) => self.change_coupon(address, change).await,
            Found::Shared { campaign } => {
                self.give(StockRequest { campaign, change, is_shared: true }).await
            }
        }
    }

    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied> {
        match found {
            Found::Coupon(address) => {
                self.look(|txn| Ok(changes::decide(txn, address, &change)?.applied)).await
            }
            Found::Shared { campaign } => {
                let campaign = campaign.clone();
                self.dry_run_shared(StockRequest { campaign, change, is_shared: true }).await
            }
        }
    }

    async fn apply_all(
        &self,
        _order: &OrderRef,
        changes: Vec<(Found, Change)>,
    ) -> Result<Vec<Applied>> {
        self.together(changes, true).await
    }

    /// Takes all of it back, so that each coupon is decided behind those before it.
    async fn dry_run_all(&self, changes: Vec<(Found, Change)>) -> Result<Vec<Applied>> {
        self.together(changes, false).await
    }

    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied> {
        self.give(StockRequest { campaign: campaign.clone(), change, is_shared: false }).await
    }

    async fn list(&self, query: ListQuery) -> Result<ListedPage> {
        self.readers.run(move |txn| list::page(txn, &query)).await
    }
}

impl SqliteHot {
    async fn change_coupon(&self, address: Address, change: Change) -> Result<Applied> {
        if self.readers.wait_for_the_disk() {
            // Callers read their pages in parallel here. The writer would read one page after the
            // other while all other jobs wait. It then finds them in memory, and decides again.
            let read = |txn: &Txn<'_>| changes::decide(txn, &address, &change).map(drop);
            let _ = self.readers.point(read).await;
        }
        self.write_with(Arc::default(), move |txn| {
            let decision = changes::decide(txn, &address, &change)?;
            changes::write_decision(txn, &decision)?;
            Ok(decision.applied)
        })
        .await
    }

    /// Answers a request for the stock, by a read if it is likely to need no write.
    async fn give(&self, request: StockRequest) -> Result<Applied> {
        let (request, keys) = (Arc::new(request), self.keys.current());
        let mut prefetched = Arc::default();
        // While the disk is slow: see `change_coupon`.
        let reads_first =
            self.forecast.needs_no_write(&request.campaign) || self.readers.wait_for_the_disk();
        if reads_first {
            let (applied, fetched) = self.without_writing(&request, &keys).await?;
            if let Some(applied) = applied {
                return Ok(applied);
            }
            prefetched = fetched;
        }
        let ended = self.hand_out(&request, &keys, prefetched).await;
        self.forecast.note(&request.campaign, &ended);
        match ended {
            // Nothing was written. A replay or a refusal can be answered all the same.
            Err(
                error
                @ (HotError::Full(_) | HotError::Overloaded { .. } | HotError::Unavailable(_)),
            ) if !reads_first => match self.without_writing(&request, &keys).await {
                Ok((Some(applied), _)) => Ok(applied),
                Ok((None, _)) | Err(_) => Err(error),
            },
            ended => ended,
        }
    }

    /// The answer if it needs no write, and what was fetched from cold for it.
    async fn without_writing(
        &self,
        request: &StockRequest,
        keys: &[CodeKey],
    ) -> Result<(Option<Applied>, Arc<Prefetched>)> {
        let supply = StockSupply { keys, walked: None };
        self.look_with(|txn| request.step(txn, &supply).map(HandOutStep::without_writing)).await
    }

    /// Runs the steps of a request, each in a transaction, until one has the answer.
    async fn hand_out(
        &self,
        request: &Arc<StockRequest>,
        keys: &Arc<[CodeKey]>,
        prefetched: Arc<Prefetched>,
    ) -> Result<Applied> {
        if !request.is_shared {
            self.must_have_room().await?;
        }
        loop {
            let (request, keys) = (Arc::clone(request), Arc::clone(keys));
            let step = move |txn: &Txn<'_>| {
                let supply = StockSupply { keys: &keys, walked: None };
                handing_out::write(txn, request.step(txn, &supply)?)
            };
            if let Some(applied) = self.write_with(Arc::clone(&prefetched), step).await? {
                return Ok(applied);
            }
        }
    }

    /// What [`SqliteHot::give`] would answer. It takes as many read transactions as it needs to get past
    /// serials that are gone.
    async fn dry_run_shared(&self, request: StockRequest) -> Result<Applied> {
        let mut walked = WalkedBatches::default();
        loop {
            let keys = self.keys.current();
            let step = self.look(|txn| {
                let supply = StockSupply { keys: &keys, walked: Some(&walked) };
                request.step(txn, &supply)
            });
            let cursor = match step.await?.into_answer() {
                Ok(applied) => return Ok(applied),
                Err(cursor) => cursor,
            };
            walked.to(&cursor);
            // So that the next dry run or issue begins there. If nothing can be written, this dry
            // run goes on without it.
            let note = move |txn: &Txn<'_>| {
                cursor.note(txn);
                Ok(())
            };
            if let Err(error) = self.writer.run(note).await {
                tracing::debug!(error = %error, "the cursor of a batch could not be written");
            }
            tokio::task::yield_now().await;
        }
    }
}
