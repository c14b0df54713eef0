//! The hot store as `verify` sees it: everything that is written down, as it lies, and what is
//! said of the same thing elsewhere.
//!
//! Nothing here decides whether something is right: a row that cannot be read is an item like any
//! other, so that one of them does not hide the rest. Reads go page by page; between two of them
//! others write, so whoever meets something odd looks at it again before he says so.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::campaign::{Campaign, MintedRun};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, OperationId, UserId};
use coupon::time::{Day, Millis};
use router::Owner;

use crate::{HotError, PartitionPlan};

/// What stands under a code in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// The code as it is written there, whether it is one or not.
    pub code: String,
    /// What it is.
    pub is: RowIs,
    /// Why it cannot stand where it does, whatever it is: a place that its code does not lead to.
    pub astray: Option<String>,
}

/// What a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowIs {
    /// A coupon.
    Coupon {
        /// It, as its events say.
        coupon: Box<Coupon>,
        /// What the columns say that its events do not.
        differs: Option<String>,
    },
    /// In place of a coupon that lies in cold, in this version.
    ArchivedMarker {
        /// The version.
        version: u64,
    },
    /// In place of a coupon that was moved to a later partition.
    Forwarding {
        /// That partition.
        to: Day,
    },
    /// Nothing that can be read.
    Unreadable(String),
}

impl RowIs {
    /// The same, unless it stands under a code that is not in its bare form: nobody finds it there.
    pub fn written_as(self, code: &str) -> RowIs {
        match &self {
            RowIs::Coupon { coupon, .. } if coupon.code().as_str() != code => {
                let want = coupon.code();
                RowIs::Unreadable(format!("its code is written {code:?}, want {want}"))
            }
            _ => self,
        }
    }
}

/// A partition, and whether it has a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPartition {
    /// Its day.
    pub day: Day,
    /// Its plan; none is there where rows stand on a day that was never entered.
    pub plan: Option<PartitionPlan>,
    /// Serials below this one are taken.
    pub next_serial: u64,
}

/// A code in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The code as it is written there.
    pub code: String,
    /// What it stands for.
    pub is: AuditEntryIs,
}

/// What the directory says of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEntryIs {
    /// A coupon of a campaign that the store does not know.
    Gone,
    /// A campaign's word.
    Shared {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A coupon.
    Coupon {
        /// Whose it is.
        owner: Owner,
        /// The partition that it lies in.
        day: Day,
        /// From when and until when the line said that it works; `None` for a minted code that was
        /// moved.
        line: Option<(Millis, Millis)>,
    },
    /// Nothing that can be read.
    Unreadable(String),
}

/// One entry of a user's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditClaim {
    /// The campaign.
    pub campaign: CampaignId,
    /// The user.
    pub user: UserId,
    /// Its coupon.
    pub code: Code,
    /// Where that was then.
    pub day: Day,
    /// Which event of the coupon gave it to the user, from 1, if one issued it.
    pub issue: Option<usize>,
    /// Of an entry that is written before its coupon: what would make it true.
    pub begun: Option<Begun>,
}

/// An entry of a claim that may have come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The event of this number, from 1, ...
    pub sequence: usize,
    /// ... of this change.
    pub operation: OperationId,
}

/// A sort of index row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexRowKind {
    /// What a user may hold.
    Wallet,
    /// What may expire on a day.
    Expiring,
}

/// All of them.
pub const INDEX_ROW_KINDS: [IndexRowKind; 2] = [IndexRowKind::Wallet, IndexRowKind::Expiring];

impl IndexRowKind {
    /// Its table.
    pub fn as_str(self) -> &'static str {
        match self {
            IndexRowKind::Wallet => "wallet",
            IndexRowKind::Expiring => "expiring",
        }
    }
}

/// An index row as it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// Its sort.
    pub kind: IndexRowKind,
    /// Its coupon.
    pub code: Code,
    /// Where it says that the coupon is.
    pub day: Day,
    /// Until when it says that the coupon works.
    pub expires_at: Millis,
    /// Whose it says that it is, in a wallet.
    pub user: Option<UserId>,
    /// What the store tells coupons of one expiry apart by. Its own business.
    pub tie: i64,
    /// When it was written, in microseconds: what is removed is this index row, and none after it.
    pub written_at: i64,
}

/// A campaign and everything that is counted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCampaign {
    /// Its terms.
    pub terms: Arc<Campaign>,
    /// Its stock as it is counted.
    pub stock: u64,
    /// How many are issued, redeemed, void as it is counted.
    pub all: [i64; 3],
    /// Of those, how many lie in cold as it is counted.
    pub cold: [i64; 3],
    /// How many rows here are issued, redeemed, void, at the same moment; only of a store that can
    /// tell.
    pub rows: Option<[i64; 3]>,
    /// Its batches in the order in which they were made.
    pub batches: Vec<AuditBatch>,
}

/// A batch of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditBatch {
    /// Its name.
    pub id: BatchId,
    /// Its serials, if it was minted.
    pub run: Option<MintedRun>,
    /// Its coupons as it is counted.
    pub count: u64,
    /// When it was made.
    pub made_at: Millis,
    /// The coupon of each serial below `first + offered` has a row somewhere; 0 where that is not
    /// known.
    pub offered: u64,
}

/// Something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it stands, as it is written there.
    pub about: String,
    /// Why.
    pub why: String,
}

/// Some items, and where the next page begins; `None` at the end.
#[derive(Clone, Debug)]
pub struct AuditPage<T> {
    /// In the store's own stable order. There may be none, and a next page all the same.
    pub items: Vec<T>,
    /// What else stands on the page, of things that are nothing where they cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// The store's own business.
    pub next: Option<String>,
}

/// By how much the counts of a campaign are to be lowered so that they are right again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountShift {
    /// The campaign.
    pub campaign: CampaignId,
    /// Of what is counted of all: issued, redeemed, void.
    pub all: [i64; 3],
    /// Of what is counted of cold.
    pub cold: [i64; 3],
    /// Of what is counted as stock.
    pub stock: i64,
}

/// How a store does what the protocols describe in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// Each protocol as one transaction: nothing half done is ever there.
    OneTransaction,
    /// Step by step: what the protocols allow in between may stay for good after a killed process.
    StepByStep,
}

/// Everything that a store has written down. Only the methods that say so write.
///
/// # Errors
/// Any [`HotError`], from every method. What cannot be read is an item.
#[async_trait]
pub trait Audit: Send + Sync + 'static {
    /// How it goes about the protocols.
    fn atomicity(&self) -> Atomicity;

    /// What is wrong with its files, as the engine itself sees it. May read everything.
    async fn audit_files(&self) -> Result<Vec<String>, HotError>;

    /// Every partition that has a plan, emptied ones too, or a row; by day.
    async fn audit_partitions(&self) -> Result<Vec<AuditPartition>, HotError>;

    /// Everything that stands in a partition behind `after`, in the order of codes, at least
    /// `limit` codes unless it ends before.
    async fn audit_rows(
        &self,
        day: Day,
        after: String,
        limit: usize,
    ) -> Result<Vec<AuditRow>, HotError>;

    /// What stands in these spots now; for each none, one, or what may not be, more.
    async fn audit_spots(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<AuditRow>>, HotError>;

    /// Every campaign and what is counted of it. Memory for all of them; may read every row.
    async fn audit_campaigns(&self) -> Result<Vec<AuditCampaign>, HotError>;

    /// A page of the directory.
    async fn audit_entries(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<AuditPage<AuditEntry>, HotError>;

    /// What the directory says of these codes; same order.
    async fn audit_entries_of(&self, codes: Vec<Code>)
    -> Result<Vec<Option<AuditEntry>>, HotError>;

    /// A page of the claims.
    async fn audit_claims(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<AuditPage<AuditClaim>, HotError>;

    /// Whether these users' claims name these codes; same order.
    async fn audit_claimed(
        &self,
        asked: Vec<(CampaignId, UserId, Code)>,
    ) -> Result<Vec<bool>, HotError>;

    /// A page of the index rows of a sort.
    async fn audit_index_rows(
        &self,
        kind: IndexRowKind,
        after: Option<String>,
        limit: usize,
    ) -> Result<AuditPage<IndexRow>, HotError>;

    /// Which index rows these coupons, which have rows in these partitions, do not have; same
    /// order.
    async fn audit_unindexed(
        &self,
        coupons: Vec<(Day, Coupon)>,
    ) -> Result<Vec<Vec<IndexRowKind>>, HotError>;

    /// Writes the index rows of a coupon that has a row in a partition.
    async fn mend_index_rows(&self, day: Day, coupon: Coupon) -> Result<(), HotError>;

    /// Removes index rows as old as they were read, and none that was written since.
    async fn remove_index_rows(&self, index_rows: Vec<IndexRow>) -> Result<(), HotError>;

    /// Sets counts right; how many campaigns were changed. Those that somebody has moved to cold
    /// from meanwhile are left as they are.
    async fn mend_counts(&self, shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64, HotError>;
}
