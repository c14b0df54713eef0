//! Encoding the files of a commit on a blocking thread, while the caller reads the next rows.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::live::NewFile;
use crate::location::StoreLocation;
use crate::schema::TableSchema;
use crate::upload::ParquetUpload;

/// The files of one commit, written one after the other. Every call but [`NewFiles::new`] blocks.
/// If it is dropped before it is finished, the store discards the file that is open.
pub(crate) struct NewFiles {
    location: StoreLocation,
    schema: &'static TableSchema,
    group_bytes: usize,
    name: Box<dyn Fn() -> String + Send>,
    open: Option<ParquetUpload>,
    written: Vec<NewFile>,
}

impl NewFiles {
    pub(crate) fn new(
        location: &StoreLocation,
        schema: &'static TableSchema,
        group_bytes: usize,
        name: impl Fn() -> String + Send + 'static,
    ) -> NewFiles {
        NewFiles {
            location: location.clone(),
            schema,
            group_bytes,
            name: Box::new(name),
            open: None,
            written: Vec::new(),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.rows)
    }

    /// Size of the row groups of the open file that are complete.
    pub(crate) fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, ParquetUpload::bytes)
    }

    /// Begins a file if none is open.
    pub(crate) fn write(&mut self, batch: Result<RecordBatch, ArrowError>) -> Result<()> {
        let batch = batch.map_err(|error| {
            self.location.unavailable(format!("coupons cannot be encoded: {error}"))
        })?;
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let path = (self.name)();
                let begun =
                    ParquetUpload::begin(&self.location, self.schema, path, self.group_bytes)?;
                self.open.insert(begun)
            }
        };
        open.write(&batch)
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        if let Some(open) = self.open.take() {
            self.written.push(open.finish()?);
        }
        Ok(())
    }

    /// The files are durable and in no commit.
    pub(crate) fn finish(mut self) -> Result<Vec<NewFile>> {
        self.close()?;
        Ok(self.written)
    }
}

pub(crate) struct FileEncoder<C> {
    location: StoreLocation,
    /// Chunks, then `None`. If the channel closes without it, the encoder was dropped, and its files
    /// are abandoned.
    chunks: mpsc::Sender<Option<C>>,
    task: JoinHandle<Result<Vec<NewFile>>>,
}

impl<C: Send + 'static> FileEncoder<C> {
    /// Starts an encoder that writes each chunk with `take`. At most `chunks_max` chunks wait.
    pub(crate) fn start(
        files: NewFiles,
        chunks_max: usize,
        take: impl FnMut(&mut NewFiles, C) -> Result<()> + Send + 'static,
    ) -> FileEncoder<C> {
        let (chunks, received) = mpsc::channel(chunks_max);
        let location = files.location.clone();
        let task = location.blocking.spawn(move || encode(files, received, take));
        FileEncoder { location, chunks, task }
    }

    /// Hands over a chunk. Waits only while `chunks_max` chunks wait. Returns `false` after an
    /// error, which [`FileEncoder::finish`] returns.
    pub(crate) async fn push(&self, chunk: C) -> bool {
        self.chunks.send(Some(chunk)).await.is_ok()
    }

    /// The files are durable and in no commit.
    pub(crate) async fn finish(self) -> Result<Vec<NewFile>> {
        // Before it receives `None`, the task stops only with an error, which is returned below.
        let _ = self.chunks.send(None).await;
        self.task.await.map_err(|error| self.location.stopped(error))?
    }
}

fn encode<C>(
    mut files: NewFiles,
    mut chunks: mpsc::Receiver<Option<C>>,
    mut take: impl FnMut(&mut NewFiles, C) -> Result<()>,
) -> Result<Vec<NewFile>> {
    loop {
        match files.location.blocking.block_on(chunks.recv()) {
            Some(Some(chunk)) => take(&mut files, chunk)?,
            Some(None) => return files.finish(),
            None => return Err(files.location.unavailable("the writer was dropped")),
        }
    }
}
