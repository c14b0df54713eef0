//! The columns of both tables: the only place that knows their names, types and encodings.
//!
//! `schema/cold.md` is the contract with whoever reads the files without us, and is only ever
//! added to. The Arrow and the Delta schema are both made from the lists here.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
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

#[derive(Debug)]
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
#[derive(Debug)]
pub(crate) struct TableSchema {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    /// The columns that the rows of a file ascend by.
    sorted_by: &'static [&'static str],
    /// Bytes that a row group should have.
    pub(crate) group_bytes: usize,
}

/// The table of coupons.
pub(crate) const COUPONS: TableSchema = TableSchema {
    name: "coupons",
    columns: &[
        column("shelf_day", Kind::Day, Layout::Partition),
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
    ],
    sorted_by: &["code"],
    group_bytes: GROUP_BYTES,
};

/// The table of a person's coupons.
pub(crate) const BY_HOLDER: TableSchema = TableSchema {
    name: "coupons_by_holder",
    columns: &[
        column("month", Kind::Text, Layout::Partition),
        column("holder", Kind::Text, Layout::Prefixes),
        column("code", Kind::Text, Layout::Plain),
        column("shelf_day", Kind::Day, Layout::Dictionary),
        column("expires_at", Kind::Instant, Layout::Dictionary),
        column("state", Kind::Text, Layout::Dictionary),
        column("version", Kind::Long, Layout::Dictionary),
    ],
    sorted_by: &["holder", "code"],
    group_bytes: HOLDER_GROUP_BYTES,
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

/// The columns of a file of `coupons`.
pub(crate) fn coupons_arrow() -> Arc<Schema> {
    Arc::clone(&COUPONS_ARROW)
}

/// The columns of a file of `coupons_by_holder`.
pub(crate) fn by_holder_arrow() -> Arc<Schema> {
    Arc::clone(&BY_HOLDER_ARROW)
}

impl TableSchema {
    /// The column that the folders are named after.
    pub(crate) fn partition(&self) -> &'static str {
        self.columns[0].name
    }

    fn to_arrow(&self) -> Arc<Schema> {
        Arc::new(Schema::new(fields(&self.columns[1..])))
    }

    /// The Delta schema, partition column included.
    pub(crate) fn delta(&self) -> delta::StructType {
        delta_struct(self.columns)
    }

    /// The columns that a file's entry in the log has the smallest and largest value of.
    pub(crate) fn counted(&self) -> impl Iterator<Item = &'static str> {
        self.columns[1..].iter().filter(|column| column.kind != Kind::Events).map(|c| c.name)
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
        for column in EVENT {
            // Of ten columns of each row group, and nobody asks for the smallest of all references.
            let path = column.event_path();
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
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
                leaves.extend(EVENT.iter().map(|inner| (inner.event_path(), inner.layout)));
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

    fn arrow(&self) -> Field {
        let data_type = match self.kind {
            Kind::Text => DataType::Utf8,
            Kind::Long => DataType::Int64,
            Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Day => DataType::Date32,
            Kind::Events => DataType::List(event_element()),
        };
        Field::new(self.name, data_type, self.nullable)
    }

    fn delta(&self) -> delta::StructField {
        let data_type = match self.kind {
            Kind::Text => delta::DataType::STRING,
            Kind::Long => delta::DataType::LONG,
            Kind::Instant => delta::DataType::TIMESTAMP,
            Kind::Day => delta::DataType::DATE,
            Kind::Events => {
                delta::ArrayType::new(delta::DataType::from(delta_struct(EVENT)), false).into()
            }
        };
        delta::StructField::new(self.name, data_type, self.nullable)
    }
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(Column::arrow).collect()
}

/// The fields of one event.
pub(crate) fn event_fields() -> Fields {
    fields(EVENT)
}

/// The element of the list of events.
pub(crate) fn event_element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(event_fields()), false))
}

fn delta_struct(columns: &[Column]) -> delta::StructType {
    delta::StructType::try_new(columns.iter().map(Column::delta))
        .expect("no two columns of a table have one name")
}
