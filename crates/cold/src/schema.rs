//! The columns of the tables: the only place that knows their names, types and encodings.
//!
//! `schema/cold.md` is the contract with other readers of the files; columns are only ever added.
//! The Arrow schema and the Delta schema are both made from the lists in `columns`.

mod columns;
mod encoding;
mod evolve;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use delta_kernel::engine::arrow_conversion::TryFromArrow;
use delta_kernel::schema as delta;

pub(crate) use columns::{BY_HOLDER, COUPONS, EVENT, HOLDER_INDEX};
pub(crate) use evolve::{ColumnAddition, nulls};

/// Wanted size of a row group of `coupons`, which is what a look-up reads. See decision 0010.
pub(crate) const GROUP_BYTES: usize = 448 << 10;

/// Wanted size of a row group by holder. A holder has few coupons, and one row group has them.
pub(crate) const HOLDER_GROUP_BYTES: usize = 128 << 10;

/// Rows of a row group, at most, however small they are.
pub(crate) const GROUP_ROWS_MAX: usize = 65_536;

/// Microseconds in a millisecond: Delta's timestamps are in microseconds.
pub(crate) const MICROS: i64 = 1000;

/// The columns that name persons, or may.
const NAMING: [&str; 2] = ["holder", "order_ref"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Text,
    Long,
    Instant,
    Day,
    Events,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnLayout {
    /// Not in the file: the name of the folder has the value.
    Partition,
    /// Sorted or nearly unique text with common prefixes.
    Prefixes,
    /// Numbers that are close to each other.
    Deltas,
    /// Values that repeat.
    Dictionary,
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TableColumn {
    pub(crate) name: &'static str,
    pub(crate) kind: FieldKind,
    pub(crate) nullable: bool,
    layout: ColumnLayout,
}

const fn column(name: &'static str, kind: FieldKind, layout: ColumnLayout) -> TableColumn {
    TableColumn { name, kind, nullable: false, layout }
}

const fn optional(name: &'static str, kind: FieldKind, layout: ColumnLayout) -> TableColumn {
    TableColumn { name, kind, nullable: true, layout }
}

#[derive(Debug, PartialEq)]
pub(crate) struct TableSchema {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [TableColumn],
    /// The fields of an event, if a column has events.
    pub(crate) events: &'static [TableColumn],
    /// The columns with minimum and maximum in each row group; `None` for all but those of events.
    /// In a table whose footers are read for one holder, statistics are most of the footer.
    bounded: Option<&'static [&'static str]>,
    sorted_by: &'static [&'static str],
    pub(crate) group_bytes: usize,
    /// Size of a row group in the footer, rounded up, so that one read gets the whole footer.
    pub(crate) footer_group_bytes: u64,
    /// How long to keep files that a merge has replaced, at most.
    pub(crate) retention_max: Duration,
}

impl TableSchema {
    /// The partition column, which the folders are named after.
    pub(crate) fn partition(&self) -> &'static str {
        self.columns[0].name
    }

    pub(crate) fn to_arrow(&self) -> Arc<Schema> {
        Arc::new(Schema::new(fields(&self.columns[1..], self.events)))
    }

    /// The Delta schema, including the partition column.
    pub(crate) fn delta(&self) -> delta::StructType {
        delta::StructType::try_new(self.columns.iter().map(|column| column.delta(self.events)))
            .expect("no two columns of a table have one name")
    }

    /// The columns that have minimum and maximum in the log. Its entries cannot be rewritten, so it must not name persons.
    pub(crate) fn logged(&self) -> impl Iterator<Item = &'static str> {
        self.counted().filter(|name| !NAMING.contains(name))
    }

    /// The columns that have minimum and maximum in the footers.
    fn counted(&self) -> impl Iterator<Item = &'static str> {
        let is_counted = |column: &&TableColumn| {
            column.kind != FieldKind::Events
                && self.bounded.is_none_or(|it| it.contains(&column.name))
        };
        self.columns[1..].iter().filter(is_counted).map(|column| column.name)
    }
}

impl TableColumn {
    fn arrow(&self, events: &[TableColumn]) -> Field {
        let data_type = match self.kind {
            FieldKind::Text => DataType::Utf8,
            FieldKind::Long => DataType::Int64,
            FieldKind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            FieldKind::Day => DataType::Date32,
            FieldKind::Events => DataType::List(element(events)),
        };
        Field::new(self.name, data_type, self.nullable)
    }

    fn delta(&self, events: &[TableColumn]) -> delta::StructField {
        delta::StructField::try_from_arrow(&self.arrow(events)).expect("Delta has these types")
    }
}

pub(crate) fn fields(columns: &[TableColumn], events: &[TableColumn]) -> Fields {
    columns.iter().map(|column| column.arrow(events)).collect()
}

pub(crate) fn element(events: &[TableColumn]) -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(fields(events, &[])), false))
}
