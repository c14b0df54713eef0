//! Leases of serials and of imported codes: their rows, their sizes and their codes.

mod owning;
mod taking;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::{Day, Millis};
use hot::HotError;
use uuid::Uuid;

use super::{CHUNK, Lease, RUN, StockRow, WaitingCode};
use crate::CqlStore;
use crate::campaigns::{BatchHere, CampaignHere, key_missing};
use crate::stock::lease_rows::LeaseRow;
use crate::values::parsed;
use cql_session::Result;
pub(crate) use owning::RENEWED_EVERY_ROUNDS;

/// A lease is a 64th of what is left, so that no process has much when the end comes, ...
const LEASE_PART: u64 = 64;

/// ... and no more than this, ...
const LEASE_MAX: u64 = 4_096;

/// ... unless a batch would need more leases than this: each one that ends leaves a tombstone in
/// the CQL partition of its batch. Each further lease reads all of them, a quarter of a second for
/// 50,000, and a read fails at 100,000.
const LEASES_MAX: u64 = 10_000;

/// Most codes of a lease, which a process keeps in memory, some 100 bytes each.
const LEASE_CODES_MAX: u64 = 1 << 17;

/// Most imported codes that are leased together.
pub(crate) const CHUNK_MAX: usize = LEASE_MAX as usize;

/// Rows of one write to the CQL partition of a chunk, some 20 KiB.
const CHUNK_ROWS_AT_ONCE: usize = 200;

/// How many serials one lease takes from a batch of `count` with `left` unleased.
fn lease_size(count: u64, left: u64) -> u64 {
    let most = (count / LEASES_MAX).clamp(LEASE_MAX, LEASE_CODES_MAX);
    (left / LEASE_PART).clamp(1, most)
}

impl CqlStore {
    pub(super) async fn end_lease(&self, id: &CampaignId, lease: &Lease) -> Result<()> {
        let (id, batch) = (id.as_str(), lease.batch.as_str());
        match &lease.row {
            StockRow::Lease { kind, first, name } => {
                let cql = "DELETE FROM lease WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                           AND first = ? AND name = ?";
                self.session.write(cql, (id, batch, *kind, *first, name.as_str())).await
            }
            StockRow::Returned { part, version, code } => {
                let cql = "DELETE FROM returned WHERE campaign_id = ? AND batch_id = ? \
                           AND part = ? AND version = ? AND code = ?";
                self.session.write(cql, (id, batch, *part, *version, code.as_str())).await
            }
        }
    }

    pub(crate) async fn enter_chunk(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        mut codes: Vec<(Millis, Code)>,
    ) -> Result<()> {
        // Within a chunk, the code that expires first is issued first.
        codes.sort();
        let Some((first, _)) = codes.first() else { return Ok(()) };
        let first = first.0;
        let chunk = Uuid::now_v7();
        let cql = "INSERT INTO stock (chunk, position, code) VALUES (?, ?, ?)";
        let rows: Vec<_> =
            (0_i32..).zip(&codes).map(|(at, (_, code))| (chunk, at, code.as_str())).collect();
        for some in rows.chunks(CHUNK_ROWS_AT_ONCE) {
            self.session.write_all(cql, some.to_vec()).await?;
        }
        // After the codes: a lease without them would be taken for one that is used up.
        let cql = "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let count = i64::try_from(codes.len()).unwrap_or(i64::MAX);
        let (campaign, batch) = (campaign.as_str(), batch.as_str());
        self.session.write(cql, (campaign, batch, CHUNK, first, chunk.to_string(), count)).await
    }

    /// How far the serials of a batch are leased, and how many coupons came back to it.
    pub(crate) async fn leased(
        &self,
        id: &CampaignId,
        batch: &BatchId,
    ) -> Result<(Option<i64>, u64)> {
        let cql = "SELECT cursor, returned_rows FROM lease WHERE campaign_id = ? AND batch_id = ? \
                   LIMIT 1";
        let row: Option<(Option<i64>, Option<i64>)> =
            self.session.row(cql, (id.as_str(), batch.as_str())).await?;
        let (cursor, returned) = row.unwrap_or_default();
        Ok((cursor, returned.map_or(0, i64::unsigned_abs)))
    }

    /// A lease with its codes; `owned` if its row names this process. Fails without their code key:
    /// a lease without codes would be taken for one that is used up.
    pub(super) async fn codes_of(
        &self,
        campaign: &CampaignHere,
        batch: &BatchHere,
        row: &LeaseRow,
        owned: bool,
    ) -> Result<(Arc<Lease>, Vec<WaitingCode>)> {
        let (kind, first) = (row.kind.unwrap_or(RUN), row.first.unwrap_or(0));
        let name = row.name.clone().unwrap_or_default();
        let mut codes: Vec<(Code, Option<Day>)> = match (kind, &batch.run) {
            (CHUNK, _) => {
                let chunk: Uuid = parsed("lease.name", &name)?;
                let cql = "SELECT code FROM stock WHERE chunk = ?";
                let rows: Vec<(String,)> = self.session.scan(cql, (chunk,)).await?;
                let codes = rows.iter().map(|(code,)| parsed("stock.code", code));
                codes.map(|code| Ok((code?, None))).collect::<Result<_>>()?
            }
            (RUN, Some(run)) => {
                let keys = self.keys.current();
                let key = keys.iter().find(|key| key.id() == run.key);
                let key = key.ok_or_else(|| key_missing(batch, run))?;
                let count = row.count.unwrap_or(0).unsigned_abs();
                let first = run.first + first.unsigned_abs();
                (0..count)
                    .map(|offset| (key.mint(run.day, first + offset), Some(run.day)))
                    .collect()
            }
            (kind, _) => {
                let id = &campaign.terms.id;
                return Err(HotError::Damaged(format!("{id}: a lease of the kind {kind}")));
            }
        };
        // Where the last owner stopped. The codes before come last and are not skipped: the number is
        // a hint, and one of them may be on offer.
        let done = usize::try_from(row.done.unwrap_or(0)).unwrap_or(0) % codes.len().max(1);
        codes.rotate_left(done);
        let lease = Arc::new(Lease {
            batch: batch.id.clone(),
            row: StockRow::Lease { kind, first, name },
            owned,
            left: AtomicUsize::new(codes.len()),
            ends: done + codes.len(),
            fresh: AtomicBool::new(false),
        });
        let waiting = codes.into_iter();
        let waiting =
            waiting.map(|(code, day)| WaitingCode { code, day, lease: Arc::clone(&lease) });
        let waiting = waiting.collect();
        Ok((lease, waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a partition that may be deleted before the engine forgets them.
    const TOMBSTONES_MAX: u64 = 100_000;

    #[test]
    fn a_batch_has_fewer_leases_than_a_partition_takes_tombstones() {
        // Codes, the most that one lease has of them, and the most leases.
        let rows = [
            (1, 1, 1),
            (130, 2, 130),
            (1_000_000, 4_096, 1_000),
            (25_000_000, 4_096, 7_000),
            (100_000_000, 10_000, 11_000),
            (1_000_000_000, 100_000, 11_000),
            (10_000_000_000, 1 << 17, 78_000),
        ];
        for (count, largest, most_leases) in rows {
            let (mut left, mut leases, mut most) = (count, 0, 0);
            while left > 0 {
                let size = lease_size(count, left);
                assert!(size <= LEASE_CODES_MAX, "{count}");
                (left, leases, most) = (left - size, leases + 1, most.max(size));
            }
            assert!(leases <= most_leases, "{count}: {leases} leases");
            assert!(leases < TOMBSTONES_MAX, "{count}: {leases} leases");
            assert_eq!(most, largest, "{count}");
        }
    }
}
