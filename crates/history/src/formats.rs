//! Rows of an answer in the forms that people and programs read.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::{FileWriter, StreamWriter};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use engine::csv;
use serde_json::{Map, Value};

use crate::values;

/// Rows that a table measures its columns by; later ones stand under them as well as they can.
const MEASURED: usize = 10_000;

/// Widest column of a table, in characters: longer cells push what stands behind them to the right.
const WIDTH_MAX: usize = 60;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns under each other, for eyes.
    Table,
    /// A header and comma-separated cells.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
    /// An Arrow IPC stream.
    ArrowStream,
}

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// Whatever they are written to.
    #[error(transparent)]
    Out(#[from] std::io::Error),
    /// Values that the form has no way to write.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The same of Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// Rows on their way out.
pub struct Rows<W: Write + Send> {
    schema: SchemaRef,
    form: Form<W>,
    count: u64,
}

enum Form<W: Write + Send> {
    Table { out: W, waiting: Vec<Vec<String>>, widths: Option<Vec<usize>> },
    Csv { out: W },
    Jsonl { out: W },
    Parquet(Box<ArrowWriter<W>>),
    Arrow(Box<FileWriter<W>>),
    Stream(Box<StreamWriter<W>>),
}

impl<W: Write + Send> Rows<W> {
    /// Begins with rows of `schema`.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn begin(mut out: W, format: Format, schema: &SchemaRef) -> Result<Rows<W>, Unwritten> {
        let schema = plain(schema);
        let form = match format {
            Format::Table => {
                let header = schema.fields().iter().map(|field| field.name().clone()).collect();
                Form::Table { out, waiting: vec![header], widths: None }
            }
            Format::Csv => {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                out.write_all(csv::row(names).as_bytes())?;
                Form::Csv { out }
            }
            Format::Jsonl => Form::Jsonl { out },
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_created_by("couponry-history".to_owned())
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
                Form::Parquet(Box::new(writer))
            }
            Format::Arrow => Form::Arrow(Box::new(FileWriter::try_new(out, &schema)?)),
            Format::ArrowStream => Form::Stream(Box::new(StreamWriter::try_new(out, &schema)?)),
        };
        Ok(Rows { schema, form, count: 0 })
    }

    /// Rows so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Writes some rows.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn put(&mut self, rows: &RecordBatch) -> Result<(), Unwritten> {
        self.count += rows.num_rows() as u64;
        match &mut self.form {
            Form::Table { out, waiting, widths } => {
                for row in 0..rows.num_rows() {
                    waiting.push(cells(rows, row));
                    if waiting.len() > MEASURED {
                        lay_out(out, &self.schema, waiting, widths)?;
                    }
                }
            }
            Form::Csv { out } => {
                for row in 0..rows.num_rows() {
                    out.write_all(csv_row(rows, row).as_bytes())?;
                }
            }
            Form::Jsonl { out } => {
                for row in 0..rows.num_rows() {
                    writeln!(out, "{}", object(rows, row))?;
                }
            }
            Form::Parquet(writer) => writer.write(&plainly(rows, &self.schema)?)?,
            Form::Arrow(writer) => writer.write(&plainly(rows, &self.schema)?)?,
            Form::Stream(writer) => writer.write(&plainly(rows, &self.schema)?)?,
        }
        Ok(())
    }

    fn out(&self) -> &W {
        match &self.form {
            Form::Table { out, .. } | Form::Csv { out } | Form::Jsonl { out } => out,
            Form::Parquet(writer) => writer.inner(),
            Form::Arrow(writer) => writer.get_ref(),
            Form::Stream(writer) => writer.get_ref(),
        }
    }

    /// Ends; what it wrote to.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn end(self) -> Result<W, Unwritten> {
        match self.form {
            Form::Table { mut out, mut waiting, mut widths } => {
                lay_out(&mut out, &self.schema, &mut waiting, &mut widths)?;
                Ok(out)
            }
            Form::Csv { out } | Form::Jsonl { out } => Ok(out),
            Form::Parquet(writer) => Ok(writer.into_inner()?),
            Form::Arrow(writer) => Ok(writer.into_inner()?),
            Form::Stream(writer) => Ok(writer.into_inner()?),
        }
    }
}

impl Rows<Vec<u8>> {
    /// Bytes so far, of a form that keeps none back.
    pub fn bytes(&self) -> usize {
        self.out().len()
    }
}

/// A row as a JSON object; of two columns of one name the later one has a number behind it.
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

fn cells(rows: &RecordBatch, row: usize) -> Vec<String> {
    rows.columns().iter().map(|column| values::text(column.as_ref(), row)).collect()
}

fn csv_row(rows: &RecordBatch, row: usize) -> String {
    let cell = |column: &ArrayRef| {
        let text = values::text(column.as_ref(), row);
        // A negative number is no formula.
        if values::is_number(column.data_type()) { text } else { csv::cell(&text) }
    };
    let mut line = rows.columns().iter().map(cell).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// Writes the rows that wait, each column as wide as its widest cell among the first of them.
fn lay_out(
    out: &mut impl Write,
    schema: &Schema,
    waiting: &mut Vec<Vec<String>>,
    widths: &mut Option<Vec<usize>>,
) -> std::io::Result<()> {
    let widest = |at: usize| {
        let cells = waiting.iter().flat_map(|row| row[at].lines());
        cells.map(|line| line.chars().count()).max().unwrap_or(0)
    };
    let widths = widths.get_or_insert_with(|| {
        (0..schema.fields().len()).map(|at| widest(at).min(WIDTH_MAX)).collect()
    });
    for row in waiting.drain(..) {
        // A plan has lines of its own.
        let lines = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0).max(1);
        for line in 0..lines {
            let cells = row.iter().zip(schema.fields()).zip(widths.iter());
            let cells = cells.map(|((cell, field), width)| {
                let cell = cell.lines().nth(line).unwrap_or_default();
                match values::is_number(field.data_type()) {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                }
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
    }
    Ok(())
}

/// The same columns in types that every reader knows: views of text are new.
fn plain(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn plainly(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast(column, field.data_type()),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}
