//! The rows of one file in order, a batch at a time: memory for one row group as it was read,
//! and one batch of it decoded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use object_store::path::Path;
use tokio::task::{JoinError, spawn_blocking};

use crate::decode::BadRow;
use crate::error::ColdError;
use crate::files::{Batches, Files, ReadError};
use crate::footer::Footer;
use crate::location::StoreLocation;
use crate::log::LiveFile;

/// Rows of one batch, and the most that any stream hands out at once.
pub(crate) const BATCH_ROWS: usize = 8_192;

/// What is made of a batch.
pub(crate) type Decode<T> = Arc<dyn Fn(&RecordBatch) -> Result<Vec<T>, BadRow> + Send + Sync>;

/// Which columns are read, all if none are named, and what is made of them.
pub(crate) struct Reading<T> {
    pub(crate) columns: Option<&'static [&'static str]>,
    pub(crate) decode: Decode<T>,
}

impl<T> Reading<T> {
    /// Every column.
    pub(crate) fn all(
        decode: impl Fn(&RecordBatch) -> Result<Vec<T>, BadRow> + Send + Sync + 'static,
    ) -> Reading<T> {
        Reading { columns: None, decode: Arc::new(decode) }
    }

    /// Some columns.
    pub(crate) fn of(
        columns: &'static [&'static str],
        decode: impl Fn(&RecordBatch) -> Result<Vec<T>, BadRow> + Send + Sync + 'static,
    ) -> Reading<T> {
        Reading { columns: Some(columns), decode: Arc::new(decode) }
    }
}

impl<T> Clone for Reading<T> {
    fn clone(&self) -> Reading<T> {
        Reading { columns: self.columns, decode: Arc::clone(&self.decode) }
    }
}

/// A place in a file.
pub(crate) struct Cursor<T> {
    location: StoreLocation,
    files: Arc<Files>,
    object: Path,
    file: Arc<LiveFile>,
    footer: Arc<Footer>,
    reading: Reading<T>,
    groups: VecDeque<usize>,
    batch_rows: usize,
    /// In a mutex because a reader cannot be shared between threads, and who holds a cursor can.
    open: Mutex<Option<Batches>>,
}

impl<T: Send + 'static> Cursor<T> {
    /// At the first row of the first of `groups`.
    pub(crate) fn new(
        location: &StoreLocation,
        files: &Arc<Files>,
        object: Path,
        file: &Arc<LiveFile>,
        footer: Arc<Footer>,
        reading: Reading<T>,
        groups: VecDeque<usize>,
    ) -> Cursor<T> {
        Cursor {
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

    /// The same place, with at most `rows` handed out at a time, and never more than
    /// [`BATCH_ROWS`].
    pub(crate) fn in_batches_of(mut self, rows: usize) -> Cursor<T> {
        self.batch_rows = rows.clamp(1, BATCH_ROWS);
        self
    }

    /// At most [`BATCH_ROWS`] rows, or `None` behind the last one.
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
            let open = spawn_blocking(move || bytes.decode(columns, None, rows)).await;
            let open = open.map_err(|error| undecodable(&self.location, &self.object, error))?;
            let open = open.map_err(|error| self.location.damaged(&self.object, error))?;
            *self.open() = Some(open);
        }
    }

    fn open(&mut self) -> &mut Option<Batches> {
        self.open.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    async fn batch(&self, mut open: Batches) -> Result<Option<(Batches, Vec<T>)>, ColdError> {
        let decode = Arc::clone(&self.reading.decode);
        let read = spawn_blocking(move || {
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

/// A decoder that panics has met bytes that nobody wrote.
pub(crate) fn undecodable(location: &StoreLocation, object: &Path, error: JoinError) -> ColdError {
    if error.is_panic() {
        location.damaged(object, "it cannot be decoded")
    } else {
        location.stopped(error)
    }
}
