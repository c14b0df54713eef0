//! The sentence that couponry was built on: *a router crate hashes coupon codes across partitions
//! and keeps active coupons in a hot table bucketed by expiry date*. This is that crate: it alone
//! turns a code into an expiry day and a bucket.
//!
//! The sentence uses two words the other way round. What it buckets by expiry date is our
//! **partition**: all coupons that expire on one UTC day. The partitions over which it hashes are
//! our **buckets**: the parts of one partition, chosen by a hash of the code ([`bucket`]).
//!
//! A minted code contains its expiry day, so its [`BucketKey`] is computed; for any other code the
//! directory has the day. The [`Router`] knows the keys and this arithmetic, and asks the
//! [`Directory`] it is given for everything else.
//!
//! A **run** is the serial range of one minted batch. The router caches runs and plans, which never
//! change once they exist. It never caches that one is missing: it may exist a moment later.

mod address;
mod cache;
mod directory;
pub mod merging;
mod openings;
mod ring;
mod unknown;

use std::sync::Arc;

use coupon::code::{Code, CodeText};
use coupon::minted::{CodeKey, KeyId};
use coupon::time::Day;

pub use address::{Address, BUCKET_BITS_DEFAULT, BucketKey, Found, Owner, bucket};
pub use cache::REMEMBERED_MAX;
use cache::RouterCache;
pub use directory::{Directory, Entry, OwnedRun};
pub use openings::{home, openings};
pub use ring::KeyRing;
pub use unknown::Unknown;
use unknown::{meant, unknown};

/// Finds coupons by what people type.
#[derive(Debug)]
pub struct Router {
    keys: KeyRing,
    remembered: RouterCache,
}

impl Router {
    /// A router that opens codes with `keys`.
    pub fn new(keys: impl Into<KeyRing>) -> Router {
        Router { keys: keys.into(), remembered: RouterCache::default() }
    }

    /// The keys that it opens codes with, the newest last.
    pub fn keys(&self) -> Arc<[CodeKey]> {
        self.keys.current()
    }

    /// Whether `code` opens under one of the keys.
    pub fn opens(&self, code: &Code) -> bool {
        home(&self.keys(), code).is_some()
    }

    /// Whether `text` opens under one of the keys: no foreign code may look like that.
    pub fn looks_minted(&self, text: &CodeText) -> bool {
        text.minted().is_some_and(|code| self.opens(&code))
    }

    /// What `text`, which no coupon has, may be. About 0.1 ms for each key.
    pub fn unknown(&self, text: &CodeText) -> Unknown {
        unknown(&self.keys(), text)
    }

    /// The minted code of which `text` is a mistyping, if it is one. About 0.1 ms for each key.
    pub fn meant(&self, text: &CodeText) -> Option<Code> {
        meant(&self.keys(), &text.minted()?)
    }

    /// What `text` stands for; `None` if it can stand for nothing.
    ///
    /// Reads nothing for a minted code whose run is cached, and nothing for a text of 16 or more
    /// characters that does not open, unless the store has foreign codes of that length.
    pub async fn find<E: Send>(
        &self,
        text: &CodeText,
        directory: &dyn Directory<Error = E>,
    ) -> Result<Option<Found>, E> {
        if let Some(code) = text.minted()
            && let Some((serial, found)) = self.minted_for(&code, directory).await?
        {
            let bucket_key = self.bucket_key(&code, found.run.day, directory).await?;
            let (owner, hint) = (found.owner.clone(), found.hint_of(serial));
            return Ok(Some(Found::Coupon(Address {
                code,
                bucket_key,
                owner,
                minted: true,
                hint,
            })));
        }
        // Before the directory: so a forged code of minted length costs no read of it.
        if text.is_long() && !directory.has_long_codes().await? {
            return Ok(None);
        }
        let code = text.foreign().clone();
        match directory.entry(&code).await? {
            None => Ok(None),
            Some(Entry::Shared { campaign }) => Ok(Some(Found::Shared { campaign })),
            Some(Entry::Coupon { day, owner, hint }) => {
                let bucket_key = self.bucket_key(&code, day, directory).await?;
                Ok(Some(Found::Coupon(Address { code, bucket_key, owner, minted: false, hint })))
            }
        }
    }

    /// The serial of a minted code, and its run: the first opening whose serial a run has.
    async fn minted_for<E: Send>(
        &self,
        code: &Code,
        directory: &dyn Directory<Error = E>,
    ) -> Result<Option<(u64, Arc<OwnedRun>)>, E> {
        let keys = self.keys();
        // A foreign code may open by chance: only the range of a run makes a code minted.
        for (key, minted) in openings(&keys, code) {
            let found = self.run_of(key, minted.day, minted.serial, directory).await?;
            if let Some(found) = found {
                return Ok(Some((minted.serial, found)));
            }
        }
        Ok(None)
    }

    async fn run_of<E: Send>(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
        directory: &dyn Directory<Error = E>,
    ) -> Result<Option<Arc<OwnedRun>>, E> {
        if let Some(found) = self.remembered.run_of(key, day, serial) {
            return Ok(Some(found));
        }
        let found = directory.run_of(key, day, serial).await?;
        Ok(found.map(|found| self.remembered.keep_run(found)))
    }

    async fn bucket_key<E: Send>(
        &self,
        code: &Code,
        day: Day,
        directory: &dyn Directory<Error = E>,
    ) -> Result<BucketKey, E> {
        let bits = match self.remembered.bits(day) {
            Some(bits) => Some(bits),
            // A day without a plan has no rows. It may get one a moment later, so this answer is
            // not cached.
            None => {
                let bits = directory.bucket_bits(day).await?;
                bits.map(|bits| self.remembered.keep_bits(day, bits))
            }
        };
        Ok(BucketKey { expiry_day: day, bucket: bits.map(|bits| bucket(code, bits)) })
    }
}

#[cfg(test)]
mod tests;
