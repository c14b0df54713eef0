//! Decoding one row group as if it were the only one of its file.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::log::LiveFile;
use crate::schema::TableSchema;

/// The bytes of one row group. Decode them on a blocking thread.
#[derive(Debug)]
pub(crate) struct GroupBytes {
    schema: &'static TableSchema,
    /// Metadata of a file that has this row group alone.
    metadata: ArrowReaderMetadata,
    span: Span,
}

impl GroupBytes {
    /// A row group described by `metadata`, whose `bytes` are at `start` of `file`.
    pub(super) fn new(
        file: &LiveFile,
        metadata: ArrowReaderMetadata,
        start: u64,
        bytes: Bytes,
    ) -> GroupBytes {
        let span = Span { start, bytes, file_bytes: file.bytes };
        GroupBytes { schema: file.schema, metadata, span }
    }

    /// Decodes some columns or all, of some rows or all. A column that the file does not have is
    /// null.
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

/// The batches of one row group. Each has every column that was asked for.
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

/// A range of a file, at its position in the file.
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
            None => Err(ParquetError::EOF(format!("offset {start} is outside of its row group"))),
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
            return Err(ParquetError::EOF(format!("the page at {start} ends after its row group")));
        }
        Ok(bytes.slice(..length))
    }
}
