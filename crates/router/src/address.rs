//! Where a coupon is, and whose it is: also the arithmetic from a code to its bucket.

use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Day;
use xxhash_rust::xxh3::xxh3_64;

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

/// Bits of the hash that number the buckets of a day whose plan does not say otherwise: 4,096
/// buckets, some six thousand coupons in each when ten billion coupons lie on 400 days.
pub const BUCKET_BITS_DEFAULT: u8 = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKey {
    pub expiry_day: Day,
    /// The bucket, from 0. `None` where nobody has computed it, or where the day had no plan then:
    /// a store that needs it reads the plan.
    pub bucket: Option<u32>,
}

impl From<Day> for BucketKey {
    /// The partition alone.
    fn from(expiry_day: Day) -> BucketKey {
        BucketKey { expiry_day, bucket: None }
    }
}

/// The bucket of `code` among `1 << bits`: the top `bits` bits of XXH3-64 of the code. Never
/// changes: a row that one release writes must be found by every later release.
pub fn bucket(code: &Code, bits: u8) -> u32 {
    match bits {
        0 => 0,
        bits => (xxh3_64(code.as_str().as_bytes()) >> (64 - u32::from(bits.min(32)))) as u32,
    }
}
