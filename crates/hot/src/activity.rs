//! How often coupons of a campaign were issued, redeemed and given back, by the quarter of an hour.
//!
//! A store adds them up from the events of its feed, each once, so that the sums are exact. They are kept
//! longer than events, and are a few bytes whatever happens.

use std::time::Duration;

use async_trait::async_trait;
use coupon::ids::CampaignId;
use coupon::time::Millis;

use crate::Result;

/// A quarter of an hour: in every time zone days and hours begin with one.
pub const QUARTER_MS: i64 = 15 * 60 * 1_000;

/// How long sums are kept: the longest time for which they can be asked.
pub const ACTIVITY_KEEP: Duration = Duration::from_secs(731 * 86_400);

/// What was done how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Coupons that a user became the holder of.
    pub issued: u64,
    /// Redemptions, cancelled later or not.
    pub redeemed: u64,
    /// Redemptions that were cancelled.
    pub cancelled: u64,
}

impl Activity {
    pub fn add(&mut self, more: Activity) {
        self.issued += more.issued;
        self.redeemed += more.redeemed;
        self.cancelled += more.cancelled;
    }
}

/// The number of the quarter of an hour in which `at` is, since 1970.
pub fn quarter_of(at: Millis) -> i64 {
    at.0.div_euclid(QUARTER_MS)
}

#[async_trait]
pub trait Activities: Send + Sync {
    /// The quarters from `from` on and before `until` in which anything was done, by their numbers: of one
    /// campaign, or of all together. Counts first what was not counted yet.
    async fn activity(
        &self,
        campaign: Option<CampaignId>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, Activity)>>;

    /// Counts what was not counted yet: before its events are deleted.
    async fn count_activity(&self) -> Result<()>;

    /// Deletes the sums of quarters before this one, and returns how many.
    async fn forget_activity(&self, before: i64) -> Result<u64>;
}
