//! Writing one Parquet file to the store, from a blocking thread.

mod cut;

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use coupon::time::Millis;
use delta_kernel::expressions::ColumnName;
use delta_kernel_default_engine::stats::FileStatsAccumulator;
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};
use parquet::arrow::ArrowWriter;
use xxhash_rust::xxh3::Xxh3;

use crate::blocking::BlockingPool;
use crate::bounds::ColumnBounds;
use crate::error::{ColdError, Result};
use crate::live::{ColdFile, LiveFile, NewFile};
use crate::location::StoreLocation;
use crate::schema::TableSchema;
use crate::{checksums, names};
use cut::RowGroupCutter;

/// Size of a part of an upload. S3 wants at least 5 MiB, and at most 10,000 parts: files of up to
/// 80 GB.
const PART_BYTES: usize = 8 << 20;

/// Parts that are sent at the same time. Each takes its size in memory.
const PARTS_MAX: usize = 2;

const SLICE: usize = 512;

/// A file that takes rows. Every call blocks. If it is dropped before it is finished, which blocks
/// too, the store discards the parts that it has.
pub(crate) struct ParquetUpload {
    location: StoreLocation,
    schema: &'static TableSchema,
    object: Path,
    path: String,
    writer: ArrowWriter<UploadSink>,
    stats: FileStatsAccumulator,
    pub(crate) rows: u64,
    cut: RowGroupCutter,
    /// Rows of the current row group, and the bytes before it.
    in_group: usize,
    before_group: usize,
    sums: Vec<u64>,
}

impl ParquetUpload {
    pub(crate) fn begin(
        location: &StoreLocation,
        schema: &'static TableSchema,
        path: String,
        group_bytes: usize,
    ) -> Result<ParquetUpload> {
        let object = Path::from(format!("{}/{path}", schema.name));
        let upload = location
            .blocking
            .block_on(location.store.put_multipart(&object))
            .map_err(|error| location.failed(&format!("beginning {object}"), error))?;
        let upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let sink = UploadSink::new(upload, &location.blocking);
        let mut writer = ArrowWriter::try_new(sink, schema.to_arrow(), Some(schema.properties()))
            .map_err(|error| unwritten(location, &object, error))?;
        // The checksum of the first row group does not cover the bytes before it.
        writer.sync().map_err(|error| unwritten(location, &object, error))?;
        writer.inner_mut().sum();
        let logged: Vec<_> = schema.logged().map(|name| ColumnName::new([name])).collect();
        let stats = FileStatsAccumulator::new(&logged, &schema.delta());
        let before_group = writer.bytes_written();
        Ok(ParquetUpload {
            location: location.clone(),
            schema,
            object,
            path,
            writer,
            stats,
            rows: 0,
            cut: RowGroupCutter::at(group_bytes),
            in_group: 0,
            before_group,
            sums: Vec::new(),
        })
    }

    /// Size of the row groups written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.before_group as u64
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut first = 0;
        while first < batch.num_rows() {
            let some = (self.cut.rows - self.in_group).min(batch.num_rows() - first).min(SLICE);
            let part = batch.slice(first, some);
            let written = self.writer.write(&part);
            written.map_err(|error| unwritten(&self.location, &self.object, error))?;
            first += some;
            self.in_group += some;
            // Before compression, in case rows suddenly become larger. Ours compress to about a
            // third.
            let encoded_max = self.cut.bytes.saturating_mul(3);
            if self.in_group >= self.cut.rows || self.writer.in_progress_size() >= encoded_max {
                self.end_group()?;
            }
        }
        let (location, object) = (&self.location, &self.object);
        self.stats.merge(batch).map_err(|error| unwritten(location, object, error))?;
        self.rows += batch.num_rows() as u64;
        match self.writer.inner_mut().upload.as_mut() {
            Some(upload) => location
                .blocking
                .block_on(upload.wait_for_capacity(PARTS_MAX))
                .map_err(|error| location.failed(&format!("writing {object}"), error)),
            None => Ok(()),
        }
    }

    /// Ends the current row group. After this the sink has all of its bytes.
    fn end_group(&mut self) -> Result<()> {
        let flushed = self.writer.flush().and_then(|()| Ok(self.writer.sync()?));
        flushed.map_err(|error| unwritten(&self.location, &self.object, error))?;
        self.sums.push(self.writer.inner_mut().sum());
        let written = self.writer.bytes_written() - self.before_group;
        self.cut.next(self.in_group, written);
        self.before_group += written;
        self.in_group = 0;
        Ok(())
    }

    /// Ends the file. When this returns, the file has its name and is durable.
    pub(crate) fn finish(mut self) -> Result<NewFile> {
        if self.in_group > 0 {
            self.end_group()?;
        }
        let (location, object) = (&self.location, &self.object);
        let ended = end(&mut self.writer, &self.sums);
        let bytes = ended.map_err(|error| unwritten(location, object, error))?;
        let stats = self.stats.finish().map_err(|error| unwritten(location, object, error))?;
        let (stats, origin) = stats
            .zip(names::origin(&self.path))
            .ok_or_else(|| unwritten(location, object, io::Error::other("no rows or no name")))?;
        if let Some(upload) = self.writer.inner_mut().upload.take()
            && let Err(error) = location.blocking.block_on(upload.finish())
        {
            // The upload to a bucket may be complete although its answer was lost. The file is
            // read back before anything relies on it. A folder loses no answers: after its error
            // the file may be seen and yet not be on the disk.
            let there = || location.blocking.block_on(location.size(object)).ok().flatten();
            if location.folder.is_some() || there() != Some(bytes) {
                return Err(location.failed(&format!("writing {object}"), error));
            }
        }
        let live = LiveFile {
            schema: self.schema,
            path: self.path,
            origin,
            rows: self.rows,
            bytes,
            bounds: ColumnBounds::default(),
        };
        Ok(NewFile { file: ColdFile { live: Arc::new(live) }, written_at: now(), stats })
    }
}

/// Where the encoder writes: an upload in parts, and the checksums of its bytes.
struct UploadSink {
    /// `None` after it was taken to be finished.
    upload: Option<WriteMultipart>,
    blocking: BlockingPool,
    hasher: Xxh3,
    /// The bytes after the last row group, held back until they have their checksum.
    tail: Option<Vec<u8>>,
}

impl UploadSink {
    fn new(upload: WriteMultipart, blocking: &BlockingPool) -> UploadSink {
        UploadSink {
            upload: Some(upload),
            blocking: blocking.clone(),
            hasher: Xxh3::new(),
            tail: None,
        }
    }

    /// The checksum of the bytes since the last call.
    fn sum(&mut self) -> u64 {
        let sum = self.hasher.digest();
        self.hasher.reset();
        sum
    }

    fn seal(&mut self) -> io::Result<()> {
        let mut tail = self.tail.take().unwrap_or_default();
        checksums::seal(&mut tail).ok_or_else(|| io::Error::other("the footer has no sum"))?;
        self.write_all(&tail)
    }
}

impl Drop for UploadSink {
    /// Tells the store to discard the parts of a file that was not completed.
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take()
            && let Err(error) = self.blocking.block_on(upload.abort())
        {
            tracing::debug!(%error, "the parts of an abandoned upload could not be deleted");
        }
    }
}

impl Write for UploadSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let upload = self.upload.as_mut().ok_or_else(|| io::Error::other("the file has ended"))?;
        upload.write(bytes);
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the footer to the sink. Returns the size of the file.
fn end(
    writer: &mut ArrowWriter<UploadSink>,
    sums: &[u64],
) -> Result<u64, Box<dyn Error + Send + Sync>> {
    for entry in checksums::entries(sums) {
        writer.append_key_value_metadata(entry);
    }
    writer.inner_mut().tail = Some(Vec::new());
    writer.finish()?;
    writer.sync()?;
    writer.inner_mut().seal()?;
    Ok(writer.bytes_written() as u64)
}

/// By the clock of this machine. The log wants a time for each file, which only people read.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The encoder refuses a batch, which no valid coupon causes.
fn unwritten(
    location: &StoreLocation,
    object: &Path,
    error: impl Into<Box<dyn Error + Send + Sync>>,
) -> ColdError {
    let error = error.into();
    ColdError::Unavailable {
        location: location.name.to_string(),
        what: format!("encoding {object}: {error}"),
        source: Some(error),
    }
}
