//! Reading the coupons of one partition, each in its newest version.

use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;

use super::merge::{Head, Merge};
use crate::cursor::{Cursor, Reading};
use crate::decode;
use crate::error::ColdError;
use crate::store::{ColdFile, ColdStore, Inner, Partition};

/// The coupons of one partition, in the order of codes.
pub struct PartitionRows {
    store: ColdStore,
    merge: Merge,
    after: Option<Code>,
}

impl ColdStore {
    /// Reads the coupons of one partition after `after`, in the order of their codes, each in its
    /// newest version. Holds one row group of each file in memory.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn partition_rows(
        &self,
        partition: &Partition,
        after: Option<&Code>,
    ) -> Result<PartitionRows, ColdError> {
        let Inner { location, coupons, files, .. } = &*self.inner;
        let mut heads = Vec::with_capacity(partition.files.len());
        for ColdFile { live: file } in &partition.files {
            let object = coupons.object(&file.path);
            let footer = match files.footer(&object, file).await {
                Ok(footer) => footer,
                Err(error) => return Err(self.unread(file, error).await),
            };
            let is_behind = |at: &usize| match (&footer.groups[*at].bounds.code, after) {
                (Some((_, last)), Some(after)) => last.as_str() > after.as_str(),
                (None, _) | (_, None) => true,
            };
            let groups = (0..footer.groups.len()).filter(is_behind).collect();
            let reading = Reading::all(decode::coupons);
            let cursor = Cursor::new(location, files, object, file, footer, reading, groups);
            heads.push(Head::new(Arc::clone(file), cursor));
        }
        let merge = Merge::new(partition.day, heads);
        Ok(PartitionRows { store: self.clone(), merge, after: after.cloned() })
    }
}

impl PartitionRows {
    /// Returns the next coupons up to the code `last`, at most `limit`.
    ///
    /// # Errors
    /// As [`ColdStore::rows`].
    pub async fn up_to(
        &mut self,
        last: Option<&Code>,
        limit: usize,
    ) -> Result<Vec<Coupon>, ColdError> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(code) = self.merge.next_code(&self.store).await? else { break };
            if last.is_some_and(|last| code > *last) {
                break;
            }
            let Some(coupon) = self.merge.next(&self.store).await? else { break };
            // The row group may begin before `after`.
            if self.after.as_ref().is_none_or(|after| coupon.code() > after) {
                taken.push(coupon);
            }
        }
        Ok(taken)
    }
}
