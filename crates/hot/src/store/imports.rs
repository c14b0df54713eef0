//! Imports: from the batch that one goes into to its counts, and the lines that it rejected.

use async_trait::async_trait;
use coupon::campaign::{Batch, ImportCounts};
use coupon::ids::{BatchId, CampaignId};
use coupon::imported::ImportRun;
use coupon::time::Millis;

use crate::audit::Act;
use crate::{ImportLine, ImportOutcome, Named, RejectedLine, Result};

/// Imports of coupons with codes of others.
#[async_trait]
pub trait Imports {
    /// Creates the batch that an import goes into, or finds it again. Deletes the rejected lines of an
    /// earlier run into it.
    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        act: &Act,
    ) -> Result<Named<Batch>>;

    /// Most lines of one call of [`Imports::import`]. They are one write: more lines would make other
    /// writers wait.
    fn import_lines_max(&self) -> usize;

    /// Imports a group of lines into a batch; one outcome each, in their order.
    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>>;

    /// The outcomes that [`Imports::import`] would give to lines with different codes, decided in the same way from
    /// the store as it is now. Writes nothing. At most [`Imports::import_lines_max`] lines.
    async fn dry_run_import(
        &self,
        campaign: &CampaignId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>>;

    /// Stores rejected lines for the batch's report.
    async fn keep_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<()>;

    /// Stores the counts of an import: so far, or with `ended` those with which it ended.
    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
        ended: Option<&Act>,
    ) -> Result<Option<Batch>>;

    /// The rejected lines of a batch after line `after`, at most `limit`.
    async fn rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>>;

    /// Deletes rejected lines that were stored before `before`, at most some thousand a call; returns how
    /// many.
    async fn forget_rejected(&self, before: Millis) -> Result<usize>;
}
