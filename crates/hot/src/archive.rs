//! The cold tier as a hot store sees it: a hot store does not depend on `cold`.

use std::error::Error;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;

/// Archived coupons. A coupon that is found here never changes any more.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// The coupons of `codes` in the partition `day`: one answer for each, in the same order. `None` is
    /// true of a state of the cold tier that was read after the call began and that has the archive
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

/// The archive of a store that has never archived anything.
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
