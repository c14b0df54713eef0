//! Reading Parquet files: the footer once, then each row group as one range.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::{Buf, Bytes};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::ColdError;
use crate::footer::Footer;
use crate::location::StoreLocation;
use crate::log::LiveFile;
use crate::schema::TableSchema;

/// Bytes of a footer beside its row groups, rounded up.
const FOOTER_BYTES: u64 = 16 << 10;

/// Bytes at the end of a file of `bytes` that its footer fits into, by how many row groups of the
/// table it has, about.
pub(crate) fn footer_bytes(schema: &TableSchema, bytes: u64) -> u64 {
    FOOTER_BYTES + bytes.div_ceil(schema.group_bytes as u64) * schema.footer_group_bytes
}

/// Why a file could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is not there, which is no fault if a merge has replaced it.
    Gone,
    Cold(ColdError),
}

impl From<ColdError> for ReadError {
    fn from(error: ColdError) -> ReadError {
        ReadError::Cold(error)
    }
}

/// The files of one store, with the footers that were used last.
#[derive(Debug)]
pub(crate) struct Files {
    location: StoreLocation,
    footers: Mutex<Footers>,
}

#[derive(Debug)]
struct Footers {
    bytes_max: usize,
    bytes: usize,
    /// Counts the uses: the footer with the lowest one goes first.
    clock: u64,
    kept: HashMap<Path, CachedFooter>,
}

#[derive(Debug)]
struct CachedFooter {
    used: u64,
    bytes: usize,
    footer: Arc<Footer>,
}

impl Files {
    pub(crate) fn new(location: &StoreLocation, footers_bytes_max: usize) -> Files {
        let footers =
            Footers { bytes_max: footers_bytes_max, bytes: 0, clock: 0, kept: HashMap::new() };
        Files { location: location.clone(), footers: Mutex::new(footers) }
    }

    /// The footer of a file, from memory if it was read before.
    pub(crate) async fn footer(
        &self,
        object: &Path,
        file: &LiveFile,
    ) -> Result<Arc<Footer>, ReadError> {
        if let Some(footer) = self.kept(object) {
            return Ok(footer);
        }
        let footer = Arc::new(self.read_footer(object, file).await?);
        self.keep(object, &footer);
        Ok(footer)
    }

    /// Reads the footer whether it is remembered or not.
    pub(crate) async fn read_footer(
        &self,
        object: &Path,
        file: &LiveFile,
    ) -> Result<Footer, ReadError> {
        let mut tail = file.footer_bytes;
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
        let bytes = loop {
            tail = tail.min(file.bytes);
            let bytes = self.range(object, file, file.bytes - tail..file.bytes).await?;
            match reader.try_parse_sized(&bytes, file.bytes) {
                Ok(()) => break bytes,
                Err(ParquetError::NeedMoreData(more)) if tail < file.bytes => tail = more as u64,
                Err(error) => return Err(self.location.damaged(object, error).into()),
            }
        };
        let footer =
            reader.finish().and_then(|metadata| Footer::new(&metadata, &bytes, file.bytes));
        Ok(footer.map_err(|error| self.location.damaged(object, error))?)
    }

    /// One row group, as one read.
    pub(crate) async fn group(
        &self,
        object: &Path,
        file: &LiveFile,
        footer: &Footer,
        at: usize,
    ) -> Result<GroupBytes, ReadError> {
        let span = footer.groups[at].span.clone();
        let start = span.start;
        let bytes = self.range(object, file, span).await?;
        if xxh3_64(&bytes) != footer.groups[at].sum {
            let what = format!("row group {at}, at byte {start}, is not what was written");
            return Err(self.location.damaged(object, what).into());
        }
        let metadata = footer.of_group(at).map_err(|error| self.location.damaged(object, error))?;
        let span = Span { start, bytes, file_bytes: file.bytes };
        Ok(GroupBytes { schema: file.schema, metadata, span })
    }

    /// Reads a file back from where it lies: whether each row group is what was written, and as
    /// many rows as its writer says.
    pub(crate) async fn check(&self, object: &Path, file: &LiveFile) -> Result<(), ReadError> {
        let footer = self.read_footer(object, file).await?;
        for at in 0..footer.groups.len() {
            self.group(object, file, &footer, at).await?;
        }
        let rows: u64 = footer.groups.iter().map(|group| group.rows).sum();
        if rows != file.rows {
            let what = format!("it has {rows} rows, want {}", file.rows);
            return Err(self.location.damaged(object, what).into());
        }
        Ok(())
    }

    async fn range(
        &self,
        object: &Path,
        file: &LiveFile,
        range: Range<u64>,
    ) -> Result<Bytes, ReadError> {
        let want = range.end.saturating_sub(range.start);
        let read = self.location.store.get_range(object, range).await;
        match read {
            Ok(bytes) if bytes.len() as u64 == want => return Ok(bytes),
            Err(object_store::Error::NotFound { .. }) => return Err(ReadError::Gone),
            Ok(_) | Err(_) => {}
        }
        // A store says in its own way that a range lies behind the end.
        let Some(found) = self.location.size(object).await? else { return Err(ReadError::Gone) };
        if found != file.bytes {
            let what = format!("it has {found} bytes, want {}", file.bytes);
            return Err(self.location.damaged(object, what).into());
        }
        Err(match read {
            Err(error) => self.location.failed(&format!("reading {object}"), error),
            Ok(bytes) => {
                let what = format!("{} bytes came of {object}, want {want}", bytes.len());
                self.location.unavailable(what)
            }
        }
        .into())
    }

    fn kept(&self, object: &Path) -> Option<Arc<Footer>> {
        let mut footers = self.footers.lock().unwrap_or_else(PoisonError::into_inner);
        footers.clock += 1;
        let clock = footers.clock;
        let kept = footers.kept.get_mut(object)?;
        kept.used = clock;
        Some(Arc::clone(&kept.footer))
    }

    fn keep(&self, object: &Path, footer: &Arc<Footer>) {
        let mut footers = self.footers.lock().unwrap_or_else(PoisonError::into_inner);
        let Footers { bytes_max, bytes, clock, kept } = &mut *footers;
        *clock += 1;
        let new = CachedFooter { used: *clock, bytes: footer.bytes(), footer: Arc::clone(footer) };
        *bytes += new.bytes;
        let old = kept.insert(object.clone(), new);
        *bytes -= old.map_or(0, |old| old.bytes);
        while *bytes > *bytes_max {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(object, _)| object.clone()) else { break };
            *bytes -= kept.remove(&oldest).map_or(0, |old| old.bytes);
        }
    }

    /// The footers that are remembered, and the memory they take, about.
    pub(crate) fn footers(&self) -> (usize, usize) {
        let footers = self.footers.lock().unwrap_or_else(PoisonError::into_inner);
        (footers.kept.len(), footers.bytes)
    }
}

/// The bytes of one row group, to be decoded on a thread that may block.
#[derive(Debug)]
pub(crate) struct GroupBytes {
    schema: &'static TableSchema,
    /// As if it were the only one of its file.
    metadata: ArrowReaderMetadata,
    span: Span,
}

impl GroupBytes {
    /// Decodes the columns named, or all of them, of the rows selected, or all of them. Columns
    /// that the file was written without are null.
    pub(crate) fn decode(
        &self,
        columns: Option<&'static [&'static str]>,
        selected: Option<RowSelection>,
        batch_rows: usize,
    ) -> ParquetResult<Batches> {
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.span.clone(),
            self.metadata.clone(),
        )
        .with_batch_size(batch_rows);
        if let Some(columns) = columns {
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(selected) = selected {
            builder = builder.with_row_selection(selected);
        }
        Ok(Batches { reader: builder.build()?, schema: self.schema, columns })
    }
}

/// The batches of one row group, each with every column that was asked for.
pub(crate) struct Batches {
    reader: ParquetRecordBatchReader,
    schema: &'static TableSchema,
    columns: Option<&'static [&'static str]>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.and_then(|batch| self.schema.completed(batch, self.columns)))
    }
}

/// A part of a file that was read, in the place that it has in the file.
#[derive(Clone, Debug)]
struct Span {
    start: u64,
    bytes: Bytes,
    file_bytes: u64,
}

impl Span {
    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        match at.filter(|at| *at <= self.bytes.len()) {
            Some(at) => Ok(self.bytes.slice(at..)),
            None => Err(ParquetError::EOF(format!("{start} lies outside of its row group"))),
        }
    }
}

impl Length for Span {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Span {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("a page at {start} ends behind its row group")));
        }
        Ok(bytes.slice(..length))
    }
}
