//! Reading Parquet files: the footer first, which is cached, then each row group as one range.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::ColdError;
use crate::footer::FileFooter;
use crate::live::LiveFile;
use crate::location::StoreLocation;

#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file is not there. That is no error if a merge has replaced it.
    Gone,
    Cold(ColdError),
}

impl From<ColdError> for ReadError {
    fn from(error: ColdError) -> ReadError {
        ReadError::Cold(error)
    }
}

#[derive(Debug)]
pub(crate) struct ParquetFiles {
    pub(crate) location: StoreLocation,
    footers: Mutex<FooterCache>,
    /// The first and the last holder of files, as the footers say. Far smaller than the footers, which do not all stay.
    holders: Mutex<HashMap<Path, TextEnds>>,
}

/// The first and the last value of a column, if they are known.
type TextEnds = Option<(String, String)>;

/// Files whose holders are remembered: some 40 MB. The index of ten billion coupons has half as many.
const HOLDERS_MAX: usize = 200_000;

/// Memory for cached footers. The footer of ten million untouched coupons takes about 0.25 MB, that of redeemed
/// ones 3.3 MB.
const FOOTERS_BYTES_MAX: usize = 64 << 20;

impl ParquetFiles {
    pub(crate) fn new(location: &StoreLocation) -> ParquetFiles {
        let footers = Mutex::new(FooterCache::new(FOOTERS_BYTES_MAX));
        ParquetFiles { location: location.clone(), footers, holders: Mutex::default() }
    }

    /// The footer of a file, from the cache if it is there.
    pub(crate) async fn footer(&self, file: &LiveFile) -> Result<Arc<FileFooter>, ReadError> {
        let object = file.object();
        if let Some(footer) = self.footers.lock().get(&object) {
            return Ok(footer);
        }
        let footer = Arc::new(self.read_footer(file).await?);
        self.footers.lock().put(&object, &footer);
        Ok(footer)
    }

    /// The first and the last holder of a file, which the log does not say. Reads the footer once.
    pub(crate) async fn holders(&self, file: &LiveFile) -> Result<TextEnds, ReadError> {
        let object = file.object();
        if let Some(ends) = self.holders.lock().get(&object) {
            return Ok(ends.clone());
        }
        let footer = self.footer(file).await?;
        let each = footer.groups.iter().map(|group| group.bounds.holder.clone());
        let ends = each.reduce(|all, one| {
            let ((from, to), (first, last)) = (all?, one?);
            Some((from.min(first), to.max(last)))
        });
        let (ends, mut remembered) = (ends.flatten(), self.holders.lock());
        if remembered.len() >= HOLDERS_MAX {
            remembered.clear();
        }
        remembered.insert(object, ends.clone());
        Ok(ends)
    }

    pub(crate) async fn read_footer(&self, file: &LiveFile) -> Result<FileFooter, ReadError> {
        let mut tail = file.footer_bytes();
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
        let bytes = loop {
            tail = tail.min(file.bytes);
            let bytes = self.range(file, file.bytes - tail..file.bytes).await?;
            match reader.try_parse_sized(&bytes, file.bytes) {
                Ok(()) => break bytes,
                Err(ParquetError::NeedMoreData(more)) if tail < file.bytes => tail = more as u64,
                Err(error) => return Err(self.location.damaged(file.object(), error).into()),
            }
        };
        let footer =
            reader.finish().and_then(|metadata| FileFooter::new(&metadata, &bytes, file.bytes));
        Ok(footer.map_err(|error| self.location.damaged(file.object(), error))?)
    }

    /// Reads one row group as one range, and verifies its checksum.
    pub(crate) async fn group(
        &self,
        file: &LiveFile,
        footer: &FileFooter,
        at: usize,
    ) -> Result<GroupBytes, ReadError> {
        let span = footer.groups[at].span.clone();
        let start = span.start;
        let bytes = self.range(file, span).await?;
        if xxh3_64(&bytes) != footer.groups[at].sum {
            let what = format!("row group {at}, at byte {start}, is not what was written");
            return Err(self.location.damaged(file.object(), what).into());
        }
        let metadata =
            footer.of_group(at).map_err(|error| self.location.damaged(file.object(), error))?;
        Ok(GroupBytes { metadata, bytes })
    }

    /// Every checksum must be right, and the number of rows must be that of `file`.
    pub(crate) async fn check(&self, file: &LiveFile) -> Result<(), ReadError> {
        let footer = self.read_footer(file).await?;
        for at in 0..footer.groups.len() {
            self.group(file, &footer, at).await?;
        }
        let rows: u64 = footer.groups.iter().map(|group| group.rows).sum();
        if rows != file.rows {
            let what = format!("it has {rows} rows, want {}", file.rows);
            return Err(self.location.damaged(file.object(), what).into());
        }
        Ok(())
    }

    async fn range(&self, file: &LiveFile, range: Range<u64>) -> Result<Bytes, ReadError> {
        let object = &file.object();
        let want = range.end.saturating_sub(range.start);
        let read = self.location.store.get_range(object, range).await;
        match read {
            Ok(bytes) if bytes.len() as u64 == want => return Ok(bytes),
            Err(object_store::Error::NotFound { .. }) => return Err(ReadError::Gone),
            Ok(_) | Err(_) => {}
        }
        // Stores report a range past the end in different ways, so the size is looked up.
        let Some(found) = self.location.size(object).await? else { return Err(ReadError::Gone) };
        if found != file.bytes {
            let what = format!("it has {found} bytes, want {}", file.bytes);
            return Err(self.location.damaged(object, what).into());
        }
        Err(match read {
            Err(error) => self.location.failed(&format!("reading {object}"), error),
            Ok(bytes) => {
                let what = format!("{} bytes of {object} came, want {want}", bytes.len());
                self.location.unavailable(what)
            }
        }
        .into())
    }

    /// The number of cached footers, and the bytes they take, about.
    pub(crate) fn footers(&self) -> (usize, usize) {
        let cache = self.footers.lock();
        (cache.kept.len(), cache.bytes)
    }
}

/// Footers: least recently used, limited by memory.
#[derive(Debug)]
struct FooterCache {
    bytes_max: usize,
    bytes: usize,
    /// Counts uses. The footer with the lowest number is removed first.
    clock: u64,
    kept: HashMap<Path, CachedFooter>,
}

#[derive(Debug)]
struct CachedFooter {
    used: u64,
    bytes: usize,
    footer: Arc<FileFooter>,
}

impl FooterCache {
    fn new(bytes_max: usize) -> FooterCache {
        FooterCache { bytes_max, bytes: 0, clock: 0, kept: HashMap::new() }
    }

    fn get(&mut self, object: &Path) -> Option<Arc<FileFooter>> {
        self.clock += 1;
        let kept = self.kept.get_mut(object)?;
        kept.used = self.clock;
        Some(Arc::clone(&kept.footer))
    }

    fn put(&mut self, object: &Path, footer: &Arc<FileFooter>) {
        self.clock += 1;
        let new =
            CachedFooter { used: self.clock, bytes: footer.bytes(), footer: Arc::clone(footer) };
        self.bytes += new.bytes;
        let old = self.kept.insert(object.clone(), new);
        self.bytes -= old.map_or(0, |old| old.bytes);
        while self.bytes > self.bytes_max {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(object, _)| object.clone()) else { break };
            self.bytes -= self.kept.remove(&oldest).map_or(0, |old| old.bytes);
        }
    }
}

/// The bytes of one row group, decoded as if it were the only one of its file. Decode them on a
/// blocking thread.
#[derive(Debug)]
pub(crate) struct GroupBytes {
    /// Metadata of a file that has these bytes alone.
    metadata: ArrowReaderMetadata,
    bytes: Bytes,
}

impl GroupBytes {
    /// The batches have those of `columns` that the file has; all of them for `None`.
    pub(crate) fn decode(
        &self,
        columns: Option<&'static [&'static str]>,
        selected: Option<RowSelection>,
        batch_rows: usize,
    ) -> ParquetResult<ParquetRecordBatchReader> {
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.bytes.clone(),
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
        builder.build()
    }
}
