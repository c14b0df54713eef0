//! The hot store as the compactor sees it: shelves that are emptied into cold.
//!
//! *Unit*: what is moved from one shelf in one go; the units of a shelf have numbers, from 1.
//! *Closed*: redeemed and past the time in which that can be cancelled, or void, so that no rule
//! admits another change. *Stub*: what stays of a closed coupon on an open shelf once it lies in
//! cold.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};

use crate::{HotError, ListPosition};

/// A redemption is closed so long after the last moment at which it could be cancelled: a clock that
/// is set back meanwhile may still admit it. Five seconds.
pub const CLOSED_BOUND_MS: i64 = 5_000;

/// A shelf that has a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfPlan {
    /// Its day.
    pub day: Day,
    /// It may be sealed after this instant.
    pub seal_after: Millis,
    /// Whether nothing on it can change any more.
    pub sealed: bool,
    /// The last unit that was copied and then removed here; 0 before the first.
    pub unit: u64,
    /// Whether it was sealed and has been emptied.
    pub emptied: bool,
}

/// A shelf with closed coupons on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedShelf {
    /// Its day.
    pub day: Day,
    /// How many are closed; not counted further than was asked.
    pub waiting: u64,
    /// Since when the first of them has been.
    pub since: Millis,
}

/// What stands on a sealed shelf under one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The coupon.
    Coupon(Box<Coupon>),
    /// Its stub: the coupon lies in cold, in this version.
    Stub {
        /// Its code.
        code: Code,
        /// The version in cold.
        version: u64,
    },
}

impl Kept {
    /// The code it stands under.
    pub fn code(&self) -> &Code {
        match self {
            Kept::Coupon(coupon) => coupon.code(),
            Kept::Stub { code, .. } => code,
        }
    }
}

/// How far the emptying of a shelf has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emptying {
    /// Rows and stubs removed so far.
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
pub struct Adopted {
    /// They took the place of what stood here.
    pub adopted: u64,
    /// The store knew of them.
    pub known: u64,
    /// They are of campaigns or batches that the store does not know.
    pub strangers: u64,
}

/// Shelves, as they are emptied into cold. Every method that writes is durable before it returns,
/// writes in units of a few milliseconds so that customers do not wait for it, and may be repeated.
///
/// # Errors
/// Any [`HotError`], from every method.
#[async_trait]
pub trait Shelves: Send + Sync + 'static {
    /// Every shelf that has a plan and is not emptied, by day.
    async fn shelves(&self) -> Result<Vec<ShelfPlan>, HotError>;

    /// The plan of one shelf.
    async fn shelf(&self, day: Day) -> Result<Option<ShelfPlan>, HotError>;

    /// Every shelf of which something was moved, and the last unit that was.
    async fn units(&self) -> Result<Vec<(Day, u64)>, HotError>;

    /// Shelves that are not sealed and have closed coupons, by day; none is counted past
    /// `enough`.
    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedShelf>, HotError>;

    /// How many rows and stubs stand on a shelf. Reads an index of it.
    async fn count(&self, day: Day) -> Result<u64, HotError>;

    /// Up to `limit` codes of closed coupons on a shelf, in order.
    async fn closed_codes(
        &self,
        day: Day,
        now: Millis,
        limit: usize,
    ) -> Result<Vec<Code>, HotError>;

    /// The coupons of `codes` that have a row on the shelf and are redeemed or void, in the order of
    /// `codes`, which are ascending.
    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>, HotError>;

    /// Of [`Shelves::coupons_of`] those that are closed at `now`, the instant for which
    /// [`Shelves::closed_codes`] has named them: a coupon that was cancelled since, and redeemed once
    /// more, can be cancelled again and stays.
    async fn closed_coupons(
        &self,
        day: Day,
        codes: Vec<Code>,
        now: Millis,
    ) -> Result<Vec<Coupon>, HotError>;

    /// Puts stubs in the place of coupons that lie in cold in just these versions; how many.
    /// What has another version by now stays, and so does all of a sealed partition.
    async fn retire(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64, HotError>;

    /// Closes a shelf whose time is over, then seals it; `false` when it is not over yet.
    async fn seal(&self, day: Day, now: Millis) -> Result<bool, HotError>;

    /// What stands on a sealed shelf behind `after`, in the order of codes, at most `limit`.
    async fn kept(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<Kept>, HotError>;

    /// The stubs of a shelf behind `after`, with the versions that lie in cold, in the order of
    /// codes, at most `limit`.
    async fn stubs(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<(Code, u64)>, HotError>;

    /// Removes a bounded number of rows and stubs of a sealed shelf, behind what a call before it
    /// has removed; `None` when there is nothing left. Only for a shelf whose content was read
    /// back from cold.
    async fn remove_kept(&self, day: Day, so_far: Emptying) -> Result<Option<Emptying>, HotError>;

    /// Writes down that `unit` of a shelf has been copied and removed here, and whether that was
    /// all of it.
    async fn finish_unit(&self, day: Day, unit: u64, emptied: bool) -> Result<(), HotError>;

    /// Gives a bounded amount of free space back to the disk; whether there is more to give.
    async fn shrink(&self) -> Result<bool, HotError>;

    /// Puts what cold has in the place of what a restored store has of the same coupons, so that
    /// nothing archived since its backup can be spent again: stubs, counts, claims and directory
    /// entries.
    async fn adopt(&self, day: Day, coupons: Vec<Coupon>) -> Result<Adopted, HotError>;

    /// Once for each restore: codes minted since the backup, of which this store knows nothing,
    /// are not minted again.
    async fn pass_over_serials(&self) -> Result<(), HotError>;

    /// How far this store knows of the cold tier.
    async fn cold_mark(&self) -> Result<ColdMark, HotError>;

    /// Raises the marks; never lowers them.
    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<(), HotError>;
}
