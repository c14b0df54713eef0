//! Where a code lives.
//!
//! A minted code carries its own address: its day is inside it, and which bucket of that day
//! follows from its hash. Any other code is found through the directory. The [`Router`] knows the
//! keys and this arithmetic; what has to be looked up it asks of the [`Directory`] it is handed.
//!
//! *Partition*: all coupons of one UTC expiry day. *Bucket key*: one bucket of a partition. *Run*:
//! the serials of one minted batch. *Absence is never remembered*: a run, an entry or a plan that
//! is not there may be there a moment later; what is remembered never changes once it exists.

mod bucket_key;
mod cache;
mod ring;

use std::sync::Arc;

use async_trait::async_trait;
use coupon::campaign::MintedRun;
use coupon::code::{Code, CodeText};
use coupon::ids::{BatchId, CampaignId};
use coupon::minted::{CodeKey, KeyId};
use coupon::time::Day;

pub use bucket_key::{BUCKET_BITS_DEFAULT, BucketKey, bucket};
pub use cache::REMEMBERED_MAX;
use cache::Remembered;
pub use ring::KeyRing;

/// Whose coupon a code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The campaign.
    pub campaign: CampaignId,
    /// The batch it came in.
    pub batch: BatchId,
}

/// What the directory says of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A foreign coupon, or one that was moved to a later partition.
    Coupon {
        /// Its partition.
        day: Day,
        /// Whose it is.
        owner: Owner,
    },
    /// One word for everybody.
    Shared {
        /// The campaign behind it.
        campaign: CampaignId,
    },
}

/// Where one coupon is looked for first. An extension may have moved it to a later partition; the
/// store follows it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The code, bare.
    pub code: Code,
    /// Its bucket key.
    pub bucket_key: BucketKey,
    /// Whose it is.
    pub owner: Owner,
    /// Whether the code is of our making, so that a missing row means Available.
    pub minted: bool,
}

/// What a text that came in as a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One coupon.
    Coupon(Address),
    /// One word for everybody.
    Shared {
        /// The campaign behind it.
        campaign: CampaignId,
    },
}

/// The look-ups that a code alone does not answer. Each is one point read.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Why a look-up failed.
    type Error: Send;

    /// What the directory says of a foreign, shared or moved code.
    async fn entry(&self, code: &Code) -> Result<Option<Entry>, Self::Error>;

    /// The batch that holds `serial` of `day` under `key`, and its run.
    async fn run_of(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> Result<Option<(Owner, MintedRun)>, Self::Error>;

    /// How many bits of the hash name a bucket on `day`; `None` before the day has a plan.
    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>, Self::Error>;

    /// Whether any foreign or shared code has 16 or more characters. While there is none, a text
    /// of that length whose tag is wrong is refused without a read.
    async fn has_long_codes(&self) -> Result<bool, Self::Error>;
}

/// Finds coupons by what people type.
#[derive(Debug)]
pub struct Router {
    keys: KeyRing,
    remembered: Remembered,
}

impl Router {
    /// A router that opens codes with `keys`.
    pub fn new(keys: impl Into<KeyRing>) -> Router {
        Router { keys: keys.into(), remembered: Remembered::default() }
    }

    /// The keys it opens codes with, the newest last.
    pub fn keys(&self) -> Arc<[CodeKey]> {
        self.keys.current()
    }

    /// Whether `code` opens under one of the keys.
    pub fn opens(&self, code: &Code) -> bool {
        self.keys().iter().any(|key| key.open(code).is_some())
    }

    /// Whether `text` opens under one of the keys: no foreign code may look like that.
    pub fn looks_minted(&self, text: &CodeText) -> bool {
        text.minted().is_some_and(|code| self.opens(&code))
    }

    /// What `text` stands for, or `None` when it can be nothing.
    ///
    /// No read for a minted code whose run is remembered, and none for a text of 16 or more
    /// characters that does not open, unless the store holds foreign codes of that length.
    ///
    /// # Errors
    /// Those of the directory.
    pub async fn find<E: Send>(
        &self,
        text: &CodeText,
        directory: &dyn Directory<Error = E>,
    ) -> Result<Option<Found>, E> {
        if let Some(code) = text.minted() {
            // With ten billion coupons and two keys some codes open under both; the run decides.
            for key in self.keys().iter() {
                let Some(minted) = key.open(&code) else { continue };
                let found = self.owner(key.id(), minted.day, minted.serial, directory).await?;
                if let Some(owner) = found {
                    let bucket_key = self.bucket_key(&code, minted.day, directory).await?;
                    return Ok(Some(Found::Coupon(Address {
                        code,
                        bucket_key,
                        owner: Owner::clone(&owner),
                        minted: true,
                    })));
                }
            }
        }
        if text.is_long() && !directory.has_long_codes().await? {
            return Ok(None);
        }
        let code = text.foreign().clone();
        match directory.entry(&code).await? {
            None => Ok(None),
            Some(Entry::Shared { campaign }) => Ok(Some(Found::Shared { campaign })),
            Some(Entry::Coupon { day, owner }) => {
                let bucket_key = self.bucket_key(&code, day, directory).await?;
                Ok(Some(Found::Coupon(Address { code, bucket_key, owner, minted: false })))
            }
        }
    }

    async fn owner<E: Send>(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
        directory: &dyn Directory<Error = E>,
    ) -> Result<Option<Arc<Owner>>, E> {
        if let Some(owner) = self.remembered.owner(key, day, serial) {
            return Ok(Some(owner));
        }
        let found = directory.run_of(key, day, serial).await?;
        Ok(found.map(|(owner, run)| self.remembered.keep_run(run, owner)))
    }

    async fn bucket_key<E: Send>(
        &self,
        code: &Code,
        day: Day,
        directory: &dyn Directory<Error = E>,
    ) -> Result<BucketKey, E> {
        let bits = match self.remembered.bits(day) {
            Some(bits) => bits,
            None => match directory.bucket_bits(day).await? {
                Some(bits) => self.remembered.keep_bits(day, bits),
                // A day without a plan has no rows; the answer must not be remembered.
                None => BUCKET_BITS_DEFAULT,
            },
        };
        Ok(BucketKey { expiry_day: day, bucket: bucket(code, bits) })
    }
}

#[cfg(test)]
mod tests;
