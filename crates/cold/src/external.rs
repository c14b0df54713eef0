//! The table `coupons` for a reader with an engine of its own: the files of a version, their
//! statistics, and the store to read them from.
//!
//! Such a reader sees the files as Delta has them. Unlike the rest of this crate, it does not verify their checksums.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use coupon::coupon::Coupon;
use object_store::ObjectStore;

pub use crate::bounds::ColumnBounds;
use crate::encode;
use crate::error::Result;
use crate::live::ColdFile;
use crate::schema::COUPONS;
use crate::store::{ColdPartition, ColdStore};

impl ColdStore {
    /// Looks up the partitions that have files, by day, at the newest version or at an earlier one;
    /// none if there is no table.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also for a version that does not exist; [`ColdError::Damaged`].
    pub async fn snapshot(&self, version: Option<u64>) -> Result<Vec<ColdPartition>> {
        let table = &self.inner.coupons;
        let Some(mut known) = table.newest_if_any().await? else { return Ok(Vec::new()) };
        if let Some(version) = version.filter(|version| *version != known.version) {
            known = Arc::new(table.at(version).await?);
        }
        Ok(known.files.keys().map(|day| ColdPartition::of(&known, *day)).collect())
    }

    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.location.store)
    }

    /// The name of a file within [`ColdStore::objects`].
    pub fn object(&self, file: &ColdFile) -> String {
        file.live.object().to_string()
    }
}

impl ColdFile {
    /// Bytes at the end of the file that hold its footer, rounded up.
    pub fn footer_bytes(&self) -> u64 {
        self.live.footer_bytes()
    }

    pub fn bounds(&self) -> &ColumnBounds {
        &self.live.bounds
    }
}

/// The columns of a file that describe a coupon, without `archived_in`.
pub fn columns() -> SchemaRef {
    let columns = COUPONS.to_arrow();
    let is_of_coupon = |field: &&FieldRef| field.name() != "archived_in";
    Arc::new(Schema::new(columns.fields().iter().filter(is_of_coupon).cloned().collect::<Fields>()))
}

/// Encodes coupons as rows of a file.
///
/// # Errors
/// An error of Arrow, which no valid coupon causes.
pub fn rows(coupons: &[Coupon]) -> Result<RecordBatch, ArrowError> {
    let mut all = encode::columns(&coupons.iter().collect::<Vec<_>>())?;
    all.extend(encode::redeemed(coupons.iter()));
    RecordBatch::try_new(columns(), all)
}
