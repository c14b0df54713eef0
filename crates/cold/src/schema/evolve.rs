//! Schema evolution: tables and files of an earlier or a later release.

use arrow::array::{ArrayRef, new_null_array};
use delta_kernel::expressions::ColumnName;
use delta_kernel::schema as delta;
use parquet::schema::types::ColumnPath;

use super::{COUPONS, FieldKind, TableColumn, TableSchema};

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
}

/// What a file without the column `path` has in its place: nulls, if the column is nullable. The
/// path of a field of events begins with `events.`.
pub(crate) fn nulls(path: &str, rows: usize) -> Option<ArrayRef> {
    let (columns, name) = match path.strip_prefix("events.") {
        Some(name) => (COUPONS.events, name),
        None => (COUPONS.columns, path),
    };
    let column = columns.iter().find(|it| it.name == name && it.nullable)?;
    Some(new_null_array(column.arrow(COUPONS.events).data_type(), rows))
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
