//! Batches: mints, reads and pauses them.

use std::sync::Arc;

use ::import::REJECT_HEADER;
use coupon::campaign::{Batch, STOCK_MAX};
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::minted::{CodeKey, KeyId};
use futures::stream::{Stream, StreamExt, once, try_unfold};
use hot::MintOrder;

use crate::failure::{Failure, Result, WriteResult, found, must_lie};
use crate::import::{RejectReport, RejectedLine, made_batch_id, reject_row};
use crate::pages::PAGE_MAX;
use crate::{Caller, Engine, Role};

const READERS: [Role; 2] = [Role::Operator, Role::Admin];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRequest {
    /// Made here if it is missing.
    pub id: Option<BatchId>,
    pub count: u64,
}

impl Engine {
    /// Mints a batch: one small write, whatever the count. The same name with the same count is a
    /// replay.
    ///
    /// # Errors
    /// `NameTaken`, `Expired`, `ExpiryDayClosed`; `SoldOut` if the day has no serials left.
    pub async fn mint_batch(
        &self,
        caller: &Caller,
        campaign: &CampaignId,
        request: BatchRequest,
    ) -> Result<WriteResult<Batch>> {
        caller.must_be(&[Role::Admin])?;
        must_lie("count", Some(request.count), 1, STOCK_MAX)?;
        let id = request.id.unwrap_or_else(made_batch_id);
        let order = MintOrder { id, count: request.count, key: self.newest_key()? };
        WriteResult::of(self.hot.mint(campaign, order, &self.act(caller, None)).await?)
    }

    /// Reads the batches of a campaign in the order of their creation, after `after`.
    ///
    /// # Errors
    /// `NotFound` for the campaign.
    pub async fn batches(
        &self,
        caller: &Caller,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>> {
        caller.must_be(&READERS)?;
        self.handout(campaign).await?;
        Ok(self.hot.batches(campaign, after, limit.min(PAGE_MAX)).await?)
    }

    /// # Errors
    /// `NotFound`.
    pub async fn batch(
        &self,
        caller: &Caller,
        campaign: &CampaignId,
        id: &BatchId,
    ) -> Result<Batch> {
        caller.must_be(&READERS)?;
        found(self.hot.batch(campaign, id).await?)
    }

    /// Reads the rejected lines of a batch's last import after line `after`, at most [`PAGE_MAX`].
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn rejected_lines(
        &self,
        caller: &Caller,
        campaign: &CampaignId,
        id: &BatchId,
        after: u64,
    ) -> Result<Vec<RejectedLine>> {
        self.batch(caller, campaign, id).await?;
        Ok(RejectReport::of(&*self.tables(), campaign, id).behind(after, PAGE_MAX).await?)
    }

    /// Streams the rejected lines of a batch's last import as CSV: the header, that of the file, then a page of lines at a
    /// time. `NotFound` and all other errors are in the stream.
    pub fn rejected_rows(
        self: Arc<Engine>,
        caller: Caller,
        campaign: CampaignId,
        id: BatchId,
    ) -> impl Stream<Item = Result<String>> + Send + use<> {
        let row = |it: &RejectedLine| reject_row(it.line, &it.text, &it.reason, &it.detail);
        let (engine, reader) = (Arc::clone(&self), caller.clone());
        let (of, batch) = (campaign.clone(), id.clone());
        let header = async move {
            // Whoever may not read the batch does not learn the names of its columns.
            engine.batch(&reader, &of, &batch).await?;
            let tables = engine.tables();
            let header = RejectReport::of(&*tables, &of, &batch).header().await?;
            Ok(format!("{REJECT_HEADER}\n{}", header.as_ref().map(row).unwrap_or_default()))
        };
        let rows = try_unfold(0, move |after| {
            let (engine, caller) = (Arc::clone(&self), caller.clone());
            let (campaign, id) = (campaign.clone(), id.clone());
            async move {
                let lines = engine.rejected_lines(&caller, &campaign, &id, after).await?;
                Ok(lines.last().map(|last| (lines.iter().map(row).collect(), last.line)))
            }
        });
        once(header).chain(rows)
    }

    /// # Errors
    /// `NotFound`.
    pub async fn pause_batch(
        &self,
        caller: &Caller,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        reason: Option<Reason>,
    ) -> Result<Batch> {
        caller.must_be(&[Role::Admin])?;
        let act = self.act(caller, reason);
        found(self.hot.pause_batch(campaign, id, paused, &act).await?)
    }

    pub(crate) fn newest_key(&self) -> Result<KeyId> {
        let newest = self.router.keys().last().map(CodeKey::id);
        newest.ok_or(Failure::NoCodeKey)
    }
}
