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

use crate::error::ColdError;
use crate::log::Written;
use crate::place::Place;
use crate::schema::TableSchema;

/// Bytes of one part. S3 wants 5 MiB at least and 10,000 parts at most: files of up to 80 GB.
const PART_BYTES: usize = 8 << 20;

/// Parts on their way at once; as much memory goes with each.
const PARTS_MAX: usize = 2;

/// A file that takes rows. Every call blocks. Dropped before it is finished, it leaves nothing
/// that anybody sees.
pub(crate) struct Upload {
    place: Place,
    runtime: Handle,
    object: Path,
    /// Within the table.
    path: String,
    writer: ArrowWriter<Sink>,
    stats: FileStatsAccumulator,
    rows: u64,
}

impl Upload {
    /// Begins the file `path` of a table.
    pub(crate) fn begin(
        place: &Place,
        runtime: &Handle,
        schema: &'static TableSchema,
        columns: SchemaRef,
        path: String,
    ) -> Result<Upload, ColdError> {
        let object = Path::from(format!("{}/{path}", schema.name));
        let upload = runtime
            .block_on(place.store.put_multipart(&object))
            .map_err(|error| place.failed(&format!("beginning {object}"), error))?;
        let sink = Sink(Some(WriteMultipart::new_with_chunk_size(upload, PART_BYTES)));
        let writer = ArrowWriter::try_new(sink, columns, Some(schema.properties()))
            .map_err(|error| unwritten(place, &object, error))?;
        let counted: Vec<_> = schema.counted().map(|name| ColumnName::new([name])).collect();
        let stats = FileStatsAccumulator::new(&counted, &schema.delta());
        let (place, runtime) = (place.clone(), runtime.clone());
        Ok(Upload { place, runtime, object, path, writer, stats, rows: 0 })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ColdError> {
        let (place, object) = (&self.place, &self.object);
        self.writer.write(batch).map_err(|error| unwritten(place, object, error))?;
        self.stats.merge(batch).map_err(|error| unwritten(place, object, error))?;
        self.rows += batch.num_rows() as u64;
        match &mut self.writer.inner_mut().0 {
            Some(upload) => self
                .runtime
                .block_on(upload.wait_for_capacity(PARTS_MAX))
                .map_err(|error| place.failed(&format!("writing {object}"), error)),
            None => Ok(()),
        }
    }

    /// Ends the file. It has its name, and its bytes are safe, when the call returns.
    pub(crate) fn finish(mut self) -> Result<Written, ColdError> {
        let (place, object) = (&self.place, &self.object);
        self.writer.finish().map_err(|error| unwritten(place, object, error))?;
        let bytes = self.writer.bytes_written() as u64;
        let stats = self.stats.finish().map_err(|error| unwritten(place, object, error))?;
        let stats = stats.ok_or_else(|| unwritten(place, object, io::Error::other("no rows")))?;
        if let Some(upload) = self.writer.inner_mut().0.take() {
            self.runtime
                .block_on(upload.finish())
                .map_err(|error| place.failed(&format!("writing {object}"), error))?;
        }
        Ok(Written { path: self.path, rows: self.rows, bytes, written_at: now(), stats })
    }

    /// Tells the store to forget the parts that it has.
    pub(crate) fn abandon(mut self) {
        if let Some(upload) = self.writer.inner_mut().0.take()
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

struct Sink(Option<WriteMultipart>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let upload = self.0.as_mut().ok_or_else(|| io::Error::other("the file has ended"))?;
        upload.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The encoder takes no more, which no input of ours should make it do.
fn unwritten(place: &Place, object: &Path, error: impl Error + Send + Sync + 'static) -> ColdError {
    ColdError::Unavailable {
        place: place.name.to_string(),
        what: format!("encoding {object}: {error}"),
        source: Some(error.into()),
    }
}
