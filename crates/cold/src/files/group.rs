//! Decoding one row group as if it were the only one of its file.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::Result as ParquetResult;

use crate::log::LiveFile;
use crate::schema::TableSchema;

/// The bytes of one row group. Decode them on a blocking thread.
#[derive(Debug)]
pub(crate) struct GroupBytes {
    schema: &'static TableSchema,
    /// Metadata of a file that has these bytes alone.
    metadata: ArrowReaderMetadata,
    bytes: Bytes,
}

impl GroupBytes {
    pub(super) fn new(file: &LiveFile, metadata: ArrowReaderMetadata, bytes: Bytes) -> GroupBytes {
        GroupBytes { schema: file.schema, metadata, bytes }
    }

    /// A column that the file does not have is null.
    pub(crate) fn decode(
        &self,
        columns: Option<&'static [&'static str]>,
        selected: Option<RowSelection>,
        batch_rows: usize,
    ) -> ParquetResult<RowGroupBatches> {
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
        Ok(RowGroupBatches { reader: builder.build()?, schema: self.schema, columns })
    }
}

/// The batches of one row group. Each has every column that was asked for.
pub(crate) struct RowGroupBatches {
    reader: ParquetRecordBatchReader,
    schema: &'static TableSchema,
    columns: Option<&'static [&'static str]>,
}

impl Iterator for RowGroupBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.and_then(|batch| self.schema.completed(batch, self.columns)))
    }
}
