//! Log replay: from a snapshot of the kernel to a [`TableVersion`].

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use coupon::time::Day;
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel::schema::{DataType, StructField, StructType};
use delta_kernel::snapshot::{Snapshot, SnapshotRef};
use delta_kernel::{KernelError, KernelResult};

use super::errors::LogReadError;
use super::{DeltaEngine, TableVersion};
use crate::bounds::ColumnBounds;
use crate::live::LiveFile;
use crate::names;
use crate::schema::TableSchema;

pub(super) fn read(
    engine: &DeltaEngine,
    schema: &'static TableSchema,
    snapshot: SnapshotRef,
) -> Result<TableVersion, LogReadError> {
    let mut files: BTreeMap<Day, Vec<Arc<LiveFile>>> = BTreeMap::new();
    let scan = Arc::clone(&snapshot).scan_builder().build()?;
    for batch in scan.scan_metadata(engine)? {
        let batch = batch?.scan_files.apply_selection_vector()?.try_into_record_batch()?;
        for file in live_files(schema, &batch)? {
            files.entry(file.origin.day).or_default().push(Arc::new(file));
        }
    }
    for files in files.values_mut() {
        files.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
    }
    let archive_commits = archive_commits(engine, &snapshot)?;
    let columns = snapshot.schema();
    let (lacks, is_later) = (schema.missing_in(&columns), schema.is_behind(&columns));
    Ok(TableVersion {
        version: snapshot.version(),
        archive_commits,
        files,
        lacks,
        is_later,
        snapshot,
    })
}

fn live_files(
    schema: &'static TableSchema,
    batch: &RecordBatch,
) -> Result<Vec<LiveFile>, LogReadError> {
    let missing = "the scan has no path, size and stats";
    let paths: &StringArray = typed(batch.column_by_name("path"), missing)?;
    let stats: &StringArray = typed(batch.column_by_name("stats"), missing)?;
    let sizes: &Int64Array = typed(batch.column_by_name("size"), missing)?;
    let file = |row: usize| {
        let path = paths.value(row).to_owned();
        let origin = names::origin(&path).ok_or_else(|| LogReadError::Foreign(path.clone()))?;
        let counted =
            stats.is_valid(row).then(|| ColumnBounds::from_stats(stats.value(row))).flatten();
        let (rows, bounds) = counted.ok_or_else(|| LogReadError::Stats(path.clone()))?;
        let bytes = sizes.value(row).unsigned_abs();
        Ok(LiveFile { schema, path, origin, rows, bytes, bounds })
    };
    (0..batch.num_rows()).map(file).collect()
}

/// The last transaction of each partition, in one pass over the log, newest entry first.
fn archive_commits(engine: &DeltaEngine, snapshot: &Snapshot) -> KernelResult<BTreeMap<Day, u64>> {
    let txn = StructType::try_new([
        StructField::nullable("appId", DataType::STRING),
        StructField::nullable("version", DataType::LONG),
    ])?;
    let action = StructType::try_new([StructField::nullable("txn", txn)])?;
    let mut archive_commits = BTreeMap::new();
    for batch in snapshot.log_segment().read_actions(engine, Arc::new(action))? {
        let batch = batch?.actions.try_into_record_batch()?;
        let missing = "the log has no column txn";
        let txn: &StructArray = typed(batch.column_by_name("txn"), missing)?;
        let ids: &StringArray = typed(txn.column_by_name("appId"), missing)?;
        let versions: &Int64Array = typed(txn.column_by_name("version"), missing)?;
        for row in (0..txn.len()).filter(|row| txn.is_valid(*row) && ids.is_valid(*row)) {
            if let Some(day) = names::day_of_partition_id(ids.value(row)) {
                // Numbers only rise, so the highest is the last.
                let archive_commit: &mut u64 = archive_commits.entry(day).or_default();
                *archive_commit = (*archive_commit).max(versions.value(row).unsigned_abs());
            }
        }
    }
    Ok(archive_commits)
}

/// A column as its type. `missing` is the error of a column that is not there.
pub(super) fn typed<'a, A: Array + 'static>(
    column: Option<&'a ArrayRef>,
    missing: &str,
) -> KernelResult<&'a A> {
    let typed = column.and_then(|column| column.as_any().downcast_ref());
    typed.ok_or_else(|| KernelError::generic(missing))
}
