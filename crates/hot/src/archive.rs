//! What a hot store asks of the cold tier, without knowing it.

use std::error::Error;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;

/// Finished coupons. What is found here never changes any more.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// The coupons of `codes` in the partition `day`, as many answers in the same order. That there
    /// is none is said of a state that was looked up after the call, and that has the archive
    /// commit `archive_commit` of the partition.
    ///
    /// # Errors
    /// Why the cold tier does not answer.
    async fn coupons(
        &self,
        day: Day,
        archive_commit: u64,
        codes: &[Code],
    ) -> Result<Vec<Option<Coupon>>, Box<dyn Error + Send + Sync>>;
}

/// For a store from which nothing has ever been moved.
#[derive(Debug)]
pub struct NoArchive;

#[async_trait]
impl Archive for NoArchive {
    async fn coupons(
        &self,
        _day: Day,
        _archive_commit: u64,
        _codes: &[Code],
    ) -> Result<Vec<Option<Coupon>>, Box<dyn Error + Send + Sync>> {
        Err("no cold tier is set up".into())
    }
}
