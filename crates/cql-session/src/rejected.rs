//! Rejected lines of an import, kept for its caller.

use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::{RejectedLine, bounded_join};
use scylla::value::CqlTimestamp;

use crate::values::{instant, millis, signed};
use crate::{CqlSession, Result, StatementProfile};

const ROWS_AT_ONCE: usize = 50;

/// Lines of a file whose rejected ones share a CQL partition, 2 MB of them.
const PART_LINES: u64 = 10_000;

/// Parts that are deleted at a time.
const PARTS_AT_ONCE: usize = 16;

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
        let cql = "INSERT INTO rejected_line (campaign_id, batch_id, part, line, text, reason, \
                   detail, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let (campaign, batch) = (campaign.as_str(), batch.as_str());
        for lines in lines.chunk_by(|one, next| part(one.line) == part(next.line)) {
            let part = part(lines[0].line);
            let listed = "INSERT INTO rejected_part (campaign_id, batch_id, part, at) \
                          VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
            let written_at = self.write_time();
            self.write(listed, (campaign, batch, part, instant(at), written_at)).await?;
            for some in lines.chunks(ROWS_AT_ONCE) {
                let rows = some.iter().map(|RejectedLine { line, text, reason, detail }| {
                    let [text, reason, detail] = [text, reason, detail].map(String::as_str);
                    let line = signed(*line);
                    (campaign, batch, part, line, text, reason, detail, instant(at), written_at)
                });
                self.write_all(cql, rows.collect()).await?;
            }
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
        let (campaign, batch) = (campaign.as_str(), batch.as_str());
        let cql = "SELECT part FROM rejected_part WHERE campaign_id = ? AND batch_id = ? AND part >= ? \
                   LIMIT ?";
        let rows_max = |rows: usize| i32::try_from(rows).unwrap_or(i32::MAX);
        let values = (campaign, batch, part(after), rows_max(limit));
        let parts: Vec<(i64,)> = self.rows(StatementProfile::Bulk, cql, values).await?;
        let cql = "SELECT line, text, reason, detail FROM rejected_line \
                   WHERE campaign_id = ? AND batch_id = ? AND part = ? AND line > ? LIMIT ?";
        type Row = (i64, Option<String>, Option<String>, Option<String>);
        let mut lines: Vec<RejectedLine> = Vec::new();
        for (part,) in parts {
            let more = rows_max(limit - lines.len());
            let values = (campaign, batch, part, signed(after), more);
            let rows: Vec<Row> = self.rows(StatementProfile::Bulk, cql, values).await?;
            let line = |(line, text, reason, detail)| rejected_line(line, [text, reason, detail]);
            lines.extend(rows.into_iter().map(line));
            if lines.len() >= limit {
                break;
            }
        }
        Ok(lines)
    }

    /// Deletes the parts into which no line was rejected since `before`; returns how many. Reads the
    /// list of all parts.
    pub async fn forget_rejected_before(&self, before: Millis) -> Result<usize> {
        let cql = "SELECT campaign_id, batch_id, part, at FROM rejected_part";
        type Row = (String, String, i64, Option<CqlTimestamp>);
        let parts: Vec<Row> = self.scan(cql, ()).await?;
        let is_old = |row: &Row| row.3.is_none_or(|at| millis(at) < before);
        let old: Vec<Row> = parts.into_iter().filter(is_old).collect();
        let forget =
            old.iter().map(|(campaign, batch, part, _)| self.forget_part(campaign, batch, *part));
        bounded_join(PARTS_AT_ONCE, forget).await?;
        Ok(old.len())
    }

    /// Deletes the rejected lines of a batch.
    pub async fn forget_batch(&self, campaign: &CampaignId, batch: &BatchId) -> Result<()> {
        let (campaign, batch) = (campaign.as_str(), batch.as_str());
        let cql = "SELECT part FROM rejected_part WHERE campaign_id = ? AND batch_id = ?";
        let parts: Vec<(i64,)> = self.rows(StatementProfile::Bulk, cql, (campaign, batch)).await?;
        let forget = parts.into_iter().map(|(part,)| self.forget_part(campaign, batch, part));
        bounded_join(PARTS_AT_ONCE, forget).await.map(drop)
    }

    async fn forget_part(&self, campaign: &str, batch: &str, part: i64) -> Result<()> {
        // Before any line that is rejected from now on, by whichever node that is written.
        let values = (self.write_time(), campaign, batch, part);
        let cql = "DELETE FROM rejected_line USING TIMESTAMP ? \
                   WHERE campaign_id = ? AND batch_id = ? AND part = ?";
        self.write(cql, values).await?;
        // Behind its lines: a part that is not listed is never looked for.
        let cql = "DELETE FROM rejected_part USING TIMESTAMP ? \
                   WHERE campaign_id = ? AND batch_id = ? AND part = ?";
        self.write(cql, values).await
    }

    pub async fn forget_rejected(&self, campaign: &str, batch: &str, line: u64) -> Result<()> {
        let cql = "DELETE FROM rejected_line USING TIMESTAMP ? \
                   WHERE campaign_id = ? AND batch_id = ? AND part = ? AND line = ?";
        self.write(cql, (self.write_time(), campaign, batch, part(line), signed(line))).await
    }
}

fn part(line: u64) -> i64 {
    signed(line / PART_LINES)
}
