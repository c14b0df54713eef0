//! The cold tier as the hot store sees it, with a time limit on every look-up.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cold::{ColdError, ColdStore};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{Archive, HotError};

use crate::failure::{Failure, Result};

/// The time that each code adds to [`ColdStore::look_up_max`]: an import looks up two hundred at
/// once, each in a row group.
const EACH_CODE: Duration = Duration::from_millis(200);

/// One step of a list, or one look-up. Cold is unavailable if the step does not end in time.
pub(crate) async fn in_time<T, E>(
    cold: &ColdStore,
    codes: usize,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T>
where
    Failure: From<E>,
{
    match timed(cold, codes, work).await {
        Ok(ended) => Ok(ended?),
        Err(late) => Err(Failure::Store(HotError::Cold(late.into()))),
    }
}

/// The result of `work`, or a sentence that it did not end in the time for so many codes.
async fn timed<T>(
    cold: &ColdStore,
    codes: usize,
    work: impl Future<Output = T>,
) -> Result<T, String> {
    let limit = cold.look_up_max() + EACH_CODE * u32::try_from(codes).unwrap_or(u32::MAX);
    tokio::time::timeout(limit, work).await.map_err(|_| {
        format!("cold store {} has not answered within {} s", cold.location(), limit.as_secs())
    })
}

/// Answers a hot store from a cold tier, within some seconds.
pub struct ColdArchive(pub Arc<ColdStore>);

#[async_trait]
impl Archive for ColdArchive {
    async fn coupons(
        &self,
        day: Day,
        archive_commit: u64,
        codes: &[Code],
    ) -> Result<Vec<Option<Coupon>>, Box<dyn Error + Send + Sync>> {
        let found = self.0.find_with(day, archive_commit, codes);
        timed(&self.0, codes.len(), found).await?.map_err(Into::into)
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
