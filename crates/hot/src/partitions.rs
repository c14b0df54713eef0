//! The hot store as the compactor sees it: partitions that are emptied into cold.
//!
//! *Archive commit*: what is moved from one partition in one go; the archive commits of a partition
//! have numbers, from 1. *Closed*: redeemed and past the time in which that can be cancelled, or
//! void, so that no rule admits another change. *Archived marker*: what stays of a closed coupon in
//! an open partition once it lies in cold.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};

use crate::{HotError, ListPosition};

/// A redemption is closed so long after the last moment at which it could be cancelled: a clock that
/// is set back meanwhile may still admit it. Five seconds.
pub const CLOSED_BOUND_MS: i64 = 5_000;

/// A partition that has a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionPlan {
    /// Its day.
    pub day: Day,
    /// It may be sealed after this instant.
    pub seal_after: Millis,
    /// Whether nothing on it can change any more.
    pub sealed: bool,
    /// The last archive commit that was copied and then removed here; 0 before the first.
    pub archive_commit: u64,
    /// Whether it was sealed and has been emptied.
    pub emptied: bool,
}

/// A partition with closed coupons in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedPartition {
    /// Its day.
    pub day: Day,
    /// How many are closed; not counted further than was asked.
    pub waiting: u64,
    /// Since when the first of them has been.
    pub since: Millis,
}

/// What stands in a sealed partition under one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Residue {
    /// The coupon.
    Coupon(Box<Coupon>),
    /// Its archived marker: the coupon lies in cold, in this version.
    ArchivedMarker {
        /// Its code.
        code: Code,
        /// The version in cold.
        version: u64,
    },
}

impl Residue {
    /// The code it stands under.
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
    /// Rows and archived markers removed so far.
    pub removed: u64,
    /// Where it stands. The store's own business.
    pub after: Option<ListPosition>,
    /// Whether it is past the first walk. The store's own business.
    pub walked: bool,
}

/// How far this store knows of the cold tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdMark {
    /// No version above this one was ever begun from here; none before the first.
    pub begun: Option<u64>,
    /// The last version that was seen committed.
    pub committed: Option<u64>,
}

/// What came of coupons that cold has newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// They took the place of what stood here.
    pub reconciled: u64,
    /// The store knew of them.
    pub known: u64,
    /// They are of campaigns or batches that the store does not know.
    pub strangers: u64,
}

/// Partitions, as they are emptied into cold. Every method that writes is durable before it
/// returns, writes in steps of a few milliseconds so that customers do not wait for it, and may be
/// repeated.
///
/// # Errors
/// Any [`HotError`], from every method.
#[async_trait]
pub trait Partitions: Send + Sync + 'static {
    /// Every partition that has a plan and is not emptied, by day.
    async fn partitions(&self) -> Result<Vec<PartitionPlan>, HotError>;

    /// The plan of one partition.
    async fn partition(&self, day: Day) -> Result<Option<PartitionPlan>, HotError>;

    /// Every partition of which something was moved, and the last archive commit that was.
    async fn archive_commits(&self) -> Result<Vec<(Day, u64)>, HotError>;

    /// Partitions that are not sealed and have closed coupons, by day; none is counted past
    /// `enough`.
    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedPartition>, HotError>;

    /// How many rows and archived markers stand in a partition. Reads an index of it.
    async fn count(&self, day: Day) -> Result<u64, HotError>;

    /// Up to `limit` codes of closed coupons in a partition, in order.
    async fn closed_codes(
        &self,
        day: Day,
        now: Millis,
        limit: usize,
    ) -> Result<Vec<Code>, HotError>;

    /// The coupons of `codes` that have a row in the partition and are redeemed or void, in the
    /// order of `codes`, which are ascending.
    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>, HotError>;

    /// Of [`Partitions::coupons_of`] those that are closed at `now`, the instant for which
    /// [`Partitions::closed_codes`] has named them: a coupon that was cancelled since, and redeemed
    /// once more, can be cancelled again and stays.
    async fn closed_coupons(
        &self,
        day: Day,
        codes: Vec<Code>,
        now: Millis,
    ) -> Result<Vec<Coupon>, HotError>;

    /// Puts archived markers in the place of coupons that lie in cold in just these versions; how
    /// many. What has another version by now stays, and so does all of a sealed partition.
    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64, HotError>;

    /// Closes a partition whose time is over, then seals it; `false` when it is not over yet.
    async fn seal(&self, day: Day, now: Millis) -> Result<bool, HotError>;

    /// What stands in a sealed partition behind `after`, in the order of codes, at most `limit`.
    async fn residue(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<Residue>, HotError>;

    /// The archived markers of a partition behind `after`, with the versions that lie in cold, in
    /// the order of codes, at most `limit`.
    async fn archived_markers(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<(Code, u64)>, HotError>;

    /// Removes a bounded number of rows and archived markers of a sealed partition, behind what a
    /// call before it has removed; `None` when there is nothing left. Only for a partition whose
    /// content was read back from cold.
    async fn remove_residue(
        &self,
        day: Day,
        so_far: Emptying,
    ) -> Result<Option<Emptying>, HotError>;

    /// Writes down that `archive_commit` of a partition has been copied and removed here, and
    /// whether that was all of it.
    async fn finish_archive_commit(
        &self,
        day: Day,
        archive_commit: u64,
        emptied: bool,
    ) -> Result<(), HotError>;

    /// Gives a bounded amount of free space back to the disk; whether there is more to give.
    async fn shrink(&self) -> Result<bool, HotError>;

    /// Puts what cold has in the place of what a restored store has of the same coupons, so that
    /// nothing archived since its backup can be spent again: archived markers, counts, claims and
    /// directory entries.
    async fn reconcile(&self, day: Day, coupons: Vec<Coupon>) -> Result<Reconciled, HotError>;

    /// Once for each restore: codes minted since the backup, of which this store knows nothing,
    /// are not minted again.
    async fn pass_over_serials(&self) -> Result<(), HotError>;

    /// How far this store knows of the cold tier.
    async fn cold_mark(&self) -> Result<ColdMark, HotError>;

    /// Raises the marks; never lowers them.
    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<(), HotError>;
}
