//! The plan of a partition, and a campaign with its batches and everything that is counted of it.

use std::sync::Arc;

use coupon::campaign::{Campaign, ImportCounts, MintedRun};
use coupon::ids::BatchId;
use coupon::time::{Day, Millis};

/// The plan of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionItem {
    /// The day.
    pub day: Day,
    /// The partition may be sealed after this instant.
    pub seal_after: Millis,
    /// Whether no coupon may come to it any more.
    pub closing: bool,
    /// Whether nothing in it changes any more.
    pub sealed: bool,
    /// The last archive commit that was moved to cold.
    pub archive_commit: u64,
    /// Whether all of it was.
    pub emptied: bool,
    /// Serials below this one are taken.
    pub next_serial: u64,
}

/// A campaign. Counts are issued, redeemed, void.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignItem {
    /// Its terms.
    pub terms: Arc<Campaign>,
    /// The request that made it, in its normal form.
    pub created_as: String,
    /// In the order in which they were made.
    pub batches: Vec<BatchItem>,
    /// Its stock as it is counted.
    pub stock: u64,
    /// How many of its coupons are in which state, as it is counted.
    pub all: [i64; 3],
    /// Of those, how many lie in cold as it is counted.
    pub cold: [i64; 3],
    /// How many rows here are in which state, at the same moment as the counts. Only from
    /// `counted_campaigns` of a store whose `atomicity` is one transaction.
    pub rows: Option<[i64; 3]>,
}

/// A batch of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// Its name.
    pub id: BatchId,
    /// Its serials, if it was minted.
    pub run: Option<MintedRun>,
    /// Its coupons as it is counted: of an imported batch, those that have come into it.
    pub count: u64,
    /// Whether it is paused.
    pub paused: bool,
    /// And why.
    pub paused_reason: Option<String>,
    /// How its last import ended.
    pub import: ImportCounts,
    /// When it was made.
    pub created_at: Millis,
    /// Every serial below `first + offered` has a row somewhere. 0 where that is not known.
    pub offered: u64,
}

impl BatchItem {
    /// The same without what is counted, which two stores count in their own ways.
    pub fn uncounted(&self) -> BatchItem {
        BatchItem { count: 0, offered: 0, ..self.clone() }
    }
}
