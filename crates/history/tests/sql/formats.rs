//! Rows in every format, read back.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::ipc::reader::{FileReader, StreamReader};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use history::formats::{FormattedRows, OutputFormat};

use crate::world::World;

const SQL: &str = "select code, version, expires_at, expires_on, holder, events, expired \
     from coupons where campaign_id = 'spring' order by code limit 3";

async fn written(world: &World, sql: &str, format: OutputFormat) -> Vec<u8> {
    let mut answer = world.history.ask(sql, None).await.unwrap();
    let mut rows = FormattedRows::begin(Vec::new(), format, &answer.schema()).unwrap();
    while let Some(batch) = answer.next().await.unwrap() {
        rows.put(&batch).unwrap();
    }
    rows.end().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn text() {
    let world = World::full().await;
    let sql = "select 'a,b' as text, '=1' as formula, -7 as number, 1.5 as part, null as nothing, \
         date '2026-12-31' as day, timestamp '2026-12-31T10:00:00Z' as no_zone, \
         arrow_cast('2026-12-31T10:00:00.001002Z', 'Timestamp(Microsecond, Some(\"UTC\"))') as fine, \
         [1, 2] as list, true as yes";
    let cases = [
        (
            "CSV",
            OutputFormat::Csv,
            "text,formula,number,part,nothing,day,no_zone,fine,list,yes\n\
             \"a,b\",'=1,-7,1.5,,2026-12-31,2026-12-31T10:00:00,2026-12-31T10:00:00.001002Z,\"[1,2]\",true\n",
        ),
        (
            "JSON",
            OutputFormat::Jsonl,
            "{\"text\":\"a,b\",\"formula\":\"=1\",\"number\":-7,\"part\":1.5,\"nothing\":null,\
             \"day\":\"2026-12-31\",\"no_zone\":\"2026-12-31T10:00:00\",\
             \"fine\":\"2026-12-31T10:00:00.001002Z\",\"list\":[1,2],\"yes\":true}\n",
        ),
        (
            "a table",
            OutputFormat::Table,
            "text  formula  number  part  nothing  day         no_zone              fine                         list   yes\n\
             a,b   =1           -7   1.5           2026-12-31  2026-12-31T10:00:00  2026-12-31T10:00:00.001002Z  [1,2]  true\n",
        ),
    ];
    for (name, format, want) in cases {
        let found = written(&world, sql, format).await;
        assert_eq!(String::from_utf8(found).unwrap(), want, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_json() {
    let world = World::full().await;
    let lines = written(&world, SQL, OutputFormat::Jsonl).await;
    let lines = String::from_utf8(lines).unwrap();
    let rows: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!(row["expires_on"], "2026-03-01", "{row}");
        assert_eq!(row["expires_at"], "2026-03-02T00:00:00.000Z", "{row}");
        assert_eq!(row["expired"], true, "{row}");
        let happened = row["events"].as_array().unwrap();
        assert_eq!(happened.is_empty(), row["holder"].is_null(), "{row}");
        assert!(happened.iter().all(|event| event["actor"] == "admin:test"), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns() {
    let world = World::full().await;
    let want: Vec<String> = world.ask(SQL).await.into_iter().map(|row| row[0].clone()).collect();
    let codes = |batch: datafusion::arrow::array::RecordBatch| {
        let codes = batch.column_by_name("code").unwrap().as_string::<i32>().clone();
        codes.iter().map(|code| code.unwrap().to_owned()).collect::<Vec<_>>()
    };
    let parquet = written(&world, SQL, OutputFormat::Parquet).await;
    let reader = ParquetRecordBatchReader::try_new(bytes::Bytes::from(parquet), 1_000).unwrap();
    let found: Vec<String> = reader.flat_map(|batch| codes(batch.unwrap())).collect();
    assert_eq!(found, want, "Parquet");
    let arrow = written(&world, SQL, OutputFormat::Arrow).await;
    let reader = FileReader::try_new(std::io::Cursor::new(arrow), None).unwrap();
    let found: Vec<String> = reader.flat_map(|batch| codes(batch.unwrap())).collect();
    assert_eq!(found, want, "Arrow");
    let stream = written(&world, SQL, OutputFormat::ArrowStream).await;
    let reader = StreamReader::try_new(stream.as_slice(), None).unwrap();
    let found: Vec<String> = reader.flat_map(|batch| codes(batch.unwrap())).collect();
    assert_eq!(found, want, "an Arrow stream");
}
