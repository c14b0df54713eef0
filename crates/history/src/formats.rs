//! The formats in which rows are written.

use std::io::Write;
use std::sync::Arc;

use clap::ValueEnum;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::{FileWriter, StreamWriter};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use engine::csv;
use serde_json::{Map, Value};

use crate::columns::{retyped, with_types_of};
use crate::values;

/// Rows that a table measures its columns by. Later rows that are wider are not aligned.
const MEASURED: usize = 10_000;

/// Widest column of a table, in characters. A longer cell pushes the rest of its row to the right.
const WIDTH_MAX: usize = 60;

/// A format of rows, as `--format` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns
    Table,
    /// A header and comma-separated cells
    Csv,
    /// One JSON object per line
    Jsonl,
    /// A Parquet file
    Parquet,
    /// An Arrow file (IPC, Feather version 2)
    Arrow,
    /// An Arrow IPC stream, over HTTP alone.
    #[value(skip)]
    ArrowStream,
}

#[derive(Debug, thiserror::Error)]
pub enum RowWriteError {
    #[error(transparent)]
    Out(#[from] std::io::Error),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

pub struct FormattedRows<W: Write + Send> {
    schema: SchemaRef,
    form: FormatWriter<W>,
    count: u64,
}

enum FormatWriter<W: Write + Send> {
    Table(TableWriter<W>),
    Csv { out: W },
    Jsonl { out: W },
    Parquet(Box<ArrowWriter<W>>),
    Arrow(Box<FileWriter<W>>),
    Stream(Box<StreamWriter<W>>),
}

impl<W: Write + Send> FormattedRows<W> {
    /// Begins with the header of `schema`, if the format has one.
    pub fn begin(
        mut out: W,
        format: OutputFormat,
        schema: &SchemaRef,
    ) -> Result<FormattedRows<W>, RowWriteError> {
        // Not every reader knows views of text.
        let schema = retyped(schema, DataType::Utf8View, DataType::Utf8);
        let form = match format {
            OutputFormat::Table => FormatWriter::Table(TableWriter::begin(out, &schema)),
            OutputFormat::Csv => {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                out.write_all(csv::row(names).as_bytes())?;
                FormatWriter::Csv { out }
            }
            OutputFormat::Jsonl => FormatWriter::Jsonl { out },
            OutputFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_created_by("couponry-history".to_owned())
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
                FormatWriter::Parquet(Box::new(writer))
            }
            OutputFormat::Arrow => {
                FormatWriter::Arrow(Box::new(FileWriter::try_new(out, &schema)?))
            }
            OutputFormat::ArrowStream => {
                FormatWriter::Stream(Box::new(StreamWriter::try_new(out, &schema)?))
            }
        };
        Ok(FormattedRows { schema, form, count: 0 })
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn put(&mut self, rows: &RecordBatch) -> Result<(), RowWriteError> {
        self.count += rows.num_rows() as u64;
        match &mut self.form {
            FormatWriter::Table(table) => table.put(rows, &self.schema)?,
            FormatWriter::Csv { out } => {
                for row in 0..rows.num_rows() {
                    out.write_all(csv_row(rows, row).as_bytes())?;
                }
            }
            FormatWriter::Jsonl { out } => {
                for row in 0..rows.num_rows() {
                    writeln!(out, "{}", object(rows, row))?;
                }
            }
            FormatWriter::Parquet(writer) => writer.write(&with_types_of(&self.schema, rows)?)?,
            FormatWriter::Arrow(writer) => writer.write(&with_types_of(&self.schema, rows)?)?,
            FormatWriter::Stream(writer) => writer.write(&with_types_of(&self.schema, rows)?)?,
        }
        Ok(())
    }

    /// Writes what is left, and returns what the rows were written to.
    pub fn end(self) -> Result<W, RowWriteError> {
        match self.form {
            FormatWriter::Table(table) => Ok(table.end(&self.schema)?),
            FormatWriter::Csv { out } | FormatWriter::Jsonl { out } => Ok(out),
            FormatWriter::Parquet(writer) => Ok(writer.into_inner()?),
            FormatWriter::Arrow(writer) => Ok(writer.into_inner()?),
            FormatWriter::Stream(writer) => Ok(writer.into_inner()?),
        }
    }
}

impl FormattedRows<Vec<u8>> {
    /// Bytes written so far. A table or a file may hold some back.
    pub fn bytes(&self) -> usize {
        let out = match &self.form {
            FormatWriter::Table(table) => &table.out,
            FormatWriter::Csv { out } | FormatWriter::Jsonl { out } => out,
            FormatWriter::Parquet(writer) => writer.inner(),
            FormatWriter::Arrow(writer) => writer.get_ref(),
            FormatWriter::Stream(writer) => writer.get_ref(),
        };
        out.len()
    }
}

/// A row as a JSON object. The later of two columns of one name gets a number at its end.
pub(crate) fn object(rows: &RecordBatch, row: usize) -> Value {
    let mut object = Map::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let mut name = field.name().clone();
        for number in 2.. {
            if !object.contains_key(&name) {
                break;
            }
            name = format!("{}_{number}", field.name());
        }
        object.insert(name, values::json(column.as_ref(), row));
    }
    Value::Object(object)
}

fn csv_row(rows: &RecordBatch, row: usize) -> String {
    let cell = |column: &ArrayRef| {
        let text = values::text(column.as_ref(), row);
        // A negative number is no formula.
        if column.data_type().is_numeric() { text } else { csv::cell(&text) }
    };
    let mut line = rows.columns().iter().map(cell).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A table. It holds its first rows back until it knows how wide they are.
struct TableWriter<W> {
    out: W,
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl<W: Write> TableWriter<W> {
    fn begin(out: W, schema: &Schema) -> TableWriter<W> {
        let header = schema.fields().iter().map(|field| field.name().clone()).collect();
        TableWriter { out, waiting: vec![header], widths: None }
    }

    fn put(&mut self, rows: &RecordBatch, schema: &Schema) -> std::io::Result<()> {
        for row in 0..rows.num_rows() {
            self.waiting.push(cells(rows, row));
            if self.waiting.len() > MEASURED {
                self.lay_out(schema)?;
            }
        }
        Ok(())
    }

    fn end(mut self, schema: &Schema) -> std::io::Result<W> {
        self.lay_out(schema)?;
        Ok(self.out)
    }

    /// Writes the rows that wait. Each column is as wide as the widest of its first cells.
    fn lay_out(&mut self, schema: &Schema) -> std::io::Result<()> {
        let TableWriter { out, waiting, widths } = self;
        let widest = |at: usize| {
            let cells = waiting.iter().flat_map(|row| row[at].lines());
            cells.map(|line| line.chars().count()).max().unwrap_or(0)
        };
        let widths = widths.get_or_insert_with(|| {
            (0..schema.fields().len()).map(|at| widest(at).min(WIDTH_MAX)).collect()
        });
        for row in waiting.drain(..) {
            // The cell of a plan has several lines.
            let lines = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0).max(1);
            for line in 0..lines {
                let cells = row.iter().zip(schema.fields()).zip(widths.iter());
                let cells = cells.map(|((cell, field), width)| {
                    let cell = cell.lines().nth(line).unwrap_or_default();
                    match field.data_type().is_numeric() {
                        true => format!("{cell:>width$}"),
                        false => format!("{cell:<width$}"),
                    }
                });
                writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            }
        }
        Ok(())
    }
}

fn cells(rows: &RecordBatch, row: usize) -> Vec<String> {
    rows.columns().iter().map(|column| values::text(column.as_ref(), row)).collect()
}
