//! The table `coupons` for a reader with an engine of its own: the files of a version, their
//! statistics, and the store to read them from.
//!
//! Such a reader sees the files as Delta has them. Unlike the rest of this crate, it does not
//! verify their checksums.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use coupon::coupon::Coupon;
use coupon::time::Millis;
use object_store::ObjectStore;

use crate::error::ColdError;
use crate::store::{ColdFile, ColdStore, Partition};
use crate::{encode, schema};

/// The table at one version.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The version.
    pub version: u64,
    /// The partitions that have files, by day.
    pub partitions: Vec<Partition>,
}

/// The minimum and the maximum of a column in a file.
pub type Ends<T> = Option<(T, T)>;

impl ColdStore {
    /// Looks up the table at the newest version, or at an earlier one; `None` if there is no table.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also for a version that does not exist; [`ColdError::Damaged`].
    pub async fn snapshot(&self, version: Option<u64>) -> Result<Option<Snapshot>, ColdError> {
        let table = &self.inner.coupons;
        let Some(mut known) = table.newest_if_any().await? else { return Ok(None) };
        if let Some(version) = version.filter(|version| *version != known.version) {
            known = match version < known.version {
                true => Arc::new(table.at(version).await?),
                false => {
                    return Err(self.inner.location.unavailable(format!(
                        "there is no version {version} of coupons, the newest is {}",
                        known.version
                    )));
                }
            };
        }
        let partitions = known.files.iter().map(|(day, files)| Partition {
            day: *day,
            version: known.version,
            archive_commit: known.archive_commit(*day),
            files: files.iter().map(|live| ColdFile { live: Arc::clone(live) }).collect(),
        });
        Ok(Some(Snapshot { version: known.version, partitions: partitions.collect() }))
    }

    /// The store that has the files.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.location.store)
    }

    /// The name of a file within [`ColdStore::objects`].
    pub fn object(&self, file: &ColdFile) -> String {
        self.inner.coupons.object(file.path()).to_string()
    }
}

impl ColdFile {
    /// Bytes at the end of the file that hold its footer, rounded up.
    pub fn footer_bytes(&self) -> u64 {
        self.live.footer_bytes
    }

    /// The first and the last code.
    pub fn codes(&self) -> Ends<&str> {
        ends(self.live.bounds.code.as_ref())
    }

    /// The first and the last campaign.
    pub fn campaigns(&self) -> Ends<&str> {
        ends(self.live.bounds.campaign.as_ref())
    }

    /// The first and the last holder.
    pub fn holders(&self) -> Ends<&str> {
        ends(self.live.bounds.holder.as_ref())
    }

    /// The first and the last expiry.
    pub fn expiries(&self) -> Ends<Millis> {
        self.live.bounds.expires_at
    }

    /// The first and the last change.
    pub fn changes(&self) -> Ends<Millis> {
        self.live.bounds.modified_at
    }
}

/// The columns of a file that describe a coupon, without `archived_in`.
pub fn columns() -> SchemaRef {
    let columns = schema::coupons_arrow();
    let is_of_coupon = |field: &&FieldRef| field.name() != "archived_in";
    Arc::new(Schema::new(columns.fields().iter().filter(is_of_coupon).cloned().collect::<Fields>()))
}

/// Encodes coupons as rows of a file.
///
/// # Errors
/// An error of Arrow, which no valid coupon causes.
pub fn rows(coupons: &[Coupon]) -> Result<RecordBatch, ArrowError> {
    let all = encode::columns(&coupons.iter().collect::<Vec<_>>())?;
    RecordBatch::try_new(columns(), all)
}

fn ends(found: Option<&(String, String)>) -> Ends<&str> {
    found.map(|(first, last)| (first.as_str(), last.as_str()))
}
