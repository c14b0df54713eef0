//! The directory: the look-ups that a code alone does not answer.

use async_trait::async_trait;
use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::minted::KeyId;
use coupon::time::Day;

use crate::Owner;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A foreign coupon, or one that was moved to a later partition.
    Coupon {
        day: Day,
        owner: Owner,
        /// A number by which the store may find the coupon without its entry. It can be wrong by the
        /// time it is used, so the store checks what it finds.
        hint: Option<i64>,
    },
    Shared {
        campaign: CampaignId,
    },
}

/// A run of serials, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRun {
    /// The batch that has it.
    pub owner: Owner,
    pub run: MintedRun,
    /// A number by which the store finds the coupon of the first serial; that of each next one is one more.
    pub hint: Option<i64>,
}

impl OwnedRun {
    pub fn hint_of(&self, serial: u64) -> Option<i64> {
        let offset = i64::try_from(serial.checked_sub(self.run.first)?).ok()?;
        self.hint?.checked_add(offset)
    }
}

/// What a [`crate::Router`] asks a store. Each method is one point read.
#[async_trait]
pub trait Directory: Send + Sync {
    type Error: Send;

    /// The entry of a foreign, shared or moved code.
    async fn entry(&self, code: &Code) -> Result<Option<Entry>, Self::Error>;

    /// The run that has `serial` of `day` under `key`.
    async fn run_of(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> Result<Option<OwnedRun>, Self::Error>;

    /// How many bits of the hash number the buckets of `day`; `None` before the day has a plan.
    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>, Self::Error>;

    /// Whether any foreign or shared code has 16 or more characters. If none has, a text of that
    /// length with a wrong tag is refused without a read.
    async fn has_long_codes(&self) -> Result<bool, Self::Error>;
}
