//! Everything that a store holds, as plain values and page by page: `verify` checks it, and `copy`
//! moves it to another engine.
//!
//! Nothing here decides whether an item is right. What cannot be read is an item like any other, so that it does not
//! hide the rest. Others write between two pages, so whoever finds something wrong must look at it again.

mod checksums;
mod copying;
mod items;
mod pages;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use coupon::worth::WorthSums;

use crate::settings::{
    COLD_BEGUN, COLD_COMMITTED, FEED_EPOCH, FEED_EPOCHS_BEFORE, LONG_CODES, SERIAL_FLOOR,
};
use crate::{Facts, Result};
pub use checksums::ItemSum;
pub use copying::{Compared, Copied, CopyError, compare, copy, copy_facts};
pub use items::{
    BatchItem, Begun, CampaignItem, ClaimItem, EntryIs, EntryItem, IndexRow, IndexRowKind, Item,
    PartitionItem, ReplacementItem, RowIs, RowItem, Unreadable, Vanishing,
};
pub use pages::{PAGE_ITEMS, Pages, all};

/// A table of a store, in the order in which they are copied: each needs those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Partitions,
    /// Campaigns with their batches and counts.
    Campaigns,
    Accounts,
    /// Coupons that have rows, and archived markers, in the order in which they are stored.
    Coupons,
    Directory,
    /// Who became a holder, under which name.
    Claims,
    Replacements,
    /// Settings that matter. Last of those that are copied: the marks of the cold tier keep `serve`
    /// from working with a target before all of it is there.
    Settings,
    /// Index rows of a kind. They follow from the coupons, so they are not copied.
    IndexRows(IndexRowKind),
}

/// All tables that are copied, in the sequence of [`Table`]: each needs those before it.
pub const COPIED: [Table; 8] = [
    Table::Partitions,
    Table::Campaigns,
    Table::Accounts,
    Table::Coupons,
    Table::Directory,
    Table::Claims,
    Table::Replacements,
    Table::Settings,
];

/// The settings that are copied. Their names are the same in every store. Numbers only ever rise.
pub const COPIED_SETTINGS: [&str; 6] =
    [LONG_CODES, SERIAL_FLOOR, COLD_BEGUN, COLD_COMMITTED, FEED_EPOCH, FEED_EPOCHS_BEFORE];

impl Table {
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Partitions => "days",
            Table::Campaigns => "campaigns",
            Table::Accounts => "accounts",
            Table::Coupons => "coupons",
            Table::Directory => "entries",
            Table::Claims => "claims",
            Table::Replacements => "replacements",
            Table::Settings => "settings",
            Table::IndexRows(kind) => kind.as_str(),
        }
    }
}

/// Some items, and where the next page of the table begins; `None` at its end.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the store's own stable order. There may be none, and a next page all the same.
    pub items: Vec<Item>,
    /// Only the store reads it. It is text, so that it can be stored.
    pub next: Option<String>,
}

/// How a store runs what the protocols describe in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// Each protocol as one transaction: nothing half done is ever there.
    OneTransaction,
    /// Step by step: what the protocols allow in between may stay for good after a killed process.
    StepByStep,
}

/// How much to subtract from the counts of a campaign so that they are right again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountShift {
    pub campaign: CampaignId,
    /// Of what is counted of all: issued, redeemed, void.
    pub all: [i64; 3],
    /// Of what is counted of cold.
    pub cold: [i64; 3],
    /// Of what is counted as stock.
    pub stock: i64,
    /// The amounts of its redemptions as they were read, and as they must be.
    pub worth: Option<[WorthSums; 2]>,
    /// What its live redemptions cost as it was read, and as it must be.
    pub spent: Option<[u64; 2]>,
}

/// What a target may already have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nothing of these items.
    First,
    /// Older versions of them, or the same.
    Again,
}

/// Everything that a store holds, as it is stored. What cannot be read is an item.
#[async_trait]
pub trait Inventory: Facts + 'static {
    /// A page of some `limit` items of a table, behind the position `after` of an earlier page.
    async fn page(&self, of: Table, after: Option<String>, limit: usize) -> Result<Page>;
}

/// A store that `verify` can check: what it says of single coupons, and what follows from others and
/// can be set right. Only the methods that say so write.
#[async_trait]
pub trait Verifiable: Inventory {
    /// How it runs the protocols. Decides for `verify` which contradictions are findings and which
    /// are only notes, how long it waits before it looks again, and whether counts must be right (then
    /// `mend_counts` corrects them) or may drift.
    fn atomicity(&self) -> Atomicity;

    /// What is wrong with its files, as the engine itself sees it. May read everything.
    async fn engine_faults(&self) -> Result<Vec<String>>;

    /// Every campaign with its counts. With [`Atomicity::OneTransaction`] the counts and
    /// [`CampaignItem::rows`] are of one moment. With [`Atomicity::StepByStep`] there are no `rows`.
    /// Memory for all campaigns; may read every row.
    async fn counted_campaigns(&self) -> Result<Vec<CampaignItem>>;

    /// The first partition from `from` on that has a plan, an emptied one too, or a row.
    async fn next_partition(&self, from: Day) -> Result<Option<Day>>;

    /// Everything that stands in a partition behind `after`, in the order of codes, at least
    /// `limit` codes unless it ends before.
    async fn rows_by_code(&self, day: Day, after: String, limit: usize) -> Result<Vec<RowItem>>;

    /// What stands in these spots now; for each none, one, or what may not be, more.
    async fn rows_at(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<RowItem>>>;

    /// What the directory says of these codes; same order.
    async fn entries_at(&self, codes: Vec<Code>) -> Result<Vec<Option<EntryItem>>>;

    /// Whether these users' claims name these codes; same order.
    async fn claimed(&self, asked: Vec<(CampaignId, UserId, Code)>) -> Result<Vec<bool>>;

    /// Which index rows these coupons, which have rows, do not have; same order.
    async fn unindexed(&self, coupons: Vec<Coupon>) -> Result<Vec<Vec<IndexRowKind>>>;

    /// Writes the index rows of a coupon that has a row in a partition.
    async fn mend_index_rows(&self, day: Day, coupon: Coupon) -> Result<()>;

    /// Deletes index rows as old as they were read, and none that was written since.
    async fn remove_index_rows(&self, index_rows: Vec<IndexRow>) -> Result<()>;

    /// Sets counts right; how many campaigns were changed. Those that somebody has moved to cold
    /// from meanwhile are left as they are.
    async fn mend_counts(&self, shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64>;
}

/// A store that can be copied to another engine. Nothing half done is ever in it: it runs each
/// protocol as one transaction.
#[async_trait]
pub trait CopySource: Send + Sync + 'static {
    /// What else it says of itself: by which name its copies know it.
    fn facts(&self) -> &dyn Facts;

    /// A page of a table, as of [`Inventory::page`], with two differences: a claim names the partition
    /// in which its coupon is now, and a directory entry has the imported state of the last line also
    /// where the coupon's row keeps it.
    async fn page_to_copy(&self, of: Table, after: Option<String>, limit: usize) -> Result<Page>;

    /// Which of these are here; same order.
    async fn has(&self, items: &[Vanishing]) -> Result<Vec<bool>>;

    /// Which coupons orders have redeemed, in either tier: at most `limit` entries, in an order of the store's own,
    /// behind one of an earlier call.
    async fn orders(&self, after: Option<OrderEntry>, limit: usize) -> Result<Vec<OrderEntry>>;
}

/// An order has redeemed a coupon. It is a hint, as what [`Redemptions`](crate::redemptions::Redemptions) says of
/// orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEntry {
    /// See [`OrderEntry::hash_of`].
    pub order_hash: i32,
    pub code: Code,
    pub redeemed_on: Day,
}

impl OrderEntry {
    /// The low 32 bits of the XXH3-64 of the order. Stored, so never changed.
    pub fn hash_of(order: &str) -> i32 {
        xxhash_rust::xxh3::xxh3_64(order.as_bytes()) as i32
    }
}

/// A store that a copy can fill. What is put is durable before the call returns. It may be put again:
/// of two versions the higher one stays, and nothing is undone that somebody has changed meanwhile.
#[async_trait]
pub trait Importer: Inventory {
    /// Puts items of one table in the place of what stands here of them, if that is older.
    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<()>;

    async fn remove(&self, items: Vec<Vanishing>) -> Result<()>;

    /// After the last page of a pass.
    async fn settle(&self) -> Result<()>;
}
