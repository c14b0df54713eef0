//! The hot store as the compactor sees it: partitions whose coupons are archived.
//!
//! *Closed coupon*: void, or redeemed and past the time in which that can be cancelled, so no rule admits
//! another change. *Archive commit*: the coupons of one partition that one commit of the cold table
//! archives; a partition numbers them from 1. *Archived marker*: the row that replaces an archived coupon
//! in an open partition.

use std::collections::BTreeSet;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::{DAY_MS, Day, Millis};

use crate::{ListPosition, Result};

/// How long after the end of its cancelling time a redemption is closed: clocks are set back.
pub const CLOSED_BOUND_MS: i64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionPlan {
    pub day: Day,
    /// It may be sealed after this instant.
    pub seal_after: Millis,
    /// Whether nothing in it can change any more.
    pub sealed: bool,
    /// The last archive commit whose coupons were copied to cold and then deleted here; 0 before the first.
    pub archive_commit: u64,
    /// Whether it was sealed and has been emptied.
    pub emptied: bool,
}

/// A partition that is not emptied this long after it may be sealed is late.
const LATE_MS: i64 = 2 * DAY_MS;

impl PartitionPlan {
    /// Whether it should have been archived long ago: no compaction runs, or each fails.
    pub fn is_late(&self, now: Millis) -> bool {
        !self.emptied && self.seal_after.0.saturating_add(LATE_MS) < now.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedPartition {
    pub day: Day,
    /// How many are closed; the count stops where the caller asked it to.
    pub waiting: u64,
    /// Since when the first of them is closed.
    pub since: Millis,
}

/// What of one code is still in a sealed partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Residue {
    Coupon(Box<Coupon>),
    /// Its archived marker: the coupon lies in cold, in this version.
    ArchivedMarker {
        code: Code,
        version: u64,
    },
}

impl Residue {
    pub fn code(&self) -> &Code {
        match self {
            Residue::Coupon(coupon) => coupon.code(),
            Residue::ArchivedMarker { code, .. } => code,
        }
    }
}

/// How far the emptying of a partition has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emptying {
    /// Rows and archived markers deleted so far.
    pub removed: u64,
    /// Where the next call continues. Only the store reads it.
    pub after: Option<ListPosition>,
    /// Whether the first walk has ended. Only the store reads it.
    pub walked: bool,
}

/// Which versions of the cold tier this store knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdMark {
    /// This store has begun no version above this one; `None` before the first.
    pub begun: Option<u64>,
    /// The last version that it has seen committed.
    pub committed: Option<u64>,
}

/// The outcome of [`Partitions::reconcile`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Coupons that replaced what was here.
    pub reconciled: u64,
    /// Coupons that the store knew.
    pub known: u64,
    /// Coupons of campaigns or batches that the store does not know.
    pub strangers: u64,
}

impl Reconciled {
    pub fn and(self, other: Reconciled) -> Reconciled {
        Reconciled {
            reconciled: self.reconciled + other.reconciled,
            known: self.known + other.known,
            strangers: self.strangers + other.strangers,
        }
    }
}

/// The partitions of a store, for the compactor. Every method that writes is durable before it returns
/// and may be repeated. It writes in steps of a few milliseconds, so that customers do not wait for it.
#[async_trait]
pub trait Partitions: Send + Sync + 'static {
    /// Every partition that has a plan and is not emptied, by day. The `seal_after` of each is the instant
    /// after which [`Partitions::seal`] can seal it, also where that has to wait for other partitions.
    async fn partitions(&self) -> Result<Vec<PartitionPlan>>;

    /// The plan of one partition, with the `seal_after` of the plan itself.
    async fn partition(&self, day: Day) -> Result<Option<PartitionPlan>>;

    /// Every partition from which something was archived, and its last archive commit.
    async fn archive_commits(&self) -> Result<Vec<(Day, u64)>>;

    /// Open partitions that have closed coupons, by day. The count of each stops at `enough`.
    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedPartition>>;

    /// How many rows and archived markers a partition has. Reads an index of it.
    async fn count(&self, day: Day) -> Result<u64>;

    /// Up to `limit` codes of closed coupons in a partition, in order.
    async fn closed_codes(&self, day: Day, now: Millis, limit: usize) -> Result<Vec<Code>>;

    /// The coupons of `codes` that have a row in the partition and are redeemed or void, in the
    /// order of `codes`, which are ascending.
    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>>;

    /// The coupons of [`Partitions::coupons_of`] that are closed at `now`, the instant that
    /// [`Partitions::closed_codes`] was called with. A coupon whose redemption was cancelled since, and
    /// which was redeemed once more, can be cancelled again and stays. A void coupon is closed
    /// whatever the clock says.
    async fn closed_coupons(&self, day: Day, codes: Vec<Code>, now: Millis) -> Result<Vec<Coupon>>;

    /// Replaces coupons that lie in cold in exactly these versions with archived markers; returns how
    /// many. A coupon that has another version by now stays, and so does everything in a sealed partition.
    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64>;

    /// Closes a partition whose time is over, then seals it; `false` if its time is not over.
    async fn seal(&self, day: Day, now: Millis) -> Result<bool>;

    /// What is still in a sealed partition after `after`, in the order of codes, at most `limit`.
    async fn residue(&self, day: Day, after: Option<Code>, limit: usize) -> Result<Vec<Residue>>;

    /// Deletes a bounded number of rows and archived markers of a sealed partition, after those that the
    /// call before has deleted; `None` if nothing is left. Only for a partition whose content was read
    /// back from cold.
    async fn remove_residue(&self, day: Day, so_far: Emptying) -> Result<Option<Emptying>>;

    /// Records that the coupons of `archive_commit` were copied to cold and deleted here, and since when
    /// the partition is empty, if it is.
    async fn finish_archive_commit(
        &self,
        day: Day,
        archive_commit: u64,
        emptied: Option<Millis>,
    ) -> Result<()>;

    /// Whether every coupon of these campaigns expired before an instant, so that no claim of theirs counts any more;
    /// `false` also in a store that cannot delete days.
    async fn are_over(&self, _campaigns: Vec<CampaignId>, _before: Millis) -> Result<bool> {
        Ok(false)
    }

    /// Deletes what the store has of the coupons of emptied partitions: who had them, by claims, and what the last imported
    /// line of each said. Their codes are never free again, and lead nowhere. Of a user with more claims than a wallet
    /// has, the claims stay until those of all their coupons can go. Reads all claims and the directory, some at a time.
    async fn delete_days(&self, _days: &BTreeSet<Day>) -> Result<()> {
        Ok(())
    }

    /// The days for which [`Partitions::delete_days`] has done everything; `None` in a store that cannot.
    async fn deleted_days(&self) -> Result<Option<BTreeSet<Day>>> {
        Ok(None)
    }

    /// Gives a bounded amount of free space back to the disk; returns whether there is more.
    async fn shrink(&self) -> Result<bool>;

    /// Replaces what a restored store has of coupons that were archived since its backup, so that none of
    /// them can be spent again: writes archived markers, counts, claims and directory entries.
    async fn reconcile(&self, day: Day, coupons: Vec<Coupon>) -> Result<Reconciled>;

    /// Skips serials, so that no code minted since the backup is minted again. Once for each restore.
    async fn pass_over_serials(&self) -> Result<()>;

    async fn cold_mark(&self) -> Result<ColdMark>;

    /// Raises the marks; never lowers them.
    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<()>;
}
