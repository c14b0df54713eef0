//! Schema evolution: tables and files of an earlier or a later release.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions};
use arrow::array::{StructArray, new_null_array};
use arrow::datatypes::{Field, FieldRef, Schema};
use arrow::error::ArrowError;
use delta_kernel::expressions::ColumnName;
use delta_kernel::schema as delta;
use parquet::schema::types::ColumnPath;

use super::{FieldKind, TableColumn, TableSchema};

/// A column to add, and the struct that it belongs to; `None` for the row itself.
pub(crate) type ColumnAddition = (Option<ColumnName>, delta::StructField);

impl TableSchema {
    pub(crate) fn missing_in(&self, table: &delta::StructType) -> Vec<ColumnAddition> {
        let mut missing = Vec::new();
        for column in self.columns {
            match table.field(column.name) {
                None => missing.push((None, column.delta(self.events))),
                Some(field) if column.kind == FieldKind::Events => {
                    let Some(event) = element_of(field) else { continue };
                    let parent = ColumnName::new([column.name, "element"]);
                    let inner = self.events.iter().filter(|it| event.field(it.name).is_none());
                    missing.extend(inner.map(|it| (Some(parent.clone()), it.delta(&[]))));
                }
                Some(_) => {}
            }
        }
        missing
    }

    /// Whether a later release has added columns to the table.
    pub(crate) fn is_behind(&self, table: &delta::StructType) -> bool {
        let is_unknown =
            |columns: &[TableColumn], name: &str| columns.iter().all(|it| it.name != name);
        table.fields().any(|field| {
            let has_unknown_event = |event: &delta::StructType| {
                event.fields().any(|inner| is_unknown(self.events, &inner.name))
            };
            is_unknown(self.columns, &field.name)
                || element_of(field).is_some_and(has_unknown_event)
        })
    }

    /// The first of `paths`, the columns of a file, that this release does not know.
    pub(crate) fn unknown_of<'a>(
        &self,
        mut paths: impl Iterator<Item = &'a ColumnPath>,
    ) -> Option<&'a ColumnPath> {
        let known: Vec<ColumnPath> = self.leaves().into_iter().map(|(path, _)| path).collect();
        paths.find(|path| !known.contains(path))
    }

    /// Adds the columns that a file of an earlier release does not have, as nulls. `wanted` are the
    /// columns that were asked for; `None` for all.
    pub(crate) fn completed(
        &self,
        batch: RecordBatch,
        wanted: Option<&[&str]>,
    ) -> Result<RecordBatch, ArrowError> {
        let is_wanted =
            |column: &&TableColumn| wanted.is_none_or(|them| them.contains(&column.name));
        let (rows, found) = (batch.num_rows(), batch.schema());
        let mut fields: Vec<FieldRef> = found.fields().iter().cloned().collect();
        let mut arrays: Vec<ArrayRef> = batch.columns().to_vec();
        let mut is_whole = true;
        for column in self.columns[1..].iter().filter(is_wanted) {
            match found.index_of(column.name) {
                Err(_) if column.nullable => {
                    let field = column.arrow(self.events);
                    arrays.push(new_null_array(field.data_type(), rows));
                    fields.push(Arc::new(field));
                    is_whole = false;
                }
                Ok(at) if column.kind == FieldKind::Events => {
                    if let Some(events) = self.completed_events(&arrays[at])? {
                        let kind = events.data_type().clone();
                        fields[at] = Arc::new(Field::new(column.name, kind, column.nullable));
                        arrays[at] = events;
                        is_whole = false;
                    }
                }
                // A required column that is missing is damage, which the decoder reports.
                Ok(_) | Err(_) => {}
            }
        }
        if is_whole {
            return Ok(batch);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }

    /// As [`TableSchema::completed`], for events; `None` if they have every field.
    fn completed_events(&self, lists: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
        let Some(lists) = lists.as_list_opt::<i32>() else { return Ok(None) };
        let Some(events) = lists.values().as_struct_opt() else { return Ok(None) };
        let is_missing =
            |it: &&TableColumn| it.nullable && events.column_by_name(it.name).is_none();
        let missing: Vec<&TableColumn> = self.events.iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let mut fields: Vec<FieldRef> = events.fields().iter().cloned().collect();
        let mut arrays: Vec<ArrayRef> = events.columns().to_vec();
        for column in missing {
            let field = column.arrow(&[]);
            arrays.push(new_null_array(field.data_type(), events.len()));
            fields.push(Arc::new(field));
        }
        let events = StructArray::try_new(fields.into(), arrays, events.nulls().cloned())?;
        let element = Arc::new(Field::new("element", events.data_type().clone(), false));
        let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
        Ok(Some(Arc::new(ListArray::try_new(element, offsets, Arc::new(events), nulls)?)))
    }
}

fn element_of(field: &delta::StructField) -> Option<&delta::StructType> {
    let delta::DataType::Array(array) = &field.data_type else { return None };
    match &array.element_type {
        delta::DataType::Struct(element) => Some(element),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
