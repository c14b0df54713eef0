//! Decoding one row group as if it were the only one of its file.

use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::Result as ParquetResult;

/// The bytes of one row group. Decode them on a blocking thread.
#[derive(Debug)]
pub(crate) struct GroupBytes {
    /// Metadata of a file that has these bytes alone.
    pub(super) metadata: ArrowReaderMetadata,
    pub(super) bytes: Bytes,
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
