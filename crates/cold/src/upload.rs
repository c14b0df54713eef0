//! One Parquet file on its way to the store, written from a thread that may block.

use std::error::Error;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use coupon::time::Millis;
use delta_kernel::expressions::ColumnName;
use delta_kernel_default_engine::stats::FileStatsAccumulator;
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};
use parquet::arrow::ArrowWriter;
use tokio::runtime::Handle;
use xxhash_rust::xxh3::Xxh3;

use crate::checksums;
use crate::error::ColdError;
use crate::location::StoreLocation;
use crate::log::Written;
use crate::schema::{GROUP_ROWS_MAX, TableSchema};

/// Bytes of one part. S3 wants 5 MiB at least and 10,000 parts at most: files of up to 80 GB.
const PART_BYTES: usize = 8 << 20;

/// Parts on their way at once; as much memory goes with each.
const PARTS_MAX: usize = 2;

/// Rows of the first row group, which tells how large a row is: few, since they may have long
/// histories.
const FIRST_ROWS: usize = 512;

/// Rows that are written at a time.
const SLICE: usize = 512;

/// Where row groups end: each should have so many bytes as a look-up is to read. How large rows are
/// is known from the row group before, since codes are in no order that has to do with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    bytes: usize,
    /// Rows of the row group that is being written.
    rows: usize,
}

impl Cut {
    /// Row groups of about so many bytes.
    pub(crate) fn at(bytes: usize) -> Cut {
        Cut { bytes: bytes.max(1), rows: FIRST_ROWS }
    }

    /// After a row group of `rows` rows took `bytes`.
    fn next(&mut self, rows: usize, bytes: usize) {
        let fit = rows as u128 * self.bytes as u128 / (bytes as u128).max(1);
        self.rows = usize::try_from(fit).unwrap_or(usize::MAX).clamp(1, GROUP_ROWS_MAX);
    }

    /// A row group ends at so many bytes before compression, should rows have become larger at
    /// once: three times smaller is what ours become.
    fn encoded_max(&self) -> usize {
        self.bytes.saturating_mul(3)
    }
}

/// A file that takes rows. Every call blocks. Dropped before it is finished, it leaves nothing
/// that anybody sees.
pub(crate) struct Upload {
    location: StoreLocation,
    runtime: Handle,
    object: Path,
    /// Within the table.
    path: String,
    writer: ArrowWriter<Sink>,
    stats: FileStatsAccumulator,
    rows: u64,
    cut: Cut,
    /// Rows of the row group that is being written, and the bytes before it.
    in_group: usize,
    before_group: usize,
    /// The sums of the row groups that are written.
    sums: Vec<u64>,
}

impl Upload {
    /// Begins the file `path` of a table.
    pub(crate) fn begin(
        location: &StoreLocation,
        runtime: &Handle,
        schema: &'static TableSchema,
        columns: SchemaRef,
        path: String,
        cut: Cut,
    ) -> Result<Upload, ColdError> {
        let object = Path::from(format!("{}/{path}", schema.name));
        let upload = runtime
            .block_on(location.store.put_multipart(&object))
            .map_err(|error| location.failed(&format!("beginning {object}"), error))?;
        let upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let sink = Sink { upload: Some(upload), hasher: Xxh3::new(), tail: None };
        let mut writer = ArrowWriter::try_new(sink, columns, Some(schema.properties()))
            .map_err(|error| unwritten(location, &object, error))?;
        // What stands before the first row group is not part of it.
        writer.sync().map_err(|error| unwritten(location, &object, error))?;
        writer.inner_mut().sum();
        let counted: Vec<_> = schema.counted().map(|name| ColumnName::new([name])).collect();
        let stats = FileStatsAccumulator::new(&counted, &schema.delta());
        let (location, runtime) = (location.clone(), runtime.clone());
        let before_group = writer.bytes_written();
        Ok(Upload {
            location,
            runtime,
            object,
            path,
            writer,
            stats,
            rows: 0,
            cut,
            in_group: 0,
            before_group,
            sums: Vec::new(),
        })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the row groups that are written.
    pub(crate) fn bytes(&self) -> u64 {
        self.before_group as u64
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ColdError> {
        let mut first = 0;
        while first < batch.num_rows() {
            let some = (self.cut.rows - self.in_group).min(batch.num_rows() - first).min(SLICE);
            let part = batch.slice(first, some);
            let written = self.writer.write(&part);
            written.map_err(|error| unwritten(&self.location, &self.object, error))?;
            first += some;
            self.in_group += some;
            if self.in_group >= self.cut.rows
                || self.writer.in_progress_size() >= self.cut.encoded_max()
            {
                self.end_group()?;
            }
        }
        let (location, object) = (&self.location, &self.object);
        self.stats.merge(batch).map_err(|error| unwritten(location, object, error))?;
        self.rows += batch.num_rows() as u64;
        match &mut self.writer.inner_mut().upload {
            Some(upload) => self
                .runtime
                .block_on(upload.wait_for_capacity(PARTS_MAX))
                .map_err(|error| location.failed(&format!("writing {object}"), error)),
            None => Ok(()),
        }
    }

    /// Between two row groups everything has been handed to the sink.
    fn end_group(&mut self) -> Result<(), ColdError> {
        let flushed = self.writer.flush().and_then(|()| Ok(self.writer.sync()?));
        flushed.map_err(|error| unwritten(&self.location, &self.object, error))?;
        self.sums.push(self.writer.inner_mut().sum());
        let written = self.writer.bytes_written() - self.before_group;
        self.cut.next(self.in_group, written);
        self.before_group += written;
        self.in_group = 0;
        Ok(())
    }

    /// Ends the file. It has its name, and its bytes are safe, when the call returns.
    pub(crate) fn finish(mut self) -> Result<Written, ColdError> {
        if self.in_group > 0 {
            self.end_group()?;
        }
        for entry in checksums::entries(&self.sums) {
            self.writer.append_key_value_metadata(entry);
        }
        self.writer.inner_mut().tail = Some(Vec::new());
        let (location, object) = (&self.location, &self.object);
        self.writer.finish().map_err(|error| unwritten(location, object, error))?;
        self.writer.sync().map_err(|error| unwritten(location, object, error))?;
        let sealed = self.writer.inner_mut().seal();
        sealed.map_err(|error| unwritten(location, object, error))?;
        let bytes = self.writer.bytes_written() as u64;
        let stats = self.stats.finish().map_err(|error| unwritten(location, object, error))?;
        let stats =
            stats.ok_or_else(|| unwritten(location, object, io::Error::other("no rows")))?;
        if let Some(upload) = self.writer.inner_mut().upload.take()
            && let Err(error) = self.runtime.block_on(upload.finish())
        {
            // The answer may have been lost behind an upload that is whole. It is read back before
            // anything relies on it.
            let there = self.runtime.block_on(location.size(object));
            if there.ok().flatten() != Some(bytes) {
                return Err(location.failed(&format!("writing {object}"), error));
            }
        }
        Ok(Written { path: self.path, rows: self.rows, bytes, written_at: now(), stats })
    }

    /// Tells the store to forget the parts that it has.
    pub(crate) fn abandon(mut self) {
        if let Some(upload) = self.writer.inner_mut().upload.take()
            && let Err(error) = self.runtime.block_on(upload.abort())
        {
            tracing::debug!(file = %self.object, %error, "parts of an abandoned file stay behind");
        }
    }
}

/// The log wants a file's time, for people: nothing here reads it.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

struct Sink {
    upload: Option<WriteMultipart>,
    hasher: Xxh3,
    /// What comes behind the last row group, kept back until its sum is in it.
    tail: Option<Vec<u8>>,
}

impl Sink {
    /// The sum of what was written since the last one.
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

impl Write for Sink {
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

/// The encoder takes no more, which no input of ours should make it do.
fn unwritten(
    location: &StoreLocation,
    object: &Path,
    error: impl Error + Send + Sync + 'static,
) -> ColdError {
    ColdError::Unavailable {
        location: location.name.to_string(),
        what: format!("encoding {object}: {error}"),
        source: Some(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_are_cut_by_bytes() {
        let cases = [
            ("of the size wanted", 4_096, 100_000, 4_096),
            ("smaller rows", 4_096, 50_000, 8_192),
            ("larger rows", 4_096, 400_000, 1_024),
            ("tiny rows", 4_096, 10, GROUP_ROWS_MAX),
            ("a huge row", 1, 1_000_000, 1),
        ];
        for (name, rows, bytes, want) in cases {
            let mut cut = Cut::at(100_000);
            cut.next(rows, bytes);
            assert_eq!(cut.rows, want, "{name}");
        }
    }
}
