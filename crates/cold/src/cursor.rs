//! The rows of one file in order, one batch at a time. Holds one undecoded row group and one
//! decoded batch in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::decode::BadRow;
use crate::error::{ColdError, Result};
use crate::files::{ParquetFiles, ReadError};
use crate::footer::FileFooter;
use crate::live::LiveFile;
use crate::log::DeltaTable;
use crate::persons::PersonNames;

/// Rows of one batch, and the most that any stream returns at once.
pub(crate) const BATCH_ROWS: usize = 8_192;

pub(crate) type DecodeFn<T> =
    Arc<dyn Fn(&RecordBatch, &PersonNames) -> Result<Vec<T>, BadRow> + Send + Sync>;

pub(crate) struct RowDecoder<T> {
    pub(crate) columns: Option<&'static [&'static str]>,
    pub(crate) decode: DecodeFn<T>,
}

impl<T> RowDecoder<T> {
    pub(crate) fn all(
        decode: impl Fn(&RecordBatch, &PersonNames) -> Result<Vec<T>, BadRow> + Send + Sync + 'static,
    ) -> RowDecoder<T> {
        RowDecoder { columns: None, decode: Arc::new(decode) }
    }

    pub(crate) fn of(
        columns: &'static [&'static str],
        decode: impl Fn(&RecordBatch, &PersonNames) -> Result<Vec<T>, BadRow> + Send + Sync + 'static,
    ) -> RowDecoder<T> {
        RowDecoder { columns: Some(columns), decode: Arc::new(decode) }
    }
}

impl<T> Clone for RowDecoder<T> {
    fn clone(&self) -> RowDecoder<T> {
        RowDecoder { columns: self.columns, decode: Arc::clone(&self.decode) }
    }
}

/// The rows of one file. Holds one undecoded row group and one decoded batch.
pub struct FileRows<T> {
    files: Arc<ParquetFiles>,
    table: Arc<DeltaTable>,
    pub(crate) file: Arc<LiveFile>,
    footer: Arc<FileFooter>,
    reading: RowDecoder<T>,
    names: PersonNames,
    groups: VecDeque<usize>,
    batch_rows: usize,
    /// In a mutex because a reader is not `Sync` and the owner of the rows must be.
    open: Mutex<Option<ParquetRecordBatchReader>>,
}

impl<T: Send + 'static> FileRows<T> {
    /// Begins at the first row of the first of `groups`.
    pub(crate) fn new(
        files: &Arc<ParquetFiles>,
        table: &Arc<DeltaTable>,
        file: &Arc<LiveFile>,
        footer: Arc<FileFooter>,
        (reading, names): (RowDecoder<T>, PersonNames),
        groups: VecDeque<usize>,
    ) -> FileRows<T> {
        FileRows {
            files: Arc::clone(files),
            table: Arc::clone(table),
            file: Arc::clone(file),
            footer,
            reading,
            names,
            groups,
            batch_rows: BATCH_ROWS,
            open: Mutex::default(),
        }
    }

    /// Returns at most `rows` at once, for a caller that reads many files in parallel; never more
    /// than 8,192.
    #[must_use]
    pub fn in_batches_of(mut self, rows: usize) -> FileRows<T> {
        self.batch_rows = rows.clamp(1, BATCH_ROWS);
        self
    }

    /// Rows of the row groups that are not decoded yet.
    pub(crate) fn rows_left(&self) -> u64 {
        self.groups.iter().map(|at| self.footer.groups[*at].rows).sum()
    }

    /// The file does not have the rows that it should have.
    pub(crate) fn damaged(&self, what: String) -> ColdError {
        self.files.location.damaged(self.file.object(), what)
    }

    /// Returns the next rows, at most 8,192; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>> {
        match self.next_or_gone().await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.table.unread_file(&self.file, error).await),
        }
    }

    /// As [`FileRows::next`], for a caller that reads again if the file is gone.
    pub(crate) async fn next_or_gone(&mut self) -> Result<Option<Vec<T>>, ReadError> {
        let location = &self.files.location;
        loop {
            let open = self.open.get_mut();
            let mut group = match open.take() {
                Some(group) => group,
                None => {
                    let Some(at) = self.groups.pop_front() else { return Ok(None) };
                    let bytes = self.files.group(&self.file, &self.footer, at).await?;
                    let (columns, rows) = (self.reading.columns, self.batch_rows);
                    let decode = move || Ok(bytes.decode(columns, None, rows)?);
                    location.decoded(&self.file, decode).await?
                }
            };
            let (decode, names) = (Arc::clone(&self.reading.decode), self.names.clone());
            let read = move || match group.next() {
                Some(batch) => Ok(Some((decode(&batch?, &names)?, group))),
                None => Ok(None),
            };
            if let Some((rows, group)) = location.decoded(&self.file, read).await? {
                *open = Some(group);
                // No row of the batch may be wanted.
                if !rows.is_empty() {
                    return Ok(Some(rows));
                }
            }
        }
    }
}

/// The rows of one file, one at a time.
pub(crate) struct RowQueue<T> {
    pub(crate) file: FileRows<T>,
    pub(crate) rows: VecDeque<T>,
}

impl<T: Send + 'static> RowQueue<T> {
    pub(crate) fn new(file: FileRows<T>) -> RowQueue<T> {
        RowQueue { file, rows: VecDeque::new() }
    }

    /// Reads on if all rows were taken. Returns `false` at the end of the file.
    pub(crate) async fn fill(&mut self) -> Result<bool> {
        if self.rows.is_empty() {
            self.rows.extend(self.file.next().await?.into_iter().flatten());
        }
        Ok(!self.rows.is_empty())
    }
}
