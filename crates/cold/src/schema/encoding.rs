//! How the files of a table are encoded: the only place that sets properties of Parquet's writer.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{ColumnLayout, FieldKind, GROUP_ROWS_MAX, TableColumn, TableSchema};

/// A limit that no page reaches before its row group is full: a row with 32 events of the longest
/// names has 20 KB.
const PAGE_BYTES_MAX: usize = 1 << 30;

const ZSTD_LEVEL: i32 = 3;

impl TableSchema {
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
        let counted: Vec<ColumnPath> = self.counted().map(ColumnPath::from).collect();
        for (path, layout) in self.leaves() {
            // An event has ten columns, and nobody looks up the minimum of all references.
            if !counted.contains(&path) {
                let path = path.clone();
                properties =
                    properties.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
            properties = match layout {
                ColumnLayout::Partition | ColumnLayout::Plain => properties,
                ColumnLayout::Prefixes => {
                    properties.set_column_encoding(path, Encoding::DELTA_BYTE_ARRAY)
                }
                ColumnLayout::Deltas => {
                    properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
                }
                ColumnLayout::Dictionary => properties.set_column_dictionary_enabled(path, true),
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

    pub(super) fn leaves(&self) -> Vec<(ColumnPath, ColumnLayout)> {
        let mut leaves = Vec::new();
        for column in &self.columns[1..] {
            if column.kind == FieldKind::Events {
                leaves.extend(self.events.iter().map(|inner| (inner.event_path(), inner.layout)));
            } else {
                leaves.push((ColumnPath::from(column.name), column.layout));
            }
        }
        leaves
    }
}

impl TableColumn {
    fn event_path(&self) -> ColumnPath {
        ColumnPath::new(["events", "list", "element", self.name].map(str::to_owned).to_vec())
    }
}
