//! The counts of a campaign: a row for each process that counts, and one value for those that have ended.
//!
//! A process writes only its own rows, by plain writes. A row that it has not written for half a day it never writes
//! again: it begins another one. Whoever adds a row merges those that are old:
//!
//! 1. What nobody has written for a day is copied into `merged`, a static column, by one conditional update. A row
//!    that is there still counts as it is, and the copy only when the row is not there.
//! 2. A day later such a row is deleted, with the time of the write that was copied: a later one stays. The copy of a
//!    row that was written later is dropped, its process lives.
//! 3. Two days after the first step the copies of deleted rows become one sum for each batch.
//!
//! Readers read `merged` before the rows. Each update of it is conditional on the value that was read before the rows,
//! so of two processes that merge at the same time one does nothing; and the next one goes on where a process was
//! killed. The counts of a process that could write nothing for three days, and then writes, are added twice.

use std::collections::BTreeMap;

use coupon::ids::{BatchId, CampaignId};
use hot::protocol::StateCounts;
use scylla::DeserializeRow;
use uuid::Uuid;

use crate::{CqlSession, Result, StatementProfile, damaged};

/// Issued, redeemed and void coupons, those of them that are archived, and coupons that an import brought.
pub type CountSums = [i64; 7];

/// A process and a batch. Without a batch: the states of coupons; with one: what was imported into it.
pub type CountKey = (Uuid, String);

const DAY_MS: i64 = 86_400_000;

/// Copies of rows, about 100 bytes each.
const MERGED_MAX: usize = 1_000;

/// Deletes in one write.
const DELETED_AT_ONCE: usize = 50;

/// Has the sums of all processes that ended long ago.
const ENDED: Uuid = Uuid::max();

#[derive(DeserializeRow)]
struct StoredRow {
    process: Option<Uuid>,
    batch_id: Option<String>,
    issued: Option<i64>,
    redeemed: Option<i64>,
    void: Option<i64>,
    cold_issued: Option<i64>,
    cold_redeemed: Option<i64>,
    cold_void: Option<i64>,
    arrived: Option<i64>,
    states_written: Option<i64>,
    arrived_written: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct CountRow {
    sums: CountSums,
    /// The time of its last write, in microseconds since 1970.
    written: i64,
    /// When it was copied, in milliseconds since 1970; 0 of one that was not.
    copied: i64,
}

type CountRows = BTreeMap<CountKey, CountRow>;

impl CqlSession {
    /// What each process has counted, as it last wrote it. Keys of processes that have ended may be missing: their sums
    /// stand under another key.
    pub async fn campaign_counts(&self, id: &CampaignId) -> Result<BTreeMap<CountKey, CountSums>> {
        let (_, mut all) = self.merged_counts(id).await?;
        all.extend(self.count_rows(id).await?);
        Ok(all.into_iter().map(|(key, row)| (key, row.sums)).collect())
    }

    /// Writes what a process has counted since its first write under this name.
    pub async fn write_counts(
        &self,
        id: &CampaignId,
        process: Uuid,
        sums: StateCounts,
        arrived: Vec<(&BatchId, i64)>,
    ) -> Result<()> {
        let cql = "INSERT INTO campaign_counts (campaign_id, process, batch_id, issued, redeemed, \
                   void, cold_issued, cold_redeemed, cold_void) \
                   VALUES (?, ?, '', ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let StateCounts { all: [issued, redeemed, void], cold: [a, b, c] } = sums;
        // Sent twice, an older sum may come behind a newer one.
        let time = self.write_time();
        let values = (id.as_str(), process, issued, redeemed, void, a, b, c, time);
        self.write(cql, values).await?;
        let cql = "INSERT INTO campaign_counts (campaign_id, process, batch_id, arrived) \
                   VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
        let rows = arrived.iter();
        let rows = rows.map(|(batch, count)| (id.as_str(), process, batch.as_str(), *count, time));
        self.write_all(cql, rows.collect()).await
    }

    /// Merges rows of processes that have ended, at `now` by a clock that agrees with the cluster's.
    pub async fn merge_counts(&self, id: &CampaignId, now: i64) -> Result<()> {
        let (text, merged) = self.merged_counts(id).await?;
        let (next, ended) = merge(&merged, &self.count_rows(id).await?, now);
        let cql = "DELETE FROM campaign_counts USING TIMESTAMP ? WHERE campaign_id = ? \
                   AND process = ? AND batch_id = ?";
        // Before their copies become a sum: a row that comes back after that would be added twice.
        for some in ended.chunks(DELETED_AT_ONCE) {
            let rows = some.iter().map(|((process, batch), row)| {
                (row.written, id.as_str(), *process, batch.as_str())
            });
            self.write_all(cql, rows.collect()).await?;
        }
        if next == merged {
            return Ok(());
        }
        let cql = "UPDATE campaign_counts SET merged = ? WHERE campaign_id = ? IF merged = ?";
        let values = (to_text(&next)?, id.as_str(), text);
        // If it is refused or unknown, another process merged these, or the next one does.
        self.change(StatementProfile::Change, cql, values).await.map(drop)
    }

    /// The text, and what it says.
    async fn merged_counts(&self, id: &CampaignId) -> Result<(Option<String>, CountRows)> {
        let cql = "SELECT merged FROM campaign_counts WHERE campaign_id = ? LIMIT 1";
        let text: Option<String> = self.value(cql, (id.as_str(),)).await?;
        let merged = text.as_deref().map(from_text).transpose()?;
        Ok((text, merged.unwrap_or_default()))
    }

    async fn count_rows(&self, id: &CampaignId) -> Result<CountRows> {
        let cql = "SELECT process, batch_id, issued, redeemed, void, cold_issued, cold_redeemed, \
                   cold_void, arrived, WRITETIME(issued) AS states_written, \
                   WRITETIME(arrived) AS arrived_written \
                   FROM campaign_counts WHERE campaign_id = ?";
        let rows: Vec<StoredRow> = self.scan(cql, (id.as_str(),)).await?;
        let rows = rows.into_iter().filter_map(|row| {
            let cold = [row.cold_issued, row.cold_redeemed, row.cold_void];
            let [a, b, c] = cold.map(Option::unwrap_or_default);
            let all = [row.issued, row.redeemed, row.void, row.arrived];
            let [issued, redeemed, void, arrived] = all.map(Option::unwrap_or_default);
            let sums = [issued, redeemed, void, a, b, c, arrived];
            let written = row.states_written.max(row.arrived_written)?;
            // Without a process it has static columns alone.
            Some(((row.process?, row.batch_id?), CountRow { sums, written, copied: 0 }))
        });
        Ok(rows.collect())
    }
}

/// What is to be merged next, and the rows that are to be deleted before that.
fn merge(merged: &CountRows, rows: &CountRows, now: i64) -> (CountRows, Vec<(CountKey, CountRow)>) {
    let (mut next, mut ended) = (CountRows::new(), Vec::new());
    for (key, copy) in merged {
        let (age, mut into) = (now - copy.copied, key.clone());
        match rows.get(key) {
            Some(row) if row.written != copy.written => continue,
            Some(_) if age >= DAY_MS => ended.push((key.clone(), *copy)),
            None if key.0 != ENDED && age >= 2 * DAY_MS => {
                ended.push((key.clone(), *copy));
                into.0 = ENDED;
            }
            _ => {}
        }
        let into = next.entry(into).or_insert(CountRow { sums: [0; 7], ..*copy });
        for (sum, more) in into.sums.iter_mut().zip(copy.sums) {
            *sum += more;
        }
    }
    for (key, row) in rows.iter().filter(|(key, _)| !merged.contains_key(key)) {
        // A copy of the store writes the row without a name, as often as it is repeated.
        let is_over = now - row.written / 1_000 >= DAY_MS && !key.0.is_nil();
        if is_over && next.len() < MERGED_MAX {
            next.insert(key.clone(), CountRow { copied: now, ..*row });
        }
    }
    (next, ended)
}

fn to_text(rows: &CountRows) -> Result<String> {
    let rows = rows.iter();
    let rows = rows.map(|((process, batch), row)| {
        (process.to_string(), batch, row.written, row.copied, row.sums)
    });
    serde_json::to_string(&rows.collect::<Vec<_>>()).map_err(damaged)
}

fn from_text(text: &str) -> Result<CountRows> {
    type TextRow = (String, String, i64, i64, CountSums);
    let rows: Vec<TextRow> = serde_json::from_str(text).map_err(damaged)?;
    let rows = rows.into_iter().map(|(process, batch, written, copied, sums)| {
        let process = process.parse().map_err(damaged)?;
        Ok(((process, batch), CountRow { sums, written, copied }))
    });
    rows.collect()
}

#[cfg(test)]
mod tests;
