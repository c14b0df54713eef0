//! Reading many coupons.

use cold::{ColdError, ColdOptions, ColdStore, ScanFilter};
use coupon::coupon::Coupon;
use coupon::time::{DAY_MS, Day, Millis};

use super::sample::{
    DAY, MADE, NEXT, after, committed, everything, issued, many, merged, options, scanned, spent,
    store, untouched,
};
use super::stores::Watched;

const EVER: Millis = Millis(i64::MAX);

fn redeemed(from: Millis, before: Millis) -> ScanFilter {
    ScanFilter { redeemed: Some((from, before)), ..ScanFilter::default() }
}

fn named(found: &[(Day, Coupon)]) -> Vec<String> {
    found.iter().map(|(_, coupon)| coupon.code().to_string()).collect()
}

#[tokio::test]
async fn filters() {
    let (_disk, store) = store().await;
    let other = {
        let mut genesis = untouched("OTHER", NEXT).genesis().clone();
        genesis.campaign = "cmp_2".parse().unwrap();
        Coupon::untouched(genesis)
    };
    committed(&store, DAY, vec![untouched("AAAA", DAY), spent("BBBB", DAY, "ann")]).await;
    committed(&store, DAY, vec![after("CCCC", DAY, vec![issued("bob")])]).await;
    committed(&store, NEXT, vec![untouched("DDDD", NEXT), other]).await;
    let none = ScanFilter::default;
    let at = MADE.plus_ms(2 * DAY_MS + 7);
    let cases = [
        ("all", none(), "AAAA BBBB CCCC DDDD OTHER"),
        (
            "one campaign",
            ScanFilter { campaign: Some("cmp_2".parse().unwrap()), ..none() },
            "OTHER",
        ),
        (
            "no such campaign",
            ScanFilter { campaign: Some("cmp_15".parse().unwrap()), ..none() },
            "",
        ),
        ("expires from", ScanFilter { expires_from: Some(NEXT.end()), ..none() }, "DDDD OTHER"),
        (
            "a millisecond later",
            ScanFilter { expires_from: Some(NEXT.end().plus_ms(1)), ..none() },
            "",
        ),
        (
            "expires before",
            ScanFilter { expires_before: Some(NEXT.end()), ..none() },
            "AAAA BBBB CCCC",
        ),
        ("a millisecond earlier", ScanFilter { expires_before: Some(DAY.end()), ..none() }, ""),
        ("redeemed since", redeemed(MADE.plus_ms(1), EVER), "BBBB"),
        ("exactly at the instant", redeemed(at, EVER), "BBBB"),
        ("after the instant", redeemed(at.plus_ms(1), EVER), ""),
        ("before the instant", redeemed(MADE, at), ""),
    ];
    for (name, filter, want) in cases {
        let found = scanned(&store, filter).await;
        assert_eq!(named(&found).join(" "), want, "{name}");
        for (day, coupon) in found {
            assert_eq!(Day::expiry_day_of(coupon.genesis().expires_at), day, "{name}");
        }
    }
}

#[tokio::test]
async fn each_code_once_in_its_newest_version() {
    let (_disk, store) = store().await;
    let new = spent("AAAA", DAY, "ann");
    // The newer copy does not match the filter. The older copy, which matches, must not come.
    let earlier = after(
        "BBBB",
        DAY,
        vec![coupon::coupon::EventKind::Extended {
            expires_at: DAY.end().plus_ms(-DAY_MS),
            zone: coupon::calendar::Zone::utc(),
            reason: None,
        }],
    );
    committed(&store, DAY, vec![untouched("AAAA", DAY), untouched("BBBB", DAY)]).await;
    committed(&store, DAY, vec![new.clone()]).await;
    committed(&store, DAY, vec![earlier.clone()]).await;
    assert_eq!(everything(&store).await, [(DAY, new.clone()), (DAY, earlier)]);
    let late = ScanFilter { expires_from: Some(DAY.end()), ..ScanFilter::default() };
    assert_eq!(scanned(&store, late).await, [(DAY, new)]);
}

#[tokio::test]
async fn chunks_are_small_and_of_one_partition() {
    let (_disk, store) = store().await;
    committed(&store, DAY, many(10_000, DAY)).await;
    committed(&store, NEXT, many(10, NEXT)).await;
    let mut scan = store.scan(ScanFilter::default()).await.unwrap();
    let mut sizes = Vec::new();
    while let Some(coupons) = scan.next().await.unwrap() {
        assert!(coupons.iter().all(|(day, _)| *day == coupons[0].0));
        sizes.push(coupons.len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [10, 1_808, 8_192]);
}

#[tokio::test]
async fn row_groups_that_cannot_match_are_not_read() {
    let watched = Watched::new();
    let store = ColdStore::with_store(watched.clone(), "memory", ColdOptions::default());
    store.create().await.unwrap();
    // Four row groups: 512 rows, two of the largest size, and the rest. Only one row of the last
    // was redeemed.
    let mut coupons = many(150_000, DAY);
    coupons[140_000] = spent(coupons[140_000].code().as_str(), DAY, "ann");
    committed(&store, DAY, coupons).await;
    committed(&store, NEXT, many(10, NEXT)).await;
    let none = ScanFilter::default;
    let later = redeemed(MADE.plus_ms(1), EVER);
    let cases = [
        ("both footers, five row groups", none(), 7),
        ("the footers are remembered", none(), 5),
        ("another campaign", ScanFilter { campaign: Some("cmp_2".parse().unwrap()), ..none() }, 0),
        ("expires later", ScanFilter { expires_from: Some(NEXT.end()), ..none() }, 1),
        ("redeemed later", later.clone(), 1),
    ];
    for (name, filter, want) in cases {
        watched.reads();
        scanned(&store, filter).await;
        let read = watched.coupon_reads();
        assert_eq!(read.len(), want, "{name}: {read:?}");
    }
    let rows = 150_000 - 512 - 2 * 65_536;
    for (max, want) in [(rows, true), (rows - 1, false)] {
        watched.reads();
        let filter = ScanFilter { rows_max: Some(max), ..later.clone() };
        match store.scan(filter).await {
            Ok(_) => assert!(want, "{max}"),
            Err(ColdError::TooMuch { rows: found, max: limit }) => {
                assert_eq!((found, limit, want), (rows, max, false));
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(watched.coupon_reads(), Vec::<String>::new(), "counted from the footers");
    }
}

#[tokio::test]
async fn a_scan_stays_at_its_version() {
    let (disk, store) = store().await;
    committed(&store, DAY, many(1_500, DAY)).await;
    let mut scan = store.scan(ScanFilter::default()).await.unwrap();
    let other = ColdStore::on_folder(disk.path(), options());
    merged(&other, DAY, vec![untouched("LATER", DAY)]).await;
    let mut count = 0;
    while let Some(coupons) = scan.next().await.unwrap() {
        count += coupons.len();
    }
    assert_eq!(count, 1_500);
    assert_eq!(named(&everything(&store).await), ["LATER"]);
}
