//! Two releases on one table: the later one has one column more in coupons and one in their events.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, AsArray, ListArray, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};
use coupon::calendar::Zone;
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, OperationId};
use coupon::time::{Day, Millis};
use futures::future::join_all;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::blocking::BlockingPool;
use crate::cursor::RowDecoder;
use crate::decode::{self, BadRow};
use crate::error::ColdError;
use crate::live::NewFile;
use crate::location::StoreLocation;
use crate::log::{CommitOutcome, DeltaTable, PartitionChange};
use crate::names::FileOrigin;
use crate::options::ColdOptions;
use crate::persons::PersonNames;
use crate::schema::{self, COUPONS, ColumnLayout, FieldKind, TableSchema, optional};
use crate::store::ColdStore;
use crate::upload::ParquetUpload;
use crate::{encode, names};

const DAY: Day = Day(20_818);
const NEXT: Day = Day(20_819);

/// The column that this release does not have.
const ADDED: &str = "of_a_later_release";

static LATER: LazyLock<TableSchema> = LazyLock::new(|| {
    let added = |name| optional(name, FieldKind::Text, ColumnLayout::Plain);
    TableSchema {
        columns: [COUPONS.columns, &[added(ADDED)]].concat().leak(),
        events: [COUPONS.events, &[added("origin")]].concat().leak(),
        ..COUPONS
    }
});

fn location(memory: &Arc<InMemory>) -> StoreLocation {
    let (store, blocking) = (memory.clone(), BlockingPool::default());
    StoreLocation { store, name: "memory".into(), folder: None, blocking }
}

fn this(memory: &Arc<InMemory>) -> ColdStore {
    ColdStore::with_store(memory.clone(), "memory", ColdOptions::default())
}

fn later(memory: &Arc<InMemory>) -> ColdStore {
    ColdStore::with_coupons(location(memory), ColdOptions::default(), false, &LATER)
}

fn coupon(code: &str, day: Day) -> Coupon {
    let made = Millis(1_760_000_000_000);
    let genesis = Genesis {
        code: code.parse().unwrap(),
        campaign: "cmp_1".parse().unwrap(),
        batch: "b1".parse().unwrap(),
        valid_from: made,
        expires_at: day.end(),
        zone: Zone::utc(),
        created_at: made,
    };
    let kind = EventKind::Redeemed { by: None, order: "o-1".parse().unwrap(), worth: None };
    let (actor, operation) = (Actor::new("shop:till"), OperationId(1));
    Coupon::of(genesis, vec![Event { at: made, actor, operation, kind }], None, 1, made)
}

async fn committed(store: &ColdStore, day: Day, codes: &[&str]) -> CommitOutcome {
    let on = store.partition(day).await.unwrap();
    let mut writer = store.writer(day, on.archive_commit + 1, 0, &[]).await.unwrap();
    writer.push(codes.iter().map(|code| coupon(code, day)).collect()).await.unwrap();
    let files = writer.finish().await.unwrap();
    store.commit(&on, on.archive_commit + 1, &files, &[], u64::MAX).await.unwrap()
}

/// Rows of the later release. Each has `web` in the added column, and nothing in that of its events.
fn with_later_columns(batch: &RecordBatch) -> RecordBatch {
    let schema = LATER.to_arrow();
    let mut columns = batch.columns().to_vec();
    let at = batch.schema().index_of("events").unwrap();
    let lists = columns[at].as_list::<i32>();
    let DataType::List(element) = schema.field(at).data_type() else { panic!("events is a list") };
    let DataType::Struct(fields) = element.data_type() else { panic!("an event is a struct") };
    let events = lists.values().as_struct();
    let none = new_null_array(&DataType::Utf8, events.len());
    let events = [events.columns(), &[none]].concat();
    let events = Arc::new(StructArray::try_new(fields.clone(), events, None).unwrap());
    let offsets = lists.offsets().clone();
    columns[at] = Arc::new(ListArray::try_new(element.clone(), offsets, events, None).unwrap());
    columns.push(Arc::new(StringArray::from(vec!["web"; batch.num_rows()])));
    RecordBatch::try_new(schema, columns).unwrap()
}

/// A file of the later release. Each of its coupons has `web` in the added column.
async fn written_later(
    memory: &Arc<InMemory>,
    day: Day,
    archive_commit: u64,
    codes: &[&str],
) -> NewFile {
    let coupons: Vec<Coupon> = codes.iter().map(|code| coupon(code, day)).collect();
    let location = location(memory);
    let write = move || {
        let batch = encode::batch(&coupons, &vec![archive_commit; coupons.len()]).unwrap();
        let batch = with_later_columns(&batch);
        let origin = FileOrigin { day, archive_commit, rewrites: 0, through: 0 };
        let path = names::coupons_file(origin);
        let mut upload =
            ParquetUpload::begin(&location, &LATER, path, schema::GROUP_BYTES).unwrap();
        upload.write(&batch).unwrap();
        upload.finish().unwrap()
    };
    spawn_blocking(write).await.unwrap()
}

async fn committed_later(
    memory: &Arc<InMemory>,
    store: &ColdStore,
    day: Day,
    codes: &[&str],
    up_to: u64,
) -> CommitOutcome {
    let after = store.partition(day).await.unwrap().archive_commit;
    let added = vec![written_later(memory, day, after + 1, codes).await];
    let (removed, covers) = (HashSet::new(), Vec::new());
    let change = PartitionChange { day, after, archive_commit: after + 1, added, removed, covers };
    store.inner.coupons.commit(change, up_to).await.unwrap()
}

/// The `metaData` actions of a table's log, with their versions.
async fn metadata(memory: &Arc<InMemory>, table: &DeltaTable) -> Vec<(u64, Value)> {
    let mut found = Vec::new();
    for version in 0.. {
        let Ok(entry) = memory.get(&table.entry(version)).await else { return found };
        let text = entry.bytes().await.unwrap();
        for action in crate::log::actions(&text).unwrap() {
            if action["metaData"].is_object() {
                found.push((version, action["metaData"].clone()));
            }
        }
    }
    found
}

/// Each code with what is in its added column.
async fn added_column(store: &ColdStore, day: Day) -> Vec<(String, Option<String>)> {
    let decode = |batch: &RecordBatch,
                  _: &PersonNames|
     -> Result<Vec<(String, Option<String>)>, BadRow> {
        let text = |name: &str| {
            let column = batch.column_by_name(name).map(|column| column.as_string::<i32>().clone());
            move |row: usize| {
                let column = column.as_ref().filter(|column| column.is_valid(row))?;
                Some(column.value(row).to_owned())
            }
        };
        let (codes, added) = (text("code"), text(ADDED));
        Ok((0..batch.num_rows()).map(|row| (codes(row).unwrap(), added(row))).collect())
    };
    let mut found = Vec::new();
    for file in store.partition(day).await.unwrap().files {
        let mut rows =
            store.open(&file.live, RowDecoder::of(&["code", ADDED], decode)).await.unwrap();
        while let Some(some) = rows.next().await.unwrap() {
            found.extend(some);
        }
    }
    found.sort();
    found
}

/// As a release wrote them that did not have the nullable columns yet.
#[test]
fn columns_that_a_file_does_not_have_are_null() {
    let (want, stored) = (coupon("AAAA", DAY), &PersonNames::default());
    let whole = encode::batch(std::slice::from_ref(&want), &[1]).unwrap();
    let lists = whole.column_by_name("events").unwrap().as_list::<i32>();
    let events = RecordBatch::from(lists.values().as_struct());
    let events =
        StructArray::from(without(&events, &["user_id", "reason", "expires_at", "time_zone"]));
    let element = Arc::new(Field::new("element", events.data_type().clone(), false));
    let offsets = lists.offsets().clone();
    let events = ListArray::try_new(element, offsets, Arc::new(events), None).unwrap();
    let rest = without(&whole, &["holder", "redeemed_at", "order_ref", "events"]);
    let mut fields = rest.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("events", events.data_type().clone(), false)));
    let columns = [rest.columns(), &[Arc::new(events)]].concat();
    let earlier = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert_eq!(decode::coupons(&earlier, stored), Ok(vec![want.clone()]));
    // Only the column says that a coupon with one change was redeemed.
    let found = decode::coupons_redeemed(&earlier, stored, Millis(0), Millis(i64::MAX));
    assert_eq!(found, Ok(Vec::new()));
    let damaged = decode::coupons(&without(&earlier, &["state"]), stored);
    assert_eq!(damaged.unwrap_err().to_string(), "state in row 0 is missing");
}

fn without(batch: &RecordBatch, names: &[&str]) -> RecordBatch {
    let schema = batch.schema();
    let kept =
        (0..batch.num_columns()).filter(|at| !names.contains(&schema.field(*at).name().as_str()));
    batch.project(&kept.collect::<Vec<_>>()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_release_adds_its_columns() {
    let memory = Arc::new(InMemory::new());
    let (this, later) = (this(&memory), later(&memory));
    this.create().await.unwrap();
    committed(&this, DAY, &["AAAA"]).await;
    later.create().await.unwrap();
    assert_eq!(this.version().await.unwrap(), Some(1), "nobody was told of another version");
    let old = added_column(&later, DAY).await;
    assert_eq!(old, [("AAAA".to_owned(), None)], "an old file before the table has the column");

    // The caller has prepared for version 2, which the new columns have taken.
    let moved = committed_later(&memory, &later, DAY, &["BBBB"], 2).await;
    assert!(matches!(moved, CommitOutcome::Moved { version: 2 }), "{moved:?}");
    let done = committed_later(&memory, &later, DAY, &["BBBB"], 3).await;
    assert!(matches!(done, CommitOutcome::Done { version: 3 }), "{done:?}");
    let web = |code: &str| (code.to_owned(), Some("web".to_owned()));
    assert_eq!(added_column(&later, DAY).await, [("AAAA".to_owned(), None), web("BBBB")]);

    let made = metadata(&memory, &this.inner.coupons).await;
    let [(0, before), (2, after)] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!(before["id"], after["id"], "the same table");
    assert_eq!(after["partitionColumns"], serde_json::json!(["expiry_day"]));
    let fields = |metadata: &Value| -> Vec<Value> {
        let text = metadata["schemaString"].as_str().unwrap();
        let schema: Value = serde_json::from_str(text).unwrap();
        schema["fields"].as_array().unwrap().clone()
    };
    let (before, mut after) = (fields(before), fields(after));
    let added = after.pop().unwrap();
    let want = serde_json::json!(
        {"name": ADDED, "type": "string", "nullable": true, "metadata": {}}
    );
    assert_eq!(added, want);
    let events = after.iter_mut().find(|field| field["name"] == "events").unwrap();
    let inner = events["type"]["elementType"]["fields"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!((&inner["name"], &inner["nullable"]), (&"origin".into(), &true.into()));
    assert_eq!(after, before, "all else is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_release_goes_on_beside_it() {
    let memory = Arc::new(InMemory::new());
    let (this, later) = (this(&memory), later(&memory));
    this.create().await.unwrap();
    committed(&this, DAY, &["AAAA"]).await;
    committed_later(&memory, &later, DAY, &["BBBB"], u64::MAX).await;
    let codes = ["AAAA".parse().unwrap(), "BBBB".parse().unwrap()];
    let found = this.find(DAY, &codes).await.unwrap();
    assert_eq!(found, [Some(coupon("AAAA", DAY)), Some(coupon("BBBB", DAY))], "it reads both");

    let done = committed(&this, DAY, &["CCCC"]).await;
    assert!(matches!(done, CommitOutcome::Done { .. }), "{done:?}");
    let made = metadata(&memory, &this.inner.coupons).await;
    assert_eq!(made.len(), 2, "it does not touch the columns: {made:?}");
    let fresh = self::later(&memory);
    let none = |code: &str| (code.to_owned(), None);
    let web = ("BBBB".to_owned(), Some("web".to_owned()));
    assert_eq!(added_column(&fresh, DAY).await, [none("AAAA"), web.clone(), none("CCCC")]);

    // A merge would drop the column that this release cannot read.
    let on = this.partition(DAY).await.unwrap();
    let mut writer = this.writer(DAY, on.archive_commit + 1, 0, &[]).await.unwrap();
    writer.push(vec![coupon("AAAA", DAY), coupon("BBBB", DAY)]).await.unwrap();
    let files = writer.finish().await.unwrap();
    let refused = this.commit(&on, on.archive_commit + 1, &files, &on.files, u64::MAX).await;
    let Err(ColdError::Unavailable { what, .. }) = refused else { panic!("{refused:?}") };
    assert!(what.contains("which this release does not know"), "{what}");
    // Files without the column lose nothing.
    let own: Vec<_> = on.files.iter().filter(|file| file.archive_commit() != 2).cloned().collect();
    let done = this.commit(&on, on.archive_commit + 1, &files, &own, u64::MAX).await.unwrap();
    assert!(matches!(done, CommitOutcome::Done { .. }), "{done:?}");
    assert!(added_column(&fresh, DAY).await.contains(&web));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_add_the_columns_at_once() {
    let memory = Arc::new(InMemory::new());
    let first = this(&memory);
    first.create().await.unwrap();
    committed(&first, NEXT, &["AAAA"]).await;
    let stores: Vec<ColdStore> = (0..4).map(|_| later(&memory)).collect();
    let commits = stores.iter().enumerate().map(|(nth, store)| {
        let (memory, day) = (&memory, Day(DAY.0 - 10 - i32::try_from(nth).unwrap()));
        async move {
            // The older release commits at the same time.
            committed(&this(memory), Day(day.0 - 100), &["OLD1"]).await;
            (day, committed_later(memory, store, day, &["NEW1"], u64::MAX).await)
        }
    });
    for (day, ended) in join_all(commits).await {
        assert!(matches!(ended, CommitOutcome::Done { .. }), "{ended:?}");
        let want = [("NEW1".to_owned(), Some("web".to_owned()))];
        assert_eq!(added_column(&stores[0], day).await, want);
    }
    let made = metadata(&memory, &first.inner.coupons).await;
    assert_eq!(made.len(), 2, "the columns were added once: {made:?}");
    let version = stores[0].version().await.unwrap();
    assert_eq!(version, Some(1 + 1 + 8), "a commit each, and one for the columns");
}
