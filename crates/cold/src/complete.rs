//! The list of complete expiry days, for programs that read the cold tier alone: it has finished
//! coupons only, so a count over other days is too low.
//!
//! A file and not a Delta table: each version replaces all of it, and nobody needs an earlier one.

use std::sync::Arc;

use arrow::array::{Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use coupon::time::Day;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use crate::encode::longs;
use crate::error::Result;
use crate::store::ColdStore;

/// In a folder of its own, because some programs read every file of a folder.
const FILE: &str = "complete_days/complete_days.parquet";

impl ColdStore {
    /// Writes which expiry days are complete: `coupons` has every coupon of them that ever
    /// changed, for ever. `days` has each of them with its rows in `coupons`, by day. Does not
    /// write a list that is there already.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], [`ColdError::Full`]. Then the earlier list stays.
    pub async fn write_complete_days(&self, days: &[(Day, u64)]) -> Result<()> {
        let location = &self.inner.location;
        let file = Path::from(FILE);
        let list = encoded(days).map_err(|error| location.damaged(FILE, error))?;
        if location.whole(&file).await?.is_some_and(|there| there == list) {
            return Ok(());
        }
        let written = location.store.put(&file, list.into()).await;
        written.map(|_| ()).map_err(|error| location.failed(&format!("writing {FILE}"), error))
    }
}

/// The same days are the same bytes.
fn encoded(days: &[(Day, u64)]) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("expiry_day", DataType::Date32, false),
        Field::new("row_count", DataType::Int64, false),
    ]));
    let expiry_days = Date32Array::from_iter_values(days.iter().map(|(day, _)| day.0));
    let rows = longs(days.iter().map(|(_, rows)| rows.cast_signed()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(expiry_days), rows])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None)?;
    writer.write(&batch)?;
    writer.into_inner()
}
