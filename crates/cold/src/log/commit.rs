//! Optimistic commits to a table: the only place that decides whether a commit was made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, StringArray};
use coupon::time::Day;
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::engine::arrow_data::{ArrowEngineData, EngineDataArrowExt};
use delta_kernel::engine_data::FilteredEngineData;
use delta_kernel::expressions::Scalar;
use delta_kernel::transaction::{CommitResult, UpdateTableOperation};
use delta_kernel::{FileMeta, KernelResult};
use delta_kernel_default_engine::build_add_file_metadata;
use delta_kernel_default_engine::parquet::DataFileMetadata;
use tokio::time::sleep;

use super::replay::typed;
use super::{DeltaEngine, DeltaTable, TableVersion, WRITER, add_columns};
use crate::error::Result;
use crate::live::NewFile;
use crate::names;
use crate::schema::TableSchema;

/// How often a commit that lost the next version to other partitions begins again. Each lost try
/// means that another commit got through, so this many would have to come in while one is written.
const COMMIT_TRIES_MAX: usize = 64;

/// How often a commit is tried again after an error that does not say whether the commit was made,
/// and the pause after the first such error.
const COMMIT_ERRORS_MAX: u32 = 3;
const COMMIT_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct PartitionChange {
    pub(crate) day: Day,
    /// The commit fails unless this is the last number of the partition.
    pub(crate) after: u64,
    pub(crate) archive_commit: u64,
    pub(crate) added: Vec<NewFile>,
    /// Paths of files to remove. The commit fails unless each is live.
    pub(crate) removed: HashSet<String>,
    /// Of the holder index: the partitions that are complete with this commit, and the archive
    /// commit up to which they are.
    pub(crate) covers: Vec<(Day, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The commit was made and is durable.
    Done {
        /// A version of the table that has the commit.
        version: u64,
    },
    /// The number is taken, or a file to remove is not live: look up the partition and begin again.
    Taken { archive_commit: u64 },
    /// Commits to other partitions came in between, so that the version would be higher than the
    /// caller allowed. Prepare for the next version, and commit again.
    Moved { version: u64 },
}

impl DeltaTable {
    /// Commits `change` on the newest version that allows it, as version `up_to` at the latest.
    /// Losing to another commit is an outcome, not an error.
    pub(crate) async fn commit(
        &self,
        change: PartitionChange,
        up_to: u64,
    ) -> Result<CommitOutcome> {
        let change = Arc::new(change);
        let (mut errors, mut lost_on) = (0, None);
        for _ in 0..COMMIT_TRIES_MAX {
            let known = self.newest().await?;
            if let Some(ended) = self.ended(&known, &change) {
                // Another process may have been killed after it named the entry and before it
                // synced the folder.
                self.location.settle(&self.log_folder()).await?;
                return Ok(ended);
            }
            if known.version >= up_to {
                return Ok(CommitOutcome::Moved { version: known.version });
            }
            if lost_on == Some(known.version) {
                // A bucket may also refuse a name while another request for it is under way.
                errors += 1;
                if errors == COMMIT_ERRORS_MAX {
                    let what = format!("version {} is refused, and not there", known.version + 1);
                    return Err(self.location.unavailable(what));
                }
                sleep(COMMIT_PAUSE * errors).await;
            }
            let (engine, on, what) =
                (Arc::clone(&self.engine), Arc::clone(&known), Arc::clone(&change));
            let (schema, on_version) = (self.schema, known.version);
            let tried = self.blocking(move || match on.lacks.is_empty() {
                true => attempt(&engine, schema, &on, &what),
                // Columns are added first, in a version of their own, so that no file has a column
                // which the table does not have.
                false => add_columns(&engine, &on).map(|()| None),
            });
            let tried = tried.await?;
            match tried {
                Ok(Some(version)) => return Ok(CommitOutcome::Done { version }),
                Ok(None) => lost_on = Some(on_version),
                // The commit may have been made although its answer was lost: look it up before
                // reporting the error or trying again. If the first try arrives late, one of the
                // two takes the version.
                Err(error) => {
                    let known = self.newest().await?;
                    if self.ended(&known, &change).is_none() {
                        errors += 1;
                        if errors == COMMIT_ERRORS_MAX {
                            return Err(self.failed("committing", error).await);
                        }
                        sleep(COMMIT_PAUSE * errors).await;
                    }
                }
            }
        }
        Err(self
            .location
            .unavailable(format!("{COMMIT_TRIES_MAX} other commits came first: retry")))
    }

    /// How `change` has ended; `None` if it can still be committed.
    fn ended(&self, known: &TableVersion, change: &PartitionChange) -> Option<CommitOutcome> {
        let archive_commit = known.archive_commit(change.day);
        let is_live = |path: &str| known.is_live(change.day, path);
        let is_ours = |new: &NewFile| is_live(new.file.path());
        // Our own files first: after a lost answer our own number would look taken.
        if !change.added.is_empty() && change.added.iter().all(is_ours) {
            return Some(CommitOutcome::Done { version: known.version });
        }
        let is_open = archive_commit == change.after
            && change.archive_commit > archive_commit
            && change.removed.iter().all(|path| is_live(path));
        (!is_open).then_some(CommitOutcome::Taken { archive_commit })
    }
}

/// Tries once to commit on `known`; `None` if another commit has taken the next version.
fn attempt(
    engine: &DeltaEngine,
    schema: &TableSchema,
    known: &TableVersion,
    change: &PartitionChange,
) -> KernelResult<Option<u64>> {
    let mut transaction = Arc::clone(&known.snapshot)
        .update_table(UpdateTableOperation::Write, WRITER, true)
        .build(engine, Box::new(FileSystemCommitter::new()))?
        .with_transaction_id(names::partition_id(change.day), change.archive_commit.cast_signed());
    for (day, archive_commit) in &change.covers {
        transaction = transaction
            .with_transaction_id(names::partition_id(*day), archive_commit.cast_signed());
    }
    let state = transaction.write_state()?;
    for NewFile { file, written_at, stats } in &change.added {
        let partition = match schema.partition() {
            "month" => Scalar::String(names::month(change.day)),
            "level" => Scalar::String(names::level(file.path()).unwrap_or(0).to_string()),
            _ => Scalar::Date(change.day.0),
        };
        let context = state
            .write_context_builder()
            .with_partition_values(HashMap::from([(schema.partition().to_owned(), partition)]))
            .build()?;
        let url = context.table_root_dir().join(file.path())?;
        let meta = FileMeta::new(url, written_at.0, file.bytes());
        let add = DataFileMetadata::new(meta, stats.clone());
        transaction.add_files(build_add_file_metadata(add, &context)?);
    }
    if !change.removed.is_empty() {
        let scan = Arc::clone(&known.snapshot).scan_builder().build()?;
        for batch in scan.scan_metadata(engine)? {
            if let Some(removed) = narrowed(batch?.scan_files, &change.removed)? {
                transaction.remove_files(removed);
            }
        }
    }
    Ok(match transaction.commit(engine)? {
        CommitResult::Committed(committed) => Some(committed.commit_version()),
        CommitResult::Conflicted(_) => None,
        CommitResult::Retryable(retryable) => return Err(retryable.error),
    })
}

/// The rows of `files` whose path is in `removed`; `None` if there are none.
fn narrowed(
    files: FilteredEngineData,
    removed: &HashSet<String>,
) -> KernelResult<Option<FilteredEngineData>> {
    let (data, mut selected) = files.into_parts();
    let batch = data.try_into_record_batch()?;
    let paths: &StringArray = typed(batch.column_by_name("path"), "the scan has no path")?;
    selected.resize(batch.num_rows(), true);
    for (row, selected) in selected.iter_mut().enumerate() {
        *selected = *selected && paths.is_valid(row) && removed.contains(paths.value(row));
    }
    if !selected.contains(&true) {
        return Ok(None);
    }
    let data = Box::new(ArrowEngineData::new(batch));
    FilteredEngineData::try_new(data, selected).map(Some)
}
