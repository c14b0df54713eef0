//! What a compaction would do now: whoever builds the console finds it out.

use coupon::time::Day;
use futures::future::BoxFuture;

/// Says what a compaction would do now, or why that cannot be said. Reads both tiers, and changes nothing.
pub type ReadPlan = dyn Fn() -> BoxFuture<'static, Result<CompactionPlan, String>> + Send + Sync;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionPlan {
    pub works: Vec<PlannedWork>,
    /// Why it would do less than usual.
    pub warning: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedWork {
    pub day: Day,
    pub pass: PlannedPass,
    /// Closed coupons that wait.
    pub waiting: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedPass {
    /// Finish what another run has left.
    Finish,
    /// Archive the closed coupons.
    Closed,
    /// Seal the day, and archive all of it.
    Expired,
}
