//! Looking coupons up by code.

use cold::ColdStore;
use coupon::code::Code;
use coupon::time::Millis;
use futures::future::join_all;

use super::sample::{DAY, NEXT, codes, committed, many, merged, options, spent, store, untouched};
use super::stores::Watched;

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

#[tokio::test]
async fn one_answer_for_each_code_in_order() {
    let (_disk, store) = store().await;
    committed(&store, DAY, many(2_500, DAY)).await;
    committed(&store, DAY, vec![untouched("A000", DAY), untouched("Z000", DAY)]).await;
    committed(&store, NEXT, vec![untouched("NEXT", NEXT)]).await;
    let cases = [
        ("no codes", vec![]),
        ("first and last", vec![("Z000", true), ("A000", true)]),
        (
            "in three files",
            vec![("C000000", true), ("C000999", true), ("C001000", true), ("C002499", true)],
        ),
        ("twice", vec![("C000007", true), ("C000007", true)]),
        (
            "not in cold",
            vec![("C002500", false), ("B000", false), ("0000", false), ("ZZZZ", false)],
        ),
        ("in another partition", vec![("NEXT", false)]),
        (
            "mixed",
            vec![("C0010005", false), ("C001000", true), ("C0009995", false), ("Z000", true)],
        ),
    ];
    for (name, asked) in cases {
        let wanted: Vec<Code> = asked.iter().map(|(text, _)| code(text)).collect();
        let found = store.find(DAY, &wanted).await.unwrap();
        assert_eq!(found.len(), asked.len(), "{name}");
        for ((text, want), found) in asked.iter().zip(found) {
            let found = found.map(|coupon| coupon.code().to_string());
            assert_eq!(found.as_deref(), want.then_some(*text), "{name}");
        }
    }
    let all = codes(&many(2_500, DAY));
    let found = store.find(DAY, &all).await.unwrap();
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), many(2_500, DAY));
}

#[tokio::test]
async fn the_longest_codes_are_found() {
    // The log has only the first characters of the smallest and the largest code.
    let (_disk, store) = store().await;
    let wanted = ["A".repeat(64), "M".repeat(63), "Z".repeat(64)];
    let coupons = wanted.iter().map(|text| untouched(text, DAY)).collect();
    committed(&store, DAY, coupons).await;
    let wanted: Vec<Code> = wanted.iter().map(|text| code(text)).collect();
    assert!(store.find(DAY, &wanted).await.unwrap().iter().all(Option::is_some));
}

#[tokio::test]
async fn concurrent_look_ups_share_one_read_of_the_log() {
    let watched = Watched::new();
    let reader = ColdStore::with_store(watched.clone(), "memory", options());
    let writer = ColdStore::with_store(watched.clone(), "memory", options());
    writer.create().await.unwrap();
    committed(&writer, DAY, vec![untouched("AAAA", DAY)]).await;
    assert!(reader.find(DAY, &[code("AAAA")]).await.unwrap()[0].is_some());
    let mut lists = Vec::new();
    for readers in [1, 20] {
        committed(&writer, NEXT, Vec::new()).await;
        watched.lists();
        let asked = [code("BBBB")];
        let finds = join_all((0..readers).map(|_| reader.find(DAY, &asked))).await;
        assert!(finds.into_iter().all(|found| found.unwrap() == [None]));
        lists.push(watched.lists());
    }
    assert!(lists[0] > 0);
    assert_eq!(lists[0], lists[1]);
}

#[tokio::test]
async fn the_newest_version_is_found() {
    let (_disk, store) = store().await;
    let new = spent("AAAA", DAY, "ann");
    committed(&store, DAY, vec![new.clone()]).await;
    committed(&store, DAY, vec![untouched("AAAA", DAY)]).await;
    assert_eq!(store.find(DAY, &[code("AAAA")]).await.unwrap(), [Some(new)]);
}

#[tokio::test]
async fn a_look_up_reads_one_row_group_of_one_partition() {
    let watched = Watched::new();
    let store = ColdStore::with_store(watched.clone(), "memory", cold::ColdOptions::default());
    store.create().await.unwrap();
    committed(&store, DAY, many(200_000, DAY)).await;
    committed(&store, NEXT, many(10, NEXT)).await;
    let fresh = ColdStore::with_store(watched.clone(), "memory", cold::ColdOptions::default());
    watched.reads();
    let cases = [
        ("with its footer", "C100000", true, 2),
        ("the footer is remembered", "C100001", true, 1),
        ("another row group", "C000000", true, 1),
        ("lower than every code", "B", false, 0),
        ("between two codes", "C1000005", false, 1),
    ];
    for (name, text, want, reads) in cases {
        let text = format!("{text:0<4}");
        let found = fresh.find(DAY, &[code(&text)]).await.unwrap();
        assert_eq!(found[0].is_some(), want, "{name}");
        let read = watched.coupon_reads();
        assert_eq!(read.len(), reads, "{name}: {read:?}");
        assert!(read.iter().all(|it| it.contains("expiry_day=2026-12-31/")), "{name}: {read:?}");
    }
    let wide: Vec<Code> = codes(&many(200_000, DAY)).into_iter().step_by(1_000).collect();
    assert!(fresh.find(DAY, &wide).await.unwrap().iter().all(Option::is_some));
    assert_eq!(watched.coupon_reads().len(), 5, "each row group is read once");
}

#[tokio::test]
async fn only_a_miss_reads_the_log() {
    let watched = Watched::new();
    let reader = ColdStore::with_store(watched.clone(), "memory", options());
    let writer = ColdStore::with_store(watched.clone(), "memory", options());
    writer.create().await.unwrap();
    committed(&writer, DAY, vec![untouched("AAAA", DAY)]).await;
    assert!(reader.find(DAY, &[code("AAAA")]).await.unwrap()[0].is_some());
    watched.reads();
    watched.lists();
    assert!(reader.find(DAY, &[code("AAAA")]).await.unwrap()[0].is_some());
    assert_eq!((watched.reads().len(), watched.lists()), (1, 0), "a hit");
    assert_eq!(reader.find(DAY, &[code("BBBB")]).await.unwrap(), [None]);
    assert_eq!((watched.reads().len(), watched.lists()), (0, 0), "a miss without a new commit");
    committed(&writer, DAY, vec![untouched("BBBB", DAY)]).await;
    assert!(reader.find(DAY, &[code("BBBB")]).await.unwrap()[0].is_some());
    assert!(watched.lists() > 0, "a miss with a new commit");
}

#[tokio::test]
async fn a_look_up_survives_a_merge() {
    let (disk, writer) = store().await;
    let reader = ColdStore::on_folder(disk.path(), options());
    let coupons = many(10, DAY);
    let before = committed(&writer, DAY, coupons.clone()).await;
    assert_eq!(reader.partition(DAY).await.unwrap(), before);
    merged(&writer, DAY, coupons.clone()).await;
    let long_after = Millis(i64::MAX);
    assert_eq!(writer.sweep(long_after).await.unwrap().files, 1);
    let found = reader.find(DAY, &codes(&coupons)).await.unwrap();
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), coupons);
}
