//! Rows as a table: aligned columns, for people.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;

use crate::values;

/// Rows that a table measures its columns by. Later rows that are wider are not aligned.
const MEASURED: usize = 10_000;

/// Widest column of a table, in characters. A longer cell pushes the rest of its row to the right.
const WIDTH_MAX: usize = 60;

/// A table. It holds its first rows back until it knows how wide they are.
pub(super) struct TableWriter<W> {
    pub(super) out: W,
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl<W: Write> TableWriter<W> {
    pub(super) fn begin(out: W, schema: &Schema) -> TableWriter<W> {
        let header = schema.fields().iter().map(|field| field.name().clone()).collect();
        TableWriter { out, waiting: vec![header], widths: None }
    }

    pub(super) fn put(&mut self, rows: &RecordBatch, schema: &Schema) -> std::io::Result<()> {
        for row in 0..rows.num_rows() {
            self.waiting.push(cells(rows, row));
            if self.waiting.len() > MEASURED {
                self.lay_out(schema)?;
            }
        }
        Ok(())
    }

    pub(super) fn end(mut self, schema: &Schema) -> std::io::Result<W> {
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
