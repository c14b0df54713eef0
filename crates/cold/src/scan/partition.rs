//! Reading the coupons of one partition, each in its newest version.

use coupon::code::Code;
use coupon::coupon::Coupon;

use crate::bounds::ColumnBounds;
use crate::cursor::RowDecoder;
use crate::decode;
use crate::error::Result;
use crate::live::ColdFile;
use crate::merge::RowMerge;
use crate::store::{ColdPartition, ColdStore};

pub struct PartitionRows {
    merge: RowMerge<Coupon>,
    after: Option<Code>,
}

impl ColdStore {
    /// Reads the coupons of one partition after `after`, in the order of their codes, each in its
    /// newest version. Holds one row group of each file in memory.
    pub async fn partition_rows(
        &self,
        partition: &ColdPartition,
        after: Option<&Code>,
    ) -> Result<PartitionRows> {
        let mut files = Vec::with_capacity(partition.files.len());
        let is_behind = |bounds: &ColumnBounds| match (&bounds.code, after) {
            (Some((_, last)), Some(after)) => last.as_str() > after.as_str(),
            (None, _) | (_, None) => true,
        };
        for ColdFile { live } in &partition.files {
            let reading = RowDecoder::all(decode::coupons);
            files.push(self.open_where(&self.inner.coupons, live, reading, is_behind).await?);
        }
        Ok(PartitionRows { merge: RowMerge::new(files), after: after.cloned() })
    }
}

impl PartitionRows {
    /// Returns the next coupons up to the code `last`, at most `limit`.
    pub async fn up_to(&mut self, last: Option<&Code>, limit: usize) -> Result<Vec<Coupon>> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(next) = self.merge.peek().await? else { break };
            if last.is_some_and(|last| next.code() > last) {
                break;
            }
            let Some(coupon) = self.merge.next().await? else { break };
            // The row group may begin before `after`.
            if self.after.as_ref().is_none_or(|after| coupon.code() > after) {
                taken.push(coupon);
            }
        }
        Ok(taken)
    }
}
