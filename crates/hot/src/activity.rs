//! How often coupons of a campaign were issued, redeemed and given back, and what that was worth, by the quarter of
//! an hour.
//!
//! A store adds them up from the events of its feed, each once, so that the sums are exact. They are kept
//! longer than events, and are a few bytes whatever happens, and for each currency some more.

use std::time::Duration;

use async_trait::async_trait;
use coupon::ids::CampaignId;
use coupon::time::Millis;
use coupon::worth::WorthSums;

use crate::Result;

/// A quarter of an hour: in every time zone days and hours begin with one.
pub const QUARTER_MS: i64 = 15 * 60 * 1_000;

/// How long sums are kept: the longest time for which they can be asked.
pub const ACTIVITY_KEEP: Duration = Duration::from_secs(731 * 86_400);

/// The number under which the amounts of all quarters together are kept, for ever. Before that of every instant.
pub const ALL_TIME: i64 = i64::MIN;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Coupons that a user became the holder of.
    pub issued: u64,
    /// Redemptions, cancelled later or not.
    pub redeemed: u64,
    /// Redemptions that were cancelled.
    pub cancelled: u64,
    /// The amounts of these redemptions, where any are known.
    pub worth: WorthSums,
}

impl Activity {
    pub fn add(&mut self, more: &Activity) {
        self.issued += more.issued;
        self.redeemed += more.redeemed;
        self.cancelled += more.cancelled;
        self.worth.add(&more.worth);
    }
}

/// The number of the quarter of an hour in which `at` is, since 1970.
pub fn quarter_of(at: Millis) -> i64 {
    at.0.div_euclid(QUARTER_MS)
}

#[async_trait]
pub trait Activities: Send + Sync {
    /// The quarters from `from` on and before `until` in which anything was done, by their numbers: of one
    /// campaign, or of all together. [`ALL_TIME`] has amounts alone. Counts first what was not counted yet.
    async fn activity(
        &self,
        campaign: Option<CampaignId>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, Activity)>>;

    /// Counts what was not counted yet: before its events are deleted.
    async fn count_activity(&self) -> Result<()>;

    /// Deletes the sums of quarters before this one, and returns how many. 0 in a store whose rows end by themselves.
    async fn forget_activity(&self, _before: i64) -> Result<u64> {
        Ok(0)
    }
}
