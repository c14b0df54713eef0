//! `schema/cold.md` agrees with the tables and files that are written.

use std::fs::{self, File};
use std::path::Path;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::Type;
use serde_json::Value;

use super::sample::{DAY, committed, every_kind, many, options, store};

const DOCUMENT: &str = include_str!("../../../../schema/cold.md");

/// Name, Delta type and whether it may be null, of each row of the table under `heading`.
fn documented(heading: &str) -> Vec<(String, String, bool)> {
    let section = DOCUMENT.split(heading).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].trim_matches('`').to_owned(), cells[1].to_owned(), cells[2] == "yes")
    })
    .collect()
}

/// The fields of a Delta struct in the same form, those of events as `events.name`.
fn of_delta(schema: &Value, prefix: &str) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    for field in schema["fields"].as_array().unwrap() {
        let name = format!("{prefix}{}", field["name"].as_str().unwrap());
        let nullable = field["nullable"].as_bool().unwrap();
        match field["type"].as_str() {
            Some(text) => found.push((name, text.to_owned(), nullable)),
            None => {
                assert_eq!(field["type"]["containsNull"], false, "{name}");
                found.push((name.clone(), "array of struct".to_owned(), nullable));
                found.extend(of_delta(&field["type"]["elementType"], &format!("{name}.")));
            }
        }
    }
    found
}

/// The fields of a Parquet file in the same form.
fn of_parquet(group: &Type, prefix: &str) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    for field in group.get_fields() {
        let name = format!("{prefix}{}", field.name());
        let nullable = field.get_basic_info().repetition() == Repetition::OPTIONAL;
        let kind = match field.get_basic_info().logical_type_ref() {
            Some(LogicalType::String) => "string",
            Some(LogicalType::Date) => "date",
            Some(LogicalType::Timestamp(at))
                if at.is_adjusted_to_u_t_c && at.unit == TimeUnit::MICROS =>
            {
                "timestamp"
            }
            Some(LogicalType::List) => "array of struct",
            None => "long",
            Some(other) => panic!("{name}: {other:?}"),
        };
        found.push((name.clone(), kind.to_owned(), nullable));
        if kind == "array of struct" {
            let element = &field.get_fields()[0].get_fields()[0];
            assert_eq!(element.get_basic_info().repetition(), Repetition::REQUIRED, "{name}");
            found.extend(of_parquet(element, &format!("{name}.")));
        }
    }
    found
}

fn delta_schema(table: &Path) -> (Value, Value) {
    let log = fs::read_to_string(table.join("_delta_log/00000000000000000000.json")).unwrap();
    let actions: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let made = actions.iter().find(|action| action["metaData"].is_object()).unwrap();
    let text = made["metaData"]["schemaString"].as_str().unwrap();
    (serde_json::from_str(text).unwrap(), made["metaData"]["partitionColumns"].clone())
}

fn a_file(folder: &Path) -> SerializedFileReader<File> {
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    SerializedFileReader::new(File::open(file.path()).unwrap()).unwrap()
}

#[tokio::test]
async fn the_document_agrees_with_the_files() {
    let (disk, store) = store().await;
    committed(&store, DAY, every_kind(DAY)).await;
    store.commit_holders(DAY, 1).await.unwrap();
    store.merge_holders(u64::MAX).await.unwrap();
    let cases = [
        ("coupons", "expiry_day", "expiry_day=2026-12-31"),
        ("coupons_by_holder", "month", "month=2026-12"),
        ("holder_index", "level", "level=0"),
    ];
    for (table, partition, folder) in cases {
        let documented = documented(&format!("\n## `{table}`"));
        assert!(documented.len() > 5, "{table}");
        let (schema, partitions) = delta_schema(&disk.path().join(table));
        assert_eq!(of_delta(&schema, ""), documented, "{table}: the Delta schema");
        assert_eq!(partitions, serde_json::json!([partition]), "{table}");
        let file = a_file(&disk.path().join(table).join(folder));
        let schema = file.metadata().file_metadata().schema();
        assert_eq!(of_parquet(schema, ""), documented[1..], "{table}: a file");
    }
    store.write_complete_days(&[(DAY, 13)]).await.unwrap();
    let file = a_file(&disk.path().join("complete_days"));
    let found = of_parquet(file.metadata().file_metadata().schema(), "");
    assert_eq!(found, documented("\n## `complete_days`"), "complete_days");
}

#[tokio::test]
async fn the_settings_are_the_measured_ones() {
    let disk = tempfile::TempDir::new().unwrap();
    let options = cold::ColdOptions { file_rows_max: 10_000_000, ..options() };
    let store = cold::ColdStore::on_folder(disk.path(), options);
    store.create().await.unwrap();
    let partition = committed(&store, DAY, many(70_000, DAY)).await;
    let file = a_file(&disk.path().join("coupons/expiry_day=2026-12-31"));
    let metadata = file.metadata();
    assert_eq!(metadata.file_metadata().created_by(), Some("couponry"));
    let rows: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
    // The first row group shows how large rows are. No row group has more rows than the second.
    assert_eq!(rows, [512, 65_536, 3_952]);
    for group in metadata.row_groups() {
        let sorting = group.sorting_columns().unwrap();
        assert_eq!((sorting.len(), sorting[0].column_idx, sorting[0].descending), (1, 0, false));
        for column in group.columns() {
            let name = column.column_path().string();
            assert!(matches!(column.compression(), Compression::ZSTD(_)), "{name}");
            assert_eq!(column.statistics().is_some(), !name.starts_with("events."), "{name}");
            assert_eq!(column.bloom_filter_offset(), None, "{name}");
            assert_eq!(column.offset_index_offset(), None, "{name}");
        }
    }
    for group in 0..3 {
        let group = file.get_row_group(group).unwrap();
        for column in 0..group.num_columns() {
            let name = group.metadata().column(column).column_path().string();
            let pages = group.get_column_page_reader(column).unwrap();
            let data = pages.map(Result::unwrap).filter(|page| page.is_data_page());
            assert_eq!(data.count(), 1, "{name}");
        }
    }
    assert!(partition.files[0].bytes() / 70_000 < 28, "{}", partition.files[0].bytes());
}
