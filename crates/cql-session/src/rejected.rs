//! Rejected lines of an import, kept for its caller.

use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::RejectedLine;
use scylla::value::CqlTimestamp;

use crate::values::{instant, millis, signed};
use crate::{CqlSession, Result, StatementProfile};

const ROWS_AT_ONCE: usize = 50;

/// A rejected line by the columns of its row: text, reason and detail.
pub fn rejected_line(line: i64, columns: [Option<String>; 3]) -> RejectedLine {
    let [text, reason, detail] = columns.map(Option::unwrap_or_default);
    RejectedLine { line: line.unsigned_abs(), text, reason, detail }
}

impl CqlSession {
    pub async fn put_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: &[RejectedLine],
        at: Millis,
    ) -> Result<()> {
        let cql = "INSERT INTO rejected_line (campaign_id, batch_id, line, text, reason, detail, \
                   at) VALUES (?, ?, ?, ?, ?, ?, ?)";
        for some in lines.chunks(ROWS_AT_ONCE) {
            let rows = some.iter().map(|RejectedLine { line, text, reason, detail }| {
                let (campaign, batch) = (campaign.as_str(), batch.as_str());
                let why = (reason.as_str(), detail.as_str());
                (campaign, batch, signed(*line), text.as_str(), why.0, why.1, instant(at))
            });
            self.write_all(cql, rows.collect()).await?;
        }
        Ok(())
    }

    /// The lines of a batch after line `after`.
    pub async fn rejected_behind(
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
        let rows: Vec<Row> = self.rows(StatementProfile::Bulk, cql, values).await?;
        let line = |(line, text, reason, detail)| rejected_line(line, [text, reason, detail]);
        Ok(rows.into_iter().map(line).collect())
    }

    /// Deletes rejected lines that were kept before `before`; returns how many. Reads all of them.
    pub async fn forget_rejected_before(&self, before: Millis) -> Result<usize> {
        const FORGET_MAX: usize = 2_000;
        let cql = "SELECT campaign_id, batch_id, line, at FROM rejected_line";
        type Row = (String, String, i64, Option<CqlTimestamp>);
        let (mut forgotten, mut from) = (0, Some(scylla::response::PagingState::start()));
        while let Some(state) = from.filter(|_| forgotten < FORGET_MAX) {
            let (rows, next) = self.page::<Row>(cql, (), state).await?;
            for (campaign, batch, line, at) in rows {
                if at.map(millis).is_some_and(|at| at < before) {
                    self.forget_rejected(&campaign, &batch, line).await?;
                    forgotten += 1;
                }
            }
            from = next;
        }
        Ok(forgotten)
    }

    pub async fn forget_rejected(&self, campaign: &str, batch: &str, line: i64) -> Result<()> {
        let cql = "DELETE FROM rejected_line WHERE campaign_id = ? AND batch_id = ? AND line = ?";
        self.write(cql, (campaign, batch, line)).await
    }
}
