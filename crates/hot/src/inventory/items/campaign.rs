//! The plan of a partition, and a campaign with its batches and everything that is counted of it.

use std::sync::Arc;

use coupon::campaign::{Batch, Campaign, MintedRun};
use coupon::worth::WorthSums;

use crate::PartitionPlan;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionItem {
    pub plan: PartitionPlan,
    /// Whether no coupon may come to it any more.
    pub closing: bool,
    /// Serials below this one are taken.
    pub next_serial: u64,
}

/// A campaign. Counts are issued, redeemed, void.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignItem {
    pub terms: Arc<Campaign>,
    /// The request that made it, in its normal form.
    pub created_as: String,
    /// In the order in which they were made.
    pub batches: Vec<BatchItem>,
    pub stock: u64,
    /// How many of its coupons are in which state, as it is counted.
    pub all: [i64; 3],
    /// Of those, how many lie in cold as it is counted.
    pub cold: [i64; 3],
    /// How many rows here are in which state, at the same moment as the counts. Only from
    /// `counted_campaigns` of a store whose `atomicity` is one transaction.
    pub rows: Option<[i64; 3]>,
    /// The amounts of its redemptions as they are added up, if all of them are. From where `rows` is.
    pub worth: Option<WorthSums>,
    /// What its live redemptions cost as it is counted; 0 in a store that keeps no budgets.
    pub spent: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// The batch. The count of an imported one is of those that have come into it, as it is counted.
    pub batch: Batch,
    pub paused_reason: Option<String>,
    /// Every serial below `first + offered` has a row somewhere. 0 where that is not known.
    pub offered: u64,
}

impl BatchItem {
    pub fn run(&self) -> Option<MintedRun> {
        self.batch.run()
    }

    /// The same without what is counted, which two stores count in their own ways.
    pub fn uncounted(&self) -> BatchItem {
        let BatchItem { batch, paused_reason, .. } = self.clone();
        BatchItem { batch: Batch { count: 0, ..batch }, paused_reason, offered: 0 }
    }
}
