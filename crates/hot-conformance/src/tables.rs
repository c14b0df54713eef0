//! Records: rows in partitions, ordered by their keys.

use std::sync::Arc;
use std::time::Duration;

use hot::HotError;
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync, Tables};
use tokio::time::{Instant, sleep};

use super::kit::Kit;

const KIND: RecordKind = RecordKind { name: "test", sync: RecordSync::AtOnce };
const OTHER_KIND: RecordKind = RecordKind { name: "test.other", sync: RecordSync::Later };

/// More rows than an engine reads at a time.
const MANY: u32 = 1_203;

const LOOK_AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(120);

fn part_of(kit: &Kit, kind: RecordKind) -> RecordPart {
    kind.part(kit.users::<1>()[0].as_str().as_bytes())
}

fn numbered(number: u32) -> RecordPut {
    RecordPut::new(number.to_be_bytes(), format!("row {number}"))
}

/// The numbers of the rows of a range.
async fn numbers(tables: &dyn Tables, part: &RecordPart, range: RecordRange) -> Vec<u32> {
    let rows = tables.scan(part, range).await.unwrap();
    let number = |key: &[u8]| u32::from_be_bytes(key.try_into().unwrap());
    for row in &rows {
        assert_eq!(row.value, format!("row {}", number(&row.key)).into_bytes());
    }
    rows.iter().map(|row| number(&row.key)).collect()
}

pub(crate) async fn rows_are_found_in_order(kit: &Kit) {
    let (tables, part) = (kit.hot.tables(), part_of(kit, KIND));
    assert_eq!(tables.get(&part, b"a").await.unwrap(), None);
    assert_eq!(tables.scan(&part, RecordRange::first(10)).await.unwrap(), Vec::new());
    for number in [7, 300, 2, 70_000, 0] {
        tables.put(&part, vec![numbered(number)]).await.unwrap();
    }
    let key = u32::to_be_bytes;
    let cases = [
        ("all", RecordRange::first(10), vec![0, 2, 7, 300, 70_000]),
        ("the last", RecordRange::last(2), vec![70_000, 300]),
        ("after one", RecordRange::first(2).after(&key(2)), vec![7, 300]),
        ("after none", RecordRange::first(2).after(&key(3)), vec![7, 300]),
        ("before one", RecordRange::last(2).before(key(300)), vec![7, 2]),
        ("between", RecordRange::first(10).after(&key(0)).before(key(300)), vec![2, 7]),
        ("no limit", RecordRange::first(usize::MAX).after(&key(300)), vec![70_000]),
        ("nothing", RecordRange::first(10).after(&key(70_000)), vec![]),
    ];
    for (name, range, want) in cases {
        assert_eq!(numbers(&*tables, &part, range).await, want, "{name}");
    }
    assert_eq!(tables.get(&part, &key(7)).await.unwrap(), Some(b"row 7".to_vec()));
    tables
        .put(&part, vec![RecordPut::new(key(7), "another"), RecordPut::delete(key(2))])
        .await
        .unwrap();
    assert_eq!(tables.get(&part, &key(7)).await.unwrap(), Some(b"another".to_vec()));
    assert_eq!(tables.get(&part, &key(2)).await.unwrap(), None);
}

pub(crate) async fn pages_end_at_the_limit_and_go_on(kit: &Kit) {
    let (tables, part) = (kit.hot.tables(), part_of(kit, KIND));
    for first in (0..MANY).step_by(400) {
        let rows = (first..MANY.min(first + 400)).map(numbered).collect();
        tables.put(&part, rows).await.unwrap();
    }
    // Half of them end, so that an engine reads over tombstones.
    for first in (0..MANY).step_by(400) {
        let odd = (first..MANY.min(first + 400)).filter(|number| number % 2 == 1);
        let rows = odd.map(|number| RecordPut::delete(number.to_be_bytes())).collect();
        tables.put(&part, rows).await.unwrap();
    }
    let left: Vec<u32> = (0..MANY).filter(|number| number % 2 == 0).collect();
    let backward: Vec<u32> = left.iter().rev().copied().collect();
    for limit in [left.len() - 1, left.len(), left.len() + 1] {
        let forward = numbers(&*tables, &part, RecordRange::first(limit)).await;
        assert_eq!(forward, left[..limit.min(left.len())], "first {limit}");
        let found = numbers(&*tables, &part, RecordRange::last(limit)).await;
        assert_eq!(found, backward[..limit.min(left.len())], "last {limit}");
    }
}

/// Whoever looks finds all rows of a put, or none.
pub(crate) async fn rows_of_one_put_are_together(kit: &Kit) {
    let (tables, part) = (kit.hot.tables(), part_of(kit, KIND));
    let write = async {
        for round in 0..20_u32 {
            let rows =
                (0..10_u32).map(|key| RecordPut::new(key.to_be_bytes(), round.to_be_bytes()));
            tables.put(&part, rows.collect()).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..40 {
            let rows = tables.scan(&part, RecordRange::first(20)).await.unwrap();
            assert!(rows.is_empty() || rows.len() == 10, "{}", rows.len());
            assert!(rows.iter().all(|row| row.value == rows[0].value), "{rows:?}");
        }
    };
    tokio::join!(write, read);
}

pub(crate) async fn replaced_only_as_seen(kit: &Kit) {
    let (tables, part) = (kit.hot.tables(), part_of(kit, KIND));
    let to = |value: &str| RecordPut::new("k", value);
    let cases = [
        ("not there, and seen", Some("a"), to("b"), false, None),
        ("made", None, to("a"), true, Some("a")),
        ("made once", None, to("b"), false, Some("a")),
        ("another one was seen", Some("b"), to("c"), false, Some("a")),
        ("replaced", Some("a"), to("b"), true, Some("b")),
        ("deleted only as seen", Some("a"), RecordPut::delete("k"), false, Some("b")),
        ("deleted", Some("b"), RecordPut::delete("k"), true, None),
        ("made again", None, to("d"), true, Some("d")),
    ];
    for (name, seen, next, want, after) in cases {
        let replaced = tables.replace(&part, seen.map(str::as_bytes), next).await.unwrap();
        assert_eq!(replaced, want, "{name}");
        let found = tables.get(&part, b"k").await.unwrap();
        assert_eq!(found.as_deref(), after.map(str::as_bytes), "{name}");
    }
}

/// Each of many adds one to a number: none is lost.
pub(crate) async fn one_of_many_replaces(kit: &Arc<Kit>) {
    const EACH: u32 = 5;
    let part = part_of(kit, KIND);
    let add = || {
        let (tables, part) = (kit.hot.tables(), part.clone());
        async move {
            let mut added = 0;
            while added < EACH {
                let seen = tables.get(&part, b"n").await.unwrap();
                let text = seen.clone().map(|it| String::from_utf8(it).unwrap());
                let number: u32 = text.map_or(0, |text| text.parse().unwrap());
                let next = RecordPut::new("n", (number + 1).to_string());
                match tables.replace(&part, seen.as_deref(), next).await {
                    Ok(replaced) => added += u32::from(replaced),
                    Err(HotError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    tokio::join!(add(), add(), add());
    let found = kit.hot.tables().get(&part, b"n").await.unwrap();
    assert_eq!(found, Some((3 * EACH).to_string().into_bytes()));
}

pub(crate) async fn rows_end_by_themselves(kit: &Kit) {
    let (tables, part) = (kit.hot.tables(), part_of(kit, KIND));
    let [short, long] = [Duration::from_secs(2), Duration::from_secs(3_600)];
    let rows = vec![
        RecordPut::new("long", "").kept_for(long),
        RecordPut::new("short", "").kept_for(short),
        RecordPut::new("stays", ""),
    ];
    tables.put(&part, rows).await.unwrap();
    let lease = RecordPut::new("lease", "me").kept_for(short);
    assert!(tables.replace(&part, None, lease).await.unwrap());
    let keys = async || {
        let rows = tables.scan(&part, RecordRange::first(10)).await.unwrap();
        rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect::<Vec<_>>()
    };
    let begun = Instant::now();
    while keys().await != ["long", "stays"] {
        assert!(begun.elapsed() < PATIENCE, "{:?}", keys().await);
        sleep(LOOK_AGAIN).await;
    }
    assert_eq!(tables.get(&part, b"lease").await.unwrap(), None);
    while tables.forget_expired().await.unwrap() {}
    let lease = RecordPut::new("lease", "you").kept_for(long);
    assert!(tables.replace(&part, None, lease).await.unwrap(), "it is free again");
    assert_eq!(keys().await, ["lease", "long", "stays"]);
}

pub(crate) async fn dropped_below_a_key_and_whole(kit: &Kit) {
    let (tables, part) = (kit.hot.tables(), part_of(kit, KIND));
    tables.put(&part, (0..10).map(numbered).collect()).await.unwrap();
    tables.drop_below(&part, Some(&4_u32.to_be_bytes())).await.unwrap();
    let left = numbers(&*tables, &part, RecordRange::first(20)).await;
    assert_eq!(left, vec![4, 5, 6, 7, 8, 9]);
    tables.drop_below(&part, None).await.unwrap();
    assert_eq!(tables.scan(&part, RecordRange::first(20)).await.unwrap(), Vec::new());
    tables.put(&part, vec![numbered(1)]).await.unwrap();
    assert_eq!(numbers(&*tables, &part, RecordRange::first(20)).await, vec![1], "later ones stay");
}

pub(crate) async fn kinds_and_partitions_are_apart(kit: &Kit) {
    let tables = kit.hot.tables();
    let [a, b] = kit.users::<2>();
    let parts = [KIND.part(a.as_str()), KIND.part(b.as_str()), OTHER_KIND.part(a.as_str())];
    for (number, part) in (0..).zip(&parts) {
        tables.put(part, vec![numbered(number)]).await.unwrap();
    }
    tables.drop_below(&parts[1], None).await.unwrap();
    for (part, want) in parts.iter().zip([vec![0], vec![], vec![2]]) {
        assert_eq!(numbers(&*tables, part, RecordRange::first(10)).await, want, "{part:?}");
    }
}
