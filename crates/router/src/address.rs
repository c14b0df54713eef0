//! Where a coupon is, and whose it is.

use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};

use crate::BucketKey;

/// The campaign and the batch that a code belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub campaign: CampaignId,
    pub batch: BatchId,
}

/// Where to look for one coupon first. An extension may have moved it to a later partition; the
/// store follows it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The code, without prefix and hyphens.
    pub code: Code,
    /// Its partition, and its bucket there.
    pub bucket_key: BucketKey,
    pub owner: Owner,
    /// Whether the code was minted here, so that a missing row means Available.
    pub minted: bool,
    /// That of its entry in the directory ([`Entry::Coupon`](crate::Entry::Coupon)), or of its run
    /// ([`OwnedRun`](crate::OwnedRun)).
    pub hint: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Coupon(Address),
    Shared { campaign: CampaignId },
}
