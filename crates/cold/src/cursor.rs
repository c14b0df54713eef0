//! The rows of one file in order, one batch at a time. Holds one undecoded row group and one
//! decoded batch in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use object_store::path::Path;
use tokio::task::JoinError;

use crate::decode::BadRow;
use crate::error::ColdError;
use crate::files::{ParquetFiles, ReadError, RowGroupBatches};
use crate::footer::Footer;
use crate::location::StoreLocation;
use crate::log::LiveFile;

/// Rows of one batch, and the most that any stream returns at once.
pub(crate) const BATCH_ROWS: usize = 8_192;

pub(crate) type DecodeFn<T> = Arc<dyn Fn(&RecordBatch) -> Result<Vec<T>, BadRow> + Send + Sync>;

pub(crate) struct RowDecoder<T> {
    pub(crate) columns: Option<&'static [&'static str]>,
    pub(crate) decode: DecodeFn<T>,
}

impl<T> RowDecoder<T> {
    pub(crate) fn all(
        decode: impl Fn(&RecordBatch) -> Result<Vec<T>, BadRow> + Send + Sync + 'static,
    ) -> RowDecoder<T> {
        RowDecoder { columns: None, decode: Arc::new(decode) }
    }

    pub(crate) fn of(
        columns: &'static [&'static str],
        decode: impl Fn(&RecordBatch) -> Result<Vec<T>, BadRow> + Send + Sync + 'static,
    ) -> RowDecoder<T> {
        RowDecoder { columns: Some(columns), decode: Arc::new(decode) }
    }
}

impl<T> Clone for RowDecoder<T> {
    fn clone(&self) -> RowDecoder<T> {
        RowDecoder { columns: self.columns, decode: Arc::clone(&self.decode) }
    }
}

pub(crate) struct FileCursor<T> {
    location: StoreLocation,
    files: Arc<ParquetFiles>,
    object: Path,
    file: Arc<LiveFile>,
    footer: Arc<Footer>,
    reading: RowDecoder<T>,
    groups: VecDeque<usize>,
    batch_rows: usize,
    /// In a mutex because a reader is not `Sync` and the owner of a cursor must be.
    open: Mutex<Option<RowGroupBatches>>,
}

impl<T: Send + 'static> FileCursor<T> {
    /// A cursor at the first row of the first of `groups`.
    pub(crate) fn new(
        location: &StoreLocation,
        files: &Arc<ParquetFiles>,
        object: Path,
        file: &Arc<LiveFile>,
        footer: Arc<Footer>,
        reading: RowDecoder<T>,
        groups: VecDeque<usize>,
    ) -> FileCursor<T> {
        FileCursor {
            location: location.clone(),
            files: Arc::clone(files),
            object,
            file: Arc::clone(file),
            footer,
            reading,
            groups,
            batch_rows: BATCH_ROWS,
            open: Mutex::default(),
        }
    }

    /// Returns at most `rows` at once, and never more than [`BATCH_ROWS`].
    pub(crate) fn in_batches_of(mut self, rows: usize) -> FileCursor<T> {
        self.batch_rows = rows.clamp(1, BATCH_ROWS);
        self
    }

    /// The next rows, at most [`BATCH_ROWS`]; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<T>>, ReadError> {
        loop {
            let open = self.open().take();
            if let Some(open) = open
                && let Some((open, rows)) = self.batch(open).await?
            {
                *self.open() = Some(open);
                return Ok(Some(rows));
            }
            let Some(group) = self.groups.pop_front() else { return Ok(None) };
            let bytes = self.files.group(&self.object, &self.file, &self.footer, group).await?;
            let (columns, rows) = (self.reading.columns, self.batch_rows);
            let work = move || bytes.decode(columns, None, rows);
            let open = self.location.blocking.spawn(work).await;
            let open = open.map_err(|error| undecodable(&self.location, &self.object, error))?;
            let open = open.map_err(|error| self.location.damaged(&self.object, error))?;
            *self.open() = Some(open);
        }
    }

    fn open(&mut self) -> &mut Option<RowGroupBatches> {
        self.open.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    async fn batch(
        &self,
        mut open: RowGroupBatches,
    ) -> Result<Option<(RowGroupBatches, Vec<T>)>, ColdError> {
        let decode = Arc::clone(&self.reading.decode);
        let read = self.location.blocking.spawn(move || {
            let Some(batch) = open.next() else { return Ok(None) };
            let batch = batch.map_err(|error| error.to_string())?;
            let rows = decode(&batch).map_err(|error| error.to_string())?;
            Ok::<_, String>(Some((open, rows)))
        });
        read.await
            .map_err(|error| undecodable(&self.location, &self.object, error))?
            .map_err(|error| self.location.damaged(&self.object, error))
    }
}

/// The decoder panics only on bytes that were never written.
pub(crate) fn undecodable(location: &StoreLocation, object: &Path, error: JoinError) -> ColdError {
    if error.is_panic() {
        location.damaged(object, "it cannot be decoded")
    } else {
        location.stopped(error)
    }
}
