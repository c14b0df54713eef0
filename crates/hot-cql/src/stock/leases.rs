//! The leases of a campaign's batches: what is leased next, taken over, given back and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::{Day, Millis};
use scylla::DeserializeRow;
use scylla::response::PagingState;
use uuid::Uuid;

use super::{CHUNK, Counter, Lease, RUN, Row, Waiting};
use crate::Store;
use crate::campaigns::{BatchHere, CampaignHere, key_missing};
use crate::outcome::Cas;
use crate::session::{Result, StatementProfile};
use crate::values::{parsed, signed};
use hot::HotError;

/// A lease is a 64th of what is left, so that no process has much when the end comes, ...
const LEASE_PART: u64 = 64;

/// ... and no more than this, ...
const LEASE_MAX: u64 = 4_096;

/// ... unless so many leases would not be enough for the batch: each one that is used up leaves a
/// tombstone in the partition of its batch, and a read gives up at 100,000 of them.
const LEASES_MAX: u64 = 50_000;

/// No process keeps more codes of a lease in memory, some 100 bytes each.
const LEASE_CODES_MAX: u64 = 1 << 17;

/// Imported codes that are leased together at the most: a row of the batch's partition for each.
pub(crate) const CHUNK_MAX: usize = LEASE_MAX as usize;

/// Rows of one write to a chunk's partition, some 20 KiB.
const CHUNK_ROWS_AT_ONCE: usize = 200;

/// Leases that nobody has taken from for so long are given back.
const QUIET: Duration = Duration::from_secs(1);

/// For how long a lease names its process: one that died is taken over by whoever looks for stock.
/// A process that lives says so again in time.
const OWNED: Duration = Duration::from_secs(60);

/// Time between two times: one that fails is made good twice before the lease is anybody's.
pub(crate) const RENEWED_EVERY_ROUNDS: u32 = 20;

const _: () = assert!(3 * RENEWED_EVERY_ROUNDS as u64 <= OWNED.as_secs());

/// [`OWNED`] as the engine counts it.
const OWNED_SECONDS: i32 = OWNED.as_secs() as i32;

#[derive(Clone, Debug, DeserializeRow)]
pub(super) struct LeaseRow {
    pub(super) cursor: Option<i64>,
    pub(super) returned_rows: Option<i64>,
    pub(super) kind: Option<i32>,
    pub(super) first: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) count: Option<i64>,
    pub(super) owner: Option<Uuid>,
}

pub(super) const LEASES: &str = "SELECT cursor, returned_rows, kind, first, name, count, owner \
                                 FROM lease WHERE campaign_id = ? AND batch_id = ?";

/// What came of a look for a lease that nobody has.
enum Reconciled {
    One,
    /// How far the serials of the batch have been leased, and how much came back to it.
    None {
        cursor: Option<i64>,
        returned: u64,
    },
}

/// Serials that nobody has leased yet.
pub(super) fn unleased(cursor: Option<i64>, run: &MintedRun) -> u64 {
    run.count.saturating_sub(cursor.unwrap_or(0).unsigned_abs())
}

/// How many serials are leased at once of a batch of `count`, of which `left` are left.
fn lease_size(count: u64, left: u64) -> u64 {
    let most = (count / LEASES_MAX).clamp(LEASE_MAX, LEASE_CODES_MAX);
    (left / LEASE_PART).clamp(1, most)
}

impl Store {
    pub(super) async fn end_lease(&self, id: &CampaignId, lease: &Lease) -> Result<()> {
        let (id, batch) = (id.as_str(), lease.batch.as_str());
        match &lease.row {
            Row::Lease { kind, first, name } => {
                let cql = "DELETE FROM lease WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                           AND first = ? AND name = ?";
                self.cluster.write(cql, (id, batch, *kind, *first, name.as_str())).await
            }
            Row::Returned { part, version, code } => {
                let cql = "DELETE FROM returned WHERE campaign_id = ? AND batch_id = ? \
                           AND part = ? AND version = ? AND code = ?";
                self.cluster.write(cql, (id, batch, *part, *version, code.as_str())).await
            }
        }
    }

    /// A group of imported codes to be handed out together.
    pub(crate) async fn enter_chunk(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        mut codes: Vec<(Millis, Code)>,
    ) -> Result<()> {
        // What expires first goes first, as far as one chunk goes.
        codes.sort();
        let Some((first, _)) = codes.first() else { return Ok(()) };
        let first = first.0;
        let chunk = Uuid::now_v7();
        let cql = "INSERT INTO stock (chunk, position, code) VALUES (?, ?, ?)";
        let rows: Vec<_> =
            (0_i32..).zip(&codes).map(|(at, (_, code))| (chunk, at, code.as_str())).collect();
        for some in rows.chunks(CHUNK_ROWS_AT_ONCE) {
            self.cluster.write_all(cql, some.to_vec()).await?;
        }
        let cql = "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let count = i64::try_from(codes.len()).unwrap_or(i64::MAX);
        let (campaign, batch) = (campaign.as_str(), batch.as_str());
        self.cluster.write(cql, (campaign, batch, CHUNK, first, chunk.to_string(), count)).await
    }

    /// Leases something that nobody has leased, of the first batch that has it; whether it did.
    pub(super) async fn lease_more(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        at: Millis,
    ) -> Result<bool> {
        // Before a lease is taken over whose codes cannot be known.
        self.check_keys_of(campaign)?;
        for batch in campaign.in_order() {
            if batch.paused || self.is_used_up(campaign, batch) {
                continue;
            }
            let taken_over = self.take_over_first(counter, campaign, batch).await?;
            let (cursor, returned) = match taken_over {
                Reconciled::One => return Ok(true),
                Reconciled::None { cursor, returned } => (cursor, returned),
            };
            if self.take_returned(counter, campaign, batch, returned, at).await? {
                return Ok(true);
            }
            let Some(run) = &batch.run else { continue };
            if at >= campaign.terms.expires_at {
                continue;
            }
            if unleased(cursor, run) == 0 {
                self.note_used_up(campaign, batch);
            } else if self.lease_run(counter, campaign, batch, run).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes over the first lease of a batch that nobody has. Reads no further than it must: a large
    /// import has many.
    async fn take_over_first(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        batch: &BatchHere,
    ) -> Result<Reconciled> {
        let values = (campaign.terms.id.as_str(), batch.id.as_str());
        let (mut cursor, mut returned) = (None, 0);
        let mut from = Some(PagingState::start());
        while let Some(state) = from {
            let (rows, next) = self.cluster.page::<LeaseRow>(LEASES, values, state).await?;
            if let Some(row) = rows.first() {
                cursor = row.cursor;
                returned = row.returned_rows.map_or(0, i64::unsigned_abs);
            }
            for row in rows.iter().filter(|row| row.kind.is_some() && row.owner.is_none()) {
                if self.take_over_lease(counter, campaign, batch, row).await? {
                    return Ok(Reconciled::One);
                }
            }
            from = next;
        }
        Ok(Reconciled::None { cursor, returned })
    }

    /// Whether every serial of a batch has been leased, which never changes.
    fn is_used_up(&self, campaign: &CampaignHere, batch: &BatchHere) -> bool {
        let key = (campaign.terms.id.clone(), batch.id.clone());
        self.used_up.read().is_ok_and(|all| all.contains(&key))
    }

    fn note_used_up(&self, campaign: &CampaignHere, batch: &BatchHere) {
        if let Ok(mut all) = self.used_up.write() {
            all.insert((campaign.terms.id.clone(), batch.id.clone()));
        }
    }

    /// Takes the next serials of a batch; `false` when there are none left.
    async fn lease_run(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        batch: &BatchHere,
        run: &MintedRun,
    ) -> Result<bool> {
        let id = &campaign.terms.id;
        let keys = self.keys.current();
        let key = keys.iter().find(|key| key.id() == run.key);
        let key = key.ok_or_else(|| key_missing(batch, run))?;
        let mut attempts = self.attempts("a lease");
        loop {
            let (cursor, _) = attempts.looked(self.leased(id, &batch.id).await)?;
            let left = unleased(cursor, run);
            if left == 0 {
                return Ok(false);
            }
            let first = cursor.unwrap_or(0);
            let count = lease_size(run.count, left);
            let next = first.saturating_add(signed(count));
            let cql = "UPDATE lease SET cursor = ?, count = ? WHERE campaign_id = ? \
                       AND batch_id = ? AND kind = ? AND first = ? AND name = '' IF cursor = ?";
            let values = (next, signed(count), id.as_str(), batch.id.as_str(), RUN, first, cursor);
            let cas = self.cluster.change(attempts.profile(), cql, values).await;
            let applied = matches!(cas, Ok(Cas::Applied));
            if !attempts.wrote(cas).await? || !applied {
                // If it was ours all the same, a walk finds it.
                continue;
            }
            let row = LeaseRow {
                cursor: None,
                returned_rows: None,
                kind: Some(RUN),
                first: Some(first),
                name: Some(String::new()),
                count: Some(signed(count)),
                owner: None,
            };
            if !self.own(id, &batch.id, &row).await? {
                // Somebody took it over in between.
                continue;
            }
            let (first, count) = (first.unsigned_abs(), usize::try_from(count).unwrap_or(0));
            let lease = Arc::new(Lease {
                batch: batch.id.clone(),
                row: Row::Lease { kind: RUN, first: signed(first), name: String::new() },
                owned: true,
                left: AtomicUsize::new(count),
                fresh: AtomicBool::new(!counter.suspicious.load(Ordering::Relaxed)),
            });
            counter.push((0..count as u64).map(|offset| Waiting {
                code: key.mint(run.day, run.first + first + offset),
                day: Some(run.day),
                lease: Arc::clone(&lease),
            }));
            return Ok(true);
        }
    }

    /// Takes over a lease that nobody has; `false` when somebody was faster, or nothing is in it.
    async fn take_over_lease(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        batch: &BatchHere,
        row: &LeaseRow,
    ) -> Result<bool> {
        if !self.own(&campaign.terms.id, &batch.id, row).await? {
            return Ok(false);
        }
        let (_, waiting) = self.codes_of(campaign, batch, row, true).await?;
        let any = !waiting.is_empty();
        counter.push(waiting);
        Ok(any)
    }

    /// Writes this process into a lease that names nobody; `false` when somebody was faster.
    async fn own(&self, id: &CampaignId, batch: &BatchId, row: &LeaseRow) -> Result<bool> {
        // The owner alone is forgotten after a while, not the lease.
        let cql = "UPDATE lease USING TTL ? SET owner = ? WHERE campaign_id = ? AND batch_id = ? \
                   AND kind = ? AND first = ? AND name = ? IF owner = null AND count = ?";
        let values = (
            OWNED_SECONDS,
            self.process,
            id.as_str(),
            batch.as_str(),
            row.kind,
            row.first,
            row.name.as_deref(),
            row.count,
        );
        // Unknown: perhaps it is ours now. Then it is found when that is forgotten, or by a walk.
        match self.cluster.change(StatementProfile::Change, cql, values).await? {
            Cas::Applied => Ok(true),
            Cas::Refused | Cas::Unknown(_) => Ok(false),
            Cas::NotSent(error) => Err(HotError::Unavailable(error.into())),
        }
    }

    /// How far the serials of a batch have been leased, and how many coupons came back to it.
    pub(super) async fn leased(
        &self,
        id: &CampaignId,
        batch: &BatchId,
    ) -> Result<(Option<i64>, u64)> {
        let cql = "SELECT cursor, returned_rows FROM lease WHERE campaign_id = ? AND batch_id = ? \
                   LIMIT 1";
        let row: Option<(Option<i64>, Option<i64>)> =
            self.cluster.row(StatementProfile::Read, cql, (id.as_str(), batch.as_str())).await?;
        let (cursor, returned) = row.unwrap_or_default();
        Ok((cursor, returned.map_or(0, i64::unsigned_abs)))
    }

    /// A lease with its codes; `owned` where its row names this process. Fails without their code
    /// key: a lease without a code would be taken for one that is used up.
    pub(super) async fn codes_of(
        &self,
        campaign: &CampaignHere,
        batch: &BatchHere,
        row: &LeaseRow,
        owned: bool,
    ) -> Result<(Arc<Lease>, Vec<Waiting>)> {
        let (kind, first) = (row.kind.unwrap_or(RUN), row.first.unwrap_or(0));
        let name = row.name.clone().unwrap_or_default();
        let codes: Vec<(Code, Option<Day>)> = match (kind, &batch.run) {
            (CHUNK, _) => {
                let chunk: Uuid = parsed("lease.name", &name)?;
                let cql = "SELECT code FROM stock WHERE chunk = ?";
                let rows: Vec<(String,)> = self.cluster.scan(cql, (chunk,)).await?;
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
        let lease = Arc::new(Lease {
            batch: batch.id.clone(),
            row: Row::Lease { kind, first, name },
            owned,
            left: AtomicUsize::new(codes.len()),
            fresh: AtomicBool::new(false),
        });
        let waiting = codes.into_iter();
        let waiting = waiting.map(|(code, day)| Waiting { code, day, lease: Arc::clone(&lease) });
        let waiting = waiting.collect();
        Ok((lease, waiting))
    }

    /// Gives back what this process has leased and nobody has asked for: others need not walk for it.
    pub(crate) async fn give_back_quiet(&self) {
        for (id, counter) in self.counters() {
            let is_quiet = counter.used_at.lock().is_ok_and(|mut at| match *at {
                Some(since) if since.elapsed() >= QUIET => at.take().is_some(),
                _ => false,
            });
            if is_quiet {
                self.give_back(&id, &counter).await;
            }
        }
    }

    /// Before a stop: gives back everything that this process has leased.
    pub(crate) async fn give_back_all(&self) {
        for (id, counter) in self.counters() {
            self.give_back(&id, &counter).await;
        }
    }

    /// Says again that this process lives, in the leases that it has codes of.
    pub(crate) async fn renew_leases(&self) {
        for (id, counter) in self.counters() {
            let leases = match counter.queue.lock() {
                Ok(queue) => owned_leases(queue.iter()),
                Err(_) => continue,
            };
            for lease in leases {
                let Row::Lease { kind, first, name } = &lease.row else { continue };
                let cql = "UPDATE lease USING TTL ? SET owner = ? WHERE campaign_id = ? \
                           AND batch_id = ? AND kind = ? AND first = ? AND name = ? IF owner = ?";
                let values = (
                    OWNED_SECONDS,
                    self.process,
                    id.as_str(),
                    lease.batch.as_str(),
                    *kind,
                    *first,
                    name.as_str(),
                    self.process,
                );
                if let Err(error) = self.cluster.change(StatementProfile::Change, cql, values).await
                {
                    tracing::debug!(error = %error, "a lease could not be renewed");
                }
            }
        }
    }

    fn counters(&self) -> Vec<(CampaignId, Arc<Counter>)> {
        match self.stock.0.lock() {
            Ok(all) => all.iter().map(|(id, it)| (id.clone(), Arc::clone(it))).collect(),
            Err(_) => Vec::new(),
        }
    }

    async fn give_back(&self, id: &CampaignId, counter: &Counter) {
        let waiting = match counter.queue.lock() {
            Ok(mut queue) => std::mem::take(&mut *queue),
            Err(_) => return,
        };
        for lease in owned_leases(waiting.iter()) {
            let Row::Lease { kind, first, name } = &lease.row else { continue };
            let cql = "UPDATE lease SET owner = null WHERE campaign_id = ? AND batch_id = ? \
                       AND kind = ? AND first = ? AND name = ? IF owner = ?";
            let values =
                (id.as_str(), lease.batch.as_str(), *kind, *first, name.as_str(), self.process);
            if let Err(error) = self.cluster.change(StatementProfile::Change, cql, values).await {
                // A walk finds it.
                tracing::debug!(error = %error, "a lease could not be given back");
                continue;
            }
            if let Ok(mut all) = self.used_up.write() {
                all.remove(&(id.clone(), lease.batch.clone()));
            }
        }
    }
}

/// The leases of this process among those that these codes are of, each once.
fn owned_leases<'a>(waiting: impl Iterator<Item = &'a Waiting>) -> Vec<Arc<Lease>> {
    let mut leases: Vec<Arc<Lease>> = Vec::new();
    for Waiting { lease, .. } in waiting.filter(|it| it.lease.owned) {
        // The codes of one lease wait side by side.
        if !leases.iter().rev().any(|it| Arc::ptr_eq(it, lease)) {
            leases.push(Arc::clone(lease));
        }
    }
    leases
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a partition that may be deleted before the engine forgets them.
    const TOMBSTONES_MAX: u64 = 100_000;

    #[test]
    fn a_batch_has_fewer_leases_than_a_partition_takes_tombstones() {
        // Codes, and the most that one lease has of them.
        let rows = [
            (1, 1),
            (130, 2),
            (1_000_000, 4_096),
            (100_000_000, 4_096),
            (1_000_000_000, 20_000),
            (5_000_000_000, 100_000),
        ];
        for (count, largest) in rows {
            let (mut left, mut leases, mut most) = (count, 0, 0);
            while left > 0 {
                let size = lease_size(count, left);
                assert!(size <= LEASE_CODES_MAX, "{count}");
                (left, leases, most) = (left - size, leases + 1, most.max(size));
            }
            assert!(leases < TOMBSTONES_MAX, "{count}: {leases} leases");
            assert_eq!(most, largest, "{count}");
        }
    }
}
