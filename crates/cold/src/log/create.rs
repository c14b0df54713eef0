//! Creating a table, and adding columns to it.

use std::sync::Arc;

use delta_kernel::KernelResult;
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::data_layout::DataLayout;
use delta_kernel::transaction::{CommitResult, UpdateTableOperation};

use super::version::TableVersion;
use super::{DeltaEngine, DeltaTable, WRITER};
use crate::error::Result;

impl DeltaTable {
    /// Creates the table unless it exists.
    pub(crate) async fn create(&self) -> Result<()> {
        if self.newest_if_any().await?.is_some() {
            // Its creator may have been killed before it synced the folder.
            return self.location.settle(&self.log_folder()).await;
        }
        let (engine, url, schema) = (Arc::clone(&self.engine), self.url(), self.schema);
        let made = self
            .blocking(move || {
                create_table(url, schema.delta().into(), WRITER, false)
                    .with_data_layout(DataLayout::partitioned([schema.partition()]))
                    .build(engine.as_ref(), Box::new(FileSystemCommitter::new()))?
                    .commit(engine.as_ref())
                    .map(|_| ())
            })
            .await?;
        // Whichever process created it, it must exist now.
        match (self.newest_if_any().await?, made) {
            (Some(_), _) => self.location.settle(&self.log_folder()).await,
            (None, Err(error)) => Err(self.failed("creating the table", error).await),
            (None, Ok(())) => Err(self.location.unavailable("the table was created and is gone")),
        }
    }
}

/// Tries once to add the columns that the table lacks in `known`. Another commit may take the next
/// version first, or add the same columns; the caller looks up the newest version to find out.
pub(super) fn add_columns(engine: &DeltaEngine, known: &TableVersion) -> KernelResult<()> {
    let alter = UpdateTableOperation::AlterTable;
    let mut change = Arc::clone(&known.snapshot).update_table(alter, WRITER, false);
    for (parent, field) in known.lacks.iter().cloned() {
        change = match parent {
            Some(parent) => change.add_column_at(parent, field),
            None => change.add_column(field),
        };
    }
    match change.build(engine, Box::new(FileSystemCommitter::new()))?.commit(engine)? {
        CommitResult::Committed(_) | CommitResult::Conflicted(_) => Ok(()),
        CommitResult::Retryable(retryable) => Err(retryable.error),
    }
}
