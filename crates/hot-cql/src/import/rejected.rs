//! Rejected lines of an import, kept for its caller.

use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::RejectedLine;
use scylla::value::CqlTimestamp;

use super::ROWS_AT_ONCE;
use crate::Store;
use crate::session::{Result, StatementProfile};
use crate::values::{instant, millis, signed};

impl Store {
    pub(crate) async fn keep_rejected_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: &[RejectedLine],
        now: Millis,
    ) -> Result<()> {
        if self.batch_of(campaign, batch).await?.is_none() {
            return Ok(());
        }
        let cql = "INSERT INTO rejected_line (campaign_id, batch_id, line, text, reason, detail, \
                   at) VALUES (?, ?, ?, ?, ?, ?, ?)";
        for some in lines.chunks(ROWS_AT_ONCE) {
            let rows = some.iter().map(|line| {
                (
                    campaign.as_str(),
                    batch.as_str(),
                    signed(line.line),
                    line.text.as_str(),
                    line.reason.as_str(),
                    line.detail.as_str(),
                    instant(now),
                )
            });
            self.session.write_all(cql, rows.collect()).await?;
        }
        Ok(())
    }

    pub(crate) async fn rejected_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>> {
        let cql = "SELECT line, text, reason, detail FROM rejected_line \
                   WHERE campaign_id = ? AND batch_id = ? AND line > ? LIMIT ?";
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (campaign.as_str(), batch.as_str(), signed(after), limit);
        type Row = (i64, Option<String>, Option<String>, Option<String>);
        let rows: Vec<Row> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let lines = rows.into_iter().map(|(line, text, reason, detail)| RejectedLine {
            line: line.unsigned_abs(),
            text: text.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            detail: detail.unwrap_or_default(),
        });
        Ok(lines.collect())
    }

    /// Deletes all rejected lines of one batch.
    pub(crate) async fn forget_rejected_of(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
    ) -> Result<()> {
        let cql = "DELETE FROM rejected_line WHERE campaign_id = ? AND batch_id = ?";
        self.session.write(cql, (campaign.as_str(), batch.as_str())).await
    }

    /// Deletes rejected lines that were kept before `before`; returns how many. Reads all of them.
    pub(crate) async fn forget_rejected_before(&self, before: Millis) -> Result<usize> {
        /// Lines deleted in one call.
        const FORGET_MAX: usize = 2_000;
        let cql = "SELECT campaign_id, batch_id, line, at FROM rejected_line";
        type Row = (String, String, i64, Option<CqlTimestamp>);
        let (mut forgotten, mut from) = (0, Some(scylla::response::PagingState::start()));
        while let Some(state) = from.filter(|_| forgotten < FORGET_MAX) {
            let (rows, next) = self.session.page::<Row>(cql, (), state).await?;
            for (campaign, batch, line, at) in rows {
                if at.map(millis).is_some_and(|at| at < before) {
                    let cql = "DELETE FROM rejected_line WHERE campaign_id = ? AND batch_id = ? \
                               AND line = ?";
                    self.session.write(cql, (campaign, batch, line)).await?;
                    forgotten += 1;
                }
            }
            from = next;
        }
        Ok(forgotten)
    }
}
