//! The columns of the tables: the only place that knows their names, types and encodings.
//!
//! `schema/cold.md` is the contract with whoever reads the files without us, and is only ever
//! added to. The Arrow and the Delta schema are both made from the lists here.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions};
use arrow::array::{StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use arrow::error::ArrowError;
use delta_kernel::expressions::ColumnName;
use delta_kernel::schema as delta;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Bytes that a row group of `coupons` should have: what a look-up reads. See decision 0010 for the
/// figures beside other sizes.
pub(crate) const GROUP_BYTES: usize = 448 << 10;

/// The same of `coupons_by_holder`: a person has few coupons, and one row group has them.
pub(crate) const HOLDER_GROUP_BYTES: usize = 128 << 10;

/// Rows of a row group at the most, however small they are.
pub(crate) const GROUP_ROWS_MAX: usize = 65_536;

/// Past this a page would be cut although its row group is not full. A row with 32 events of the
/// longest names has 20 KB; no real row group comes near.
const PAGE_BYTES_MAX: usize = 1 << 30;

const ZSTD_LEVEL: i32 = 3;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Long,
    Instant,
    Day,
    Events,
}

/// How a column is laid down in its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Not in the file: the folder's name says it.
    Partition,
    /// Sorted or nearly unique text with common prefixes.
    Prefixes,
    /// Numbers that lie near each other.
    Deltas,
    /// Values that repeat.
    Dictionary,
    /// As they come.
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    layout: Layout,
}

const fn column(name: &'static str, kind: Kind, layout: Layout) -> Column {
    Column { name, kind, nullable: false, layout }
}

const fn optional(name: &'static str, kind: Kind, layout: Layout) -> Column {
    Column { name, kind, nullable: true, layout }
}

/// One table: its name in the store, its columns, and how its files are cut.
#[derive(Debug, PartialEq)]
pub(crate) struct TableSchema {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    /// What an event has, where one of the columns holds events.
    pub(crate) events: &'static [Column],
    /// The columns that a row group has the smallest and the largest value of; all but those of
    /// events where none are named. Of a file whose footer is read for one person they are most
    /// of the footer.
    bounded: Option<&'static [&'static str]>,
    /// The columns that the rows of a file ascend by.
    sorted_by: &'static [&'static str],
    /// Bytes that a row group should have.
    pub(crate) group_bytes: usize,
    /// Bytes of a row group in the footer, rounded up, so that one read gets the whole footer.
    pub(crate) footer_group_bytes: u64,
}

/// The table of coupons.
pub(crate) const COUPONS: TableSchema = TableSchema {
    name: "coupons",
    columns: &[
        column("expiry_day", Kind::Day, Layout::Partition),
        column("code", Kind::Text, Layout::Prefixes),
        column("campaign_id", Kind::Text, Layout::Dictionary),
        column("batch_id", Kind::Text, Layout::Dictionary),
        column("state", Kind::Text, Layout::Dictionary),
        column("version", Kind::Long, Layout::Dictionary),
        optional("holder", Kind::Text, Layout::Plain),
        column("valid_from", Kind::Instant, Layout::Dictionary),
        column("expires_at", Kind::Instant, Layout::Dictionary),
        column("made_expires_at", Kind::Instant, Layout::Dictionary),
        column("time_zone", Kind::Text, Layout::Dictionary),
        column("made_time_zone", Kind::Text, Layout::Dictionary),
        optional("issued_at", Kind::Instant, Layout::Deltas),
        optional("redeemed_at", Kind::Instant, Layout::Deltas),
        optional("order_ref", Kind::Text, Layout::Plain),
        column("created_at", Kind::Instant, Layout::Dictionary),
        column("modified_at", Kind::Instant, Layout::Deltas),
        column("events", Kind::Events, Layout::Plain),
        column("archived_in", Kind::Long, Layout::Dictionary),
    ],
    events: EVENT,
    bounded: None,
    sorted_by: &["code"],
    group_bytes: GROUP_BYTES,
    footer_group_bytes: 4 << 10,
};

/// The table of a person's coupons.
pub(crate) const BY_HOLDER: TableSchema = TableSchema {
    name: "coupons_by_holder",
    columns: &[
        column("month", Kind::Text, Layout::Partition),
        column("holder", Kind::Text, Layout::Prefixes),
        column("code", Kind::Text, Layout::Plain),
        column("expiry_day", Kind::Day, Layout::Dictionary),
        column("expires_at", Kind::Instant, Layout::Dictionary),
        column("state", Kind::Text, Layout::Dictionary),
        column("version", Kind::Long, Layout::Dictionary),
    ],
    events: &[],
    bounded: None,
    sorted_by: &["holder", "code"],
    group_bytes: HOLDER_GROUP_BYTES,
    footer_group_bytes: 4 << 10,
};

/// The table of whole coupons by holder, which a list reads: those of `coupons` with a holder.
pub(crate) const HOLDER_INDEX: TableSchema = TableSchema {
    name: "holder_index",
    columns: &[
        column("level", Kind::Text, Layout::Partition),
        column("code", Kind::Text, Layout::Plain),
        column("campaign_id", Kind::Text, Layout::Dictionary),
        column("batch_id", Kind::Text, Layout::Dictionary),
        column("state", Kind::Text, Layout::Dictionary),
        column("version", Kind::Long, Layout::Dictionary),
        optional("holder", Kind::Text, Layout::Prefixes),
        column("valid_from", Kind::Instant, Layout::Dictionary),
        column("expires_at", Kind::Instant, Layout::Dictionary),
        column("made_expires_at", Kind::Instant, Layout::Dictionary),
        column("time_zone", Kind::Text, Layout::Dictionary),
        column("made_time_zone", Kind::Text, Layout::Dictionary),
        optional("issued_at", Kind::Instant, Layout::Deltas),
        optional("redeemed_at", Kind::Instant, Layout::Deltas),
        optional("order_ref", Kind::Text, Layout::Plain),
        column("created_at", Kind::Instant, Layout::Dictionary),
        column("modified_at", Kind::Instant, Layout::Deltas),
        column("events", Kind::Events, Layout::Plain),
        column("expiry_day", Kind::Day, Layout::Dictionary),
    ],
    events: EVENT,
    bounded: Some(&["holder"]),
    sorted_by: &["holder", "expiry_day", "code"],
    group_bytes: HOLDER_GROUP_BYTES,
    footer_group_bytes: 5 << 9,
};

/// What an event holds; the same as in the hot store.
pub(crate) const EVENT: &[Column] = &[
    column("sequence", Kind::Long, Layout::Deltas),
    column("kind", Kind::Text, Layout::Dictionary),
    column("at", Kind::Instant, Layout::Deltas),
    column("actor", Kind::Text, Layout::Dictionary),
    column("operation", Kind::Text, Layout::Plain),
    optional("user_id", Kind::Text, Layout::Plain),
    optional("reference", Kind::Text, Layout::Plain),
    optional("reason", Kind::Text, Layout::Dictionary),
    optional("expires_at", Kind::Instant, Layout::Deltas),
    optional("time_zone", Kind::Text, Layout::Dictionary),
];

static COUPONS_ARROW: LazyLock<Arc<Schema>> = LazyLock::new(|| COUPONS.to_arrow());
static BY_HOLDER_ARROW: LazyLock<Arc<Schema>> = LazyLock::new(|| BY_HOLDER.to_arrow());
static HOLDER_INDEX_ARROW: LazyLock<Arc<Schema>> = LazyLock::new(|| HOLDER_INDEX.to_arrow());

/// The columns of a file of `coupons`.
pub(crate) fn coupons_arrow() -> Arc<Schema> {
    Arc::clone(&COUPONS_ARROW)
}

/// The columns of a file of `coupons_by_holder`.
pub(crate) fn by_holder_arrow() -> Arc<Schema> {
    Arc::clone(&BY_HOLDER_ARROW)
}

/// The columns of a file of `holder_index`.
pub(crate) fn holder_index_arrow() -> Arc<Schema> {
    Arc::clone(&HOLDER_INDEX_ARROW)
}

impl TableSchema {
    /// The column that the folders are named after.
    pub(crate) fn partition(&self) -> &'static str {
        self.columns[0].name
    }

    pub(crate) fn to_arrow(&self) -> Arc<Schema> {
        Arc::new(Schema::new(fields(&self.columns[1..], self.events)))
    }

    /// The Delta schema, partition column included.
    pub(crate) fn delta(&self) -> delta::StructType {
        delta_struct(self.columns, self.events)
    }

    /// The columns that a table of an earlier release does not have yet, and the struct that each
    /// belongs to; `None` is the row itself.
    pub(crate) fn missing_in(&self, table: &delta::StructType) -> Vec<Addition> {
        let mut missing = Vec::new();
        for column in self.columns {
            match table.field(column.name) {
                None => missing.push((None, column.delta(self.events))),
                Some(field) if column.kind == Kind::Events => {
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

    /// Whether the table was given columns by a later release.
    pub(crate) fn is_behind(&self, table: &delta::StructType) -> bool {
        let is_unknown = |columns: &[Column], name: &str| columns.iter().all(|it| it.name != name);
        table.fields().any(|field| {
            let has_unknown_event = |event: &delta::StructType| {
                event.fields().any(|inner| is_unknown(self.events, &inner.name))
            };
            is_unknown(self.columns, &field.name)
                || element_of(field).is_some_and(has_unknown_event)
        })
    }

    /// Of the columns of a file, named by their paths, the first that this release does not know.
    pub(crate) fn unknown_of<'a>(
        &self,
        mut paths: impl Iterator<Item = &'a ColumnPath>,
    ) -> Option<&'a ColumnPath> {
        let known: Vec<ColumnPath> = self.leaves().into_iter().map(|(path, _)| path).collect();
        paths.find(|path| !known.contains(path))
    }

    /// A batch of a file with the columns that the file was written without, as nulls: a file of
    /// an earlier release reads like one of this release. `wanted` are the columns that were
    /// asked for, all if there are none.
    pub(crate) fn completed(
        &self,
        batch: RecordBatch,
        wanted: Option<&[&str]>,
    ) -> Result<RecordBatch, ArrowError> {
        let is_wanted = |column: &&Column| wanted.is_none_or(|them| them.contains(&column.name));
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
                Ok(at) if column.kind == Kind::Events => {
                    if let Some(events) = self.completed_events(&arrays[at])? {
                        let kind = events.data_type().clone();
                        fields[at] = Arc::new(Field::new(column.name, kind, column.nullable));
                        arrays[at] = events;
                        is_whole = false;
                    }
                }
                // A column that may not be null and is missing is damage, which the decoder names.
                Ok(_) | Err(_) => {}
            }
        }
        if is_whole {
            return Ok(batch);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }

    /// The same of events; `None` where they have every field.
    fn completed_events(&self, lists: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
        let Some(lists) = lists.as_list_opt::<i32>() else { return Ok(None) };
        let Some(events) = lists.values().as_struct_opt() else { return Ok(None) };
        let is_missing = |it: &&Column| it.nullable && events.column_by_name(it.name).is_none();
        let missing: Vec<&Column> = self.events.iter().filter(is_missing).collect();
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

    /// The columns that a file's entry in the log has the smallest and largest value of.
    pub(crate) fn counted(&self) -> impl Iterator<Item = &'static str> {
        let is_counted = |column: &&Column| {
            column.kind != Kind::Events && self.bounded.is_none_or(|it| it.contains(&column.name))
        };
        self.columns[1..].iter().filter(is_counted).map(|column| column.name)
    }

    /// How its files are encoded.
    pub(crate) fn properties(&self) -> WriterProperties {
        let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("zstd has a level 3");
        let mut properties = WriterProperties::builder()
            .set_created_by("couponry".to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_dictionary_enabled(false)
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            .set_data_page_row_count_limit(GROUP_ROWS_MAX)
            .set_data_page_size_limit(PAGE_BYTES_MAX)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_statistics_truncate_length(None)
            .set_offset_index_disabled(true)
            .set_sorting_columns(Some(self.sorting()));
        for column in self.events {
            // Of ten columns of each row group, and nobody asks for the smallest of all references.
            let path = column.event_path();
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        for column in &self.columns[1..] {
            if self.bounded.is_some_and(|bounded| !bounded.contains(&column.name)) {
                let path = ColumnPath::from(column.name);
                properties =
                    properties.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
        }
        for (path, layout) in self.leaves() {
            properties = match layout {
                Layout::Partition | Layout::Plain => properties,
                Layout::Prefixes => {
                    properties.set_column_encoding(path, Encoding::DELTA_BYTE_ARRAY)
                }
                Layout::Deltas => {
                    properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
                }
                Layout::Dictionary => properties.set_column_dictionary_enabled(path, true),
            };
        }
        properties.build()
    }

    fn sorting(&self) -> Vec<SortingColumn> {
        let names = || self.columns[1..].iter().map(|column| column.name);
        let position = |wanted: &str| {
            (0..).zip(names()).find(|(_, name)| *name == wanted).map(|(position, _)| position)
        };
        let column = |name: &&str| SortingColumn {
            column_idx: position(name).expect("a column of the table"),
            descending: false,
            nulls_first: false,
        };
        self.sorted_by.iter().map(column).collect()
    }

    fn leaves(&self) -> Vec<(ColumnPath, Layout)> {
        let mut leaves = Vec::new();
        for column in &self.columns[1..] {
            if column.kind == Kind::Events {
                leaves.extend(self.events.iter().map(|inner| (inner.event_path(), inner.layout)));
            } else {
                leaves.push((ColumnPath::from(column.name), column.layout));
            }
        }
        leaves
    }
}

impl Column {
    fn event_path(&self) -> ColumnPath {
        ColumnPath::new(["events", "list", "element", self.name].map(str::to_owned).to_vec())
    }

    fn arrow(&self, events: &[Column]) -> Field {
        let data_type = match self.kind {
            Kind::Text => DataType::Utf8,
            Kind::Long => DataType::Int64,
            Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Day => DataType::Date32,
            Kind::Events => DataType::List(element(events)),
        };
        Field::new(self.name, data_type, self.nullable)
    }

    fn delta(&self, events: &[Column]) -> delta::StructField {
        let data_type = match self.kind {
            Kind::Text => delta::DataType::STRING,
            Kind::Long => delta::DataType::LONG,
            Kind::Instant => delta::DataType::TIMESTAMP,
            Kind::Day => delta::DataType::DATE,
            Kind::Events => {
                let event = delta::DataType::from(delta_struct(events, &[]));
                delta::ArrayType::new(event, false).into()
            }
        };
        delta::StructField::new(self.name, data_type, self.nullable)
    }
}

/// Schemas of releases to come.
#[cfg(test)]
impl TableSchema {
    /// With one more column of text.
    pub(crate) fn with_text(&self, name: &'static str) -> TableSchema {
        let added = optional(name, Kind::Text, Layout::Plain);
        TableSchema { columns: [self.columns, &[added]].concat().leak(), ..*self }
    }

    /// With one more text in each event.
    pub(crate) fn with_event_text(&self, name: &'static str) -> TableSchema {
        let added = optional(name, Kind::Text, Layout::Plain);
        TableSchema { events: [self.events, &[added]].concat().leak(), ..*self }
    }
}

/// A column to be added, and the struct that it is to be a field of; `None` is the row itself.
pub(crate) type Addition = (Option<ColumnName>, delta::StructField);

/// What an array of structs has in it.
fn element_of(field: &delta::StructField) -> Option<&delta::StructType> {
    let delta::DataType::Array(array) = &field.data_type else { return None };
    match &array.element_type {
        delta::DataType::Struct(element) => Some(element),
        _ => None,
    }
}

fn fields(columns: &[Column], events: &[Column]) -> Fields {
    columns.iter().map(|column| column.arrow(events)).collect()
}

/// The fields of one event.
pub(crate) fn event_fields() -> Fields {
    fields(EVENT, &[])
}

/// The element of the list of events.
pub(crate) fn event_element() -> Arc<Field> {
    element(EVENT)
}

fn element(events: &[Column]) -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(fields(events, &[])), false))
}

fn delta_struct(columns: &[Column], events: &[Column]) -> delta::StructType {
    delta::StructType::try_new(columns.iter().map(|column| column.delta(events)))
        .expect("no two columns of a table have one name")
}
