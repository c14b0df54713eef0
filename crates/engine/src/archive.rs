//! The cold tier as the hot store asks it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use cold::{ColdError, ColdStore};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{Archive, HotError};

use crate::failure::Failure;

/// Answers a hot store out of a cold tier.
pub struct ColdArchive(pub Arc<ColdStore>);

#[async_trait]
impl Archive for ColdArchive {
    async fn coupons(
        &self,
        day: Day,
        unit: u64,
        codes: &[Code],
    ) -> Result<Vec<Option<Coupon>>, Box<dyn Error + Send + Sync>> {
        self.0.find_with(day, unit, codes).await.map_err(Into::into)
    }
}

impl From<ColdError> for Failure {
    fn from(error: ColdError) -> Failure {
        match error {
            ColdError::TooMuch { rows, max } => Failure::invalid(
                "campaign_id",
                format!(
                    "this would look at {rows} archived coupons, and a list looks at {max} at \
                     most: give a narrower span, or use `couponry export`"
                ),
            ),
            error => Failure::Store(HotError::Cold(Box::new(error))),
        }
    }
}
