//! A footer in little memory.
//!
//! As the Parquet library keeps it, the footer of ten million untouched coupons takes 9 MB: each of
//! 27 columns of each of 600 row groups has its own statistics, encodings and offsets. A look-up
//! needs the first and the last code of a row group and its position; decoding needs the offset of
//! each column. Everything else is the same for all row groups of a file and is kept once.

use std::mem::size_of;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use coupon::time::Millis;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, RowGroupMetaData,
};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;

use crate::bounds::{ColumnBounds, NEVER};
use crate::checksums;
use crate::schema::{MICROS, TableSchema};

#[derive(Debug)]
pub(crate) struct RowGroup {
    pub(crate) rows: u64,
    pub(crate) bounds: ColumnBounds,
    /// The range of its column chunks.
    pub(crate) span: Range<u64>,
    /// The checksum of that range; see [`crate::checksums`].
    pub(crate) sum: u64,
    chunks: Box<[ColumnChunk]>,
}

/// One column of a row group. Offsets count from the beginning of the row group.
#[derive(Clone, Copy, Debug)]
struct ColumnChunk {
    values: u32,
    /// The offset of the dictionary page, if there is one; the data page follows it.
    dictionary: Option<u32>,
    data: u32,
    bytes: u32,
}

#[derive(Debug)]
pub(crate) struct FileFooter {
    file: FileMetaData,
    /// A row group without offsets: its columns with their types and encodings.
    shape: Option<RowGroupMetaData>,
    pub(crate) groups: Vec<RowGroup>,
}

impl FileFooter {
    /// Converts `metadata`. `tail` is the end of the file, from which it was read.
    pub(crate) fn new(
        metadata: &ParquetMetaData,
        tail: &Bytes,
        file_bytes: u64,
    ) -> ParquetResult<FileFooter> {
        let groups = metadata.row_groups().iter().map(|it| group(it, file_bytes));
        let mut groups = groups.collect::<ParquetResult<Vec<RowGroup>>>()?;
        check_tail(tail, file_bytes, &groups)?;
        let about = metadata.file_metadata();
        let sums = checksums::of_groups(about.key_value_metadata());
        for (group, sum) in groups.iter_mut().zip(sums.unwrap_or_default()) {
            group.sum = sum;
        }
        let file = FileMetaData::new(
            about.version(),
            about.num_rows(),
            about.created_by().map(str::to_owned),
            None,
            about.schema_descr_ptr(),
            about.column_orders().cloned(),
        );
        let shape = metadata.row_groups().first().map(shape).transpose()?;
        Ok(FileFooter { file, shape, groups })
    }

    /// Metadata of a file that has the bytes of this row group alone.
    pub(crate) fn of_group(&self, at: usize) -> ParquetResult<ArrowReaderMetadata> {
        let missing = || ParquetError::General(format!("there is no row group {at}"));
        let (group, shape) = self.groups.get(at).zip(self.shape.as_ref()).ok_or_else(missing)?;
        let columns = shape.columns().iter().zip(&group.chunks).map(|(column, chunk)| {
            column
                .clone()
                .into_builder()
                .set_num_values(chunk.values.into())
                .set_dictionary_page_offset(chunk.dictionary.map(i64::from))
                .set_data_page_offset(chunk.data.into())
                .set_total_compressed_size(chunk.bytes.into())
                .build()
        });
        let group = shape
            .clone()
            .into_builder()
            .set_num_rows(group.rows.cast_signed())
            .set_column_metadata(columns.collect::<ParquetResult<_>>()?)
            .build()?;
        let metadata = ParquetMetaData::new(self.file.clone(), vec![group]);
        ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
    }

    /// The first column of the file that this release does not know.
    pub(crate) fn unknown(&self, schema: &TableSchema) -> Option<&ColumnPath> {
        let columns = self.shape.iter().flat_map(|shape| shape.columns());
        schema.unknown_of(columns.map(|column| column.column_path()))
    }

    /// The memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.shape.as_ref().map_or(0, |shape| shape.columns().len());
        let ends = |ends: Option<&(String, String)>| {
            ends.map_or(0, |(from, to)| from.capacity() + to.capacity())
        };
        let group = |group: &RowGroup| {
            let ColumnBounds { code, campaign, holder, .. } = &group.bounds;
            let texts = [code, campaign, holder].map(|it| ends(it.as_ref()));
            size_of::<RowGroup>()
                + texts.iter().sum::<usize>()
                + group.chunks.len() * size_of::<ColumnChunk>()
        };
        columns * size_of::<ColumnChunkMetaData>() + self.groups.iter().map(group).sum::<usize>()
    }
}

fn shape(group: &RowGroupMetaData) -> ParquetResult<RowGroupMetaData> {
    let columns = group.columns().iter().map(|it| it.clone().into_builder().clear_statistics());
    let columns = columns.map(|it| it.build()).collect::<ParquetResult<_>>()?;
    group.clone().into_builder().set_column_metadata(columns).build()
}

/// Verifies the checksum of the bytes after the last row group.
fn check_tail(bytes: &Bytes, file_bytes: u64, groups: &[RowGroup]) -> ParquetResult<()> {
    let end = groups.iter().map(|group| group.span.end).max().unwrap_or(0);
    let tail = usize::try_from(file_bytes - end).unwrap_or(usize::MAX);
    let tail = bytes.len().checked_sub(tail).map(|from| &bytes[from..]);
    match tail.is_some_and(checksums::is_sealed) {
        true => Ok(()),
        false => Err(ParquetError::General("the footer is not what was written".into())),
    }
}

fn group(group: &RowGroupMetaData, file_bytes: u64) -> ParquetResult<RowGroup> {
    let places = group.columns().iter().map(|column| {
        let dictionary = column.dictionary_page_offset();
        let start = dictionary.unwrap_or_else(|| column.data_page_offset());
        let end = start.saturating_add(column.compressed_size().max(0));
        u64::try_from(start).unwrap_or(file_bytes)..u64::try_from(end).unwrap_or(u64::MAX)
    });
    let span = places.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end));
    let span = span.unwrap_or(file_bytes..0);
    if span.start >= span.end || span.end > file_bytes {
        return Err(ParquetError::EOF(format!("a row group is at {span:?} of {file_bytes}")));
    }
    let chunks = group.columns().iter().map(|column| chunk(column, &span));
    let statistics = |name: &str| {
        let column = group.columns().iter().find(|column| column.column_path().string() == name);
        column.and_then(|column| column.statistics())
    };
    let bounds = ColumnBounds {
        code: text_ends(statistics("code")),
        campaign: text_ends(statistics("campaign_id")),
        holder: text_ends(statistics("holder")),
        expires_at: instant_ends(statistics("expires_at")),
        modified_at: instant_ends(statistics("modified_at")),
        redeemed_at: match statistics("redeemed_at").and_then(Statistics::null_count_opt) {
            Some(nulls) if nulls == group.num_rows().unsigned_abs() => Some(NEVER),
            Some(_) | None => instant_ends(statistics("redeemed_at")),
        },
        version: number_ends(statistics("version")),
        archived_in: None,
    };
    let chunks = chunks.collect::<ParquetResult<_>>()?;
    Ok(RowGroup { rows: group.num_rows().unsigned_abs(), bounds, span, sum: 0, chunks })
}

fn chunk(column: &ColumnChunkMetaData, span: &Range<u64>) -> ParquetResult<ColumnChunk> {
    let small = |number: i64| {
        let too_large =
            || ParquetError::General(format!("a row group has {number} as an offset or a size"));
        u32::try_from(number).map_err(|_| too_large())
    };
    let place = |at: i64| small(at - span.start.cast_signed());
    Ok(ColumnChunk {
        values: small(column.num_values())?,
        dictionary: column.dictionary_page_offset().map(place).transpose()?,
        data: place(column.data_page_offset())?,
        bytes: small(column.compressed_size())?,
    })
}

fn text_ends(statistics: Option<&Statistics>) -> Option<(String, String)> {
    let end = |bytes: Option<&[u8]>| String::from_utf8(bytes?.to_vec()).ok();
    let statistics = statistics?;
    Some((end(statistics.min_bytes_opt())?, end(statistics.max_bytes_opt())?))
}

fn number_ends(statistics: Option<&Statistics>) -> Option<(u64, u64)> {
    let Statistics::Int64(values) = statistics? else { return None };
    Some((values.min_opt()?.unsigned_abs(), values.max_opt()?.unsigned_abs()))
}

fn instant_ends(statistics: Option<&Statistics>) -> Option<(Millis, Millis)> {
    let Statistics::Int64(values) = statistics? else { return None };
    let instant = |micros: Option<&i64>| micros.map(|micros| Millis(micros.div_euclid(MICROS)));
    Some((instant(values.min_opt())?, instant(values.max_opt())?))
}
