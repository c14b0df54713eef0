//! Lists over both tiers: each coupon once and in order.

use std::collections::{BTreeMap, BTreeSet};

use cold::CommitOutcome;
use coupon::time::Day;
use hot::ColdMark;
use serde_json::{Value, json};

use crate::service::{ANN, Admin, BOB, Operator, Service, Shop, Who, ms};

const HOUR_MS: i64 = 3_600_000;

/// Two campaigns of one expiry, one whose coupons expire day by day, and one that is over. Ann and
/// bob have coupons of each. Some are redeemed and some are void.
async fn stocked() -> Service {
    let service = Service::new().by_hand();
    let terms = |further: Value| {
        let mut terms = json!({
            "cancel_days": 0, "extend_days": 0, "per_user_limit": 50, "stock": 50,
            "expires_at": "2026-12-31T12:00:00Z",
        });
        for (field, value) in further.as_object().expect("an object") {
            terms[field] = value.clone();
        }
        terms
    };
    service.campaign("even", terms(json!({}))).await;
    service.campaign("equal", terms(json!({}))).await;
    let by_day = json!({"valid_days": 20, "expires_at": "2027-06-01T00:00:00Z"});
    service.campaign("by-day", terms(by_day)).await;
    service.campaign("over", terms(json!({"expires_at": "2026-11-25T12:00:00Z"}))).await;
    for (nth, id) in ["even", "by-day", "over", "equal", "even", "by-day"].into_iter().enumerate() {
        for (user, times) in [("ann", 3), ("bob", 1)] {
            for each in 0..times {
                give(&service, id, user, &format!("r{nth}-{each}"), nth + each).await;
            }
        }
    }
    service.set("2026-12-03T12:00:00Z");
    service
}

/// Issues coupons, redeems every second and voids every fifth.
async fn give(service: &Service, id: &str, user: &str, name: &str, nth: usize) -> String {
    service.clock.pass(5 * HOUR_MS);
    let body = json!({"user_id": user, "issue_ref": name});
    let issued = service.post(Shop, &format!("/v1/campaigns/{id}/issue"), body).await;
    let code = issued.is("201", name).string("code");
    if nth % 2 == 1 {
        let body = json!({"user_id": user, "order_ref": name});
        service.post(Shop, &format!("/v1/coupons/{code}/redeem"), body).await.is("201", name);
    } else if nth % 5 == 4 {
        service.admin("void", &code, json!({})).await.is("200", name);
    }
    code
}

/// A coupon as a list shows it, without `tier`.
fn shown(item: &Value) -> (String, Value) {
    let mut item = item.clone();
    item.as_object_mut().expect("an object").remove("tier");
    (item["code"].as_str().expect("a code").to_owned(), item)
}

struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

async fn page(
    service: &Service,
    who: Who<'_>,
    query: &str,
    limit: usize,
    at: Option<&str>,
) -> Page {
    let mut target = format!("/v1/coupons?{query}&limit={limit}");
    if let Some(cursor) = at {
        target += &format!("&cursor={cursor}");
    }
    let answer = service.get(who, &target.replace("?&", "?")).await;
    let items = answer.is("200", &target).json["data"].as_array().cloned().expect("a list");
    assert!(items.len() <= limit, "{target}");
    Page { items, next: answer.json["next_cursor"].as_str().map(str::to_owned) }
}

/// All pages from a cursor on.
async fn walk(
    service: &Service,
    who: Who<'_>,
    query: &str,
    limit: usize,
    from: Option<&str>,
) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), from.map(str::to_owned));
    for _ in 0..200 {
        let page = page(service, who, query, limit, cursor.as_deref()).await;
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
    panic!("{query} by {limit} does not end");
}

/// Checks that no coupon is missing, twice, changed or out of order.
fn is_whole(found: &[Value], want: &BTreeMap<String, Value>, query: &str, name: &str) {
    let codes: BTreeMap<String, Value> = found.iter().map(shown).collect();
    assert_eq!(codes.len(), found.len(), "{name}: each once: {found:#?}");
    assert_eq!(&codes, want, "{name}");
    is_in_order(found, query, name);
}

fn is_in_order(found: &[Value], query: &str, name: &str) {
    let expiries: Vec<&str> = found.iter().filter_map(|it| it["expires_at"].as_str()).collect();
    let soonest = query.contains("order=soonest");
    let is_sorted =
        expiries.is_sorted_by(|one, other| if soonest { one <= other } else { one >= other });
    assert!(is_sorted, "{name}: {expiries:?}");
}

fn tiers(items: &[Value]) -> BTreeSet<&str> {
    items.iter().filter_map(|item| item["tier"].as_str()).collect()
}

const MONTH: &str = "expires_from=2026-11-20T00:00:00Z&expires_before=2026-12-21T00:00:00Z";

/// The caller, the query, and whether every page size is tried.
fn queries() -> Vec<(Who<'static>, String, bool)> {
    let own = |filter: &str| (ANN, filter.to_owned(), false);
    let month = |filter: &str| (Operator, format!("{MONTH}{filter}"), false);
    let mut queries = vec![
        (ANN, String::new(), true),
        (ANN, "order=soonest".into(), true),
        (Shop, "user_id=bob".into(), false),
        (BOB, "order=soonest".into(), false),
        (ANN, "campaign_id=equal".into(), false),
        (Admin, "campaign_id=even".into(), true),
        (Admin, "campaign_id=even&order=soonest".into(), false),
        (Admin, "campaign_id=by-day".into(), true),
        (Admin, "campaign_id=by-day&order=soonest".into(), true),
        (Admin, "campaign_id=over".into(), false),
        (Operator, MONTH.into(), true),
        (Operator, format!("{MONTH}&order=soonest"), true),
        (Operator, "expires_on=2026-12-31".into(), false),
        (Operator, "expires_on=2026-11-25&order=soonest".into(), false),
        (Operator, "expires_on=2026-12-31&time_zone=Asia/Seoul&state=redeemed".into(), false),
        (Admin, "campaign_id=even&state=void".into(), false),
    ];
    for filter in [
        "state=issued",
        "state=redeemed",
        "state=void",
        "expired=true",
        "expired=false",
        "issued_from=2026-11-22T00:00:00Z&issued_before=2026-11-24T00:00:00Z",
        "redeemed_from=2026-11-22T00:00:00Z&redeemed_before=2026-11-24T00:00:00Z",
        "modified_from=2026-11-22T00:00:00Z&modified_before=2026-11-24T00:00:00Z",
        "created_from=2026-11-20T12:00:00Z",
        "valid_before=2026-11-21T00:00:00Z&order=soonest",
        "expires_from=2026-12-13T00:00:00Z",
    ] {
        queries.push(own(filter));
        if !filter.starts_with("expires") {
            queries.push(month(&format!("&{filter}")));
        }
    }
    queries
}

#[tokio::test]
async fn every_list_over_both_tiers() {
    let service = stocked().await;
    let mut before = Vec::new();
    for (who, query, _) in queries() {
        let found = walk(&service, who, &query, 1_000, None).await;
        assert!(tiers(&found).len() < 2, "{query}");
        before.push(found.iter().map(shown).collect::<BTreeMap<_, _>>());
    }
    service.compact().await;
    let mut mixed = 0;
    for ((who, query, every), want) in queries().into_iter().zip(before) {
        let limits: Vec<usize> = match every {
            true => (1..=want.len() + 1).collect(),
            false => vec![1, 2, 5, want.len().max(1), 1_000],
        };
        for limit in limits {
            let found = walk(&service, who, &query, limit, None).await;
            is_whole(&found, &want, &query, &format!("{who:?} {query} by {limit}"));
            mixed += usize::from(tiers(&found).len() == 2);
        }
    }
    assert!(mixed > 80, "lists with coupons of both tiers: {mixed}");
    let whole = walk(&service, ANN, "", 1_000, None).await;
    let over = whole.iter().filter(|item| item["campaign_id"] == "over");
    assert!(over.clone().count() > 0 && over.clone().all(|item| item["tier"] == "cold"));
    let issued = whole.iter().filter(|it| it["state"] == "issued" && it["campaign_id"] != "over");
    assert!(issued.clone().count() > 0 && issued.clone().all(|item| item["tier"] == "hot"));
}

/// All cursors of a list, each with the coupons before it.
async fn cursors(service: &Service, query: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut cursors = Vec::new();
    for limit in 1..100 {
        let page = page(service, ANN, query, limit, None).await;
        let Some(next) = page.next else { return cursors };
        cursors.push((next, page.items.iter().map(|item| shown(item).0).collect()));
    }
    panic!("{query} has no end");
}

#[tokio::test]
async fn a_cursor_outlives_a_compaction() {
    let service = stocked().await;
    let queries = ["", "order=soonest"];
    let mut all: BTreeSet<String> = BTreeSet::new();
    for round in ["of hot alone", "of both tiers"] {
        all.extend(walk(&service, ANN, "", 1_000, None).await.iter().map(|item| shown(item).0));
        let mut taken = Vec::new();
        for query in queries {
            taken.push((query, cursors(&service, query).await));
        }
        if round == "of both tiers" {
            for item in walk(&service, ANN, "state=issued&expired=false", 1_000, None).await {
                let (code, _) = shown(&item);
                if !code.ends_with(|last: char| last.is_ascii_digit()) {
                    service.does("redeem", &code, &code).await.is("201", &code);
                }
            }
        }
        service.compact().await;
        for (query, taken) in taken {
            assert_eq!(taken.len() + 1, all.len(), "a cursor after each coupon but the last");
            for (cursor, shown_before) in taken {
                let name = format!("{round}, {query}, behind {}", shown_before.len());
                let rest = walk(&service, ANN, query, 3, Some(&cursor)).await;
                is_in_order(&rest, query, &name);
                let codes: BTreeSet<String> = rest.iter().map(|item| shown(item).0).collect();
                assert_eq!(codes.len(), rest.len(), "{name}: each once after it");
                let union: BTreeSet<String> = codes.union(&shown_before).cloned().collect();
                assert_eq!(union, all, "{name}: none is missing");
            }
        }
    }
}

/// Commits the closed coupons of the partition without evicting them, like a compactor that is
/// killed there.
async fn commit_only(service: &Service, day: Day) -> usize {
    let (hot, cold) = (service.engine.partitions(), service.engine.cold());
    hot.raise_cold_mark(ColdMark { begun: Some(0), committed: None }).await.expect("a mark");
    cold.create().await.expect("tables");
    let codes = hot.closed_codes(day, service.now(), 1_000).await.expect("codes");
    let coupons = hot.coupons_of(day, codes).await.expect("coupons");
    let count = coupons.len();
    let partition = cold.partition(day).await.expect("a partition");
    let mut writer =
        cold.writer(day, partition.archive_commit + 1, 0, &[]).await.expect("a writer");
    writer.push(coupons).await.expect("pushed");
    let files = writer.finish().await.expect("files");
    let begun = ColdMark { begun: Some(partition.version + 1), committed: None };
    hot.raise_cold_mark(begun).await.expect("a mark");
    let committed = cold
        .commit(&partition, partition.archive_commit + 1, &files, &[], u64::MAX)
        .await
        .expect("a commit");
    assert!(matches!(committed, CommitOutcome::Done { .. }), "{committed:?}");
    cold.commit_holders(day, partition.archive_commit + 1).await.expect("the side table");
    count
}

#[tokio::test]
async fn a_coupon_in_both_tiers_is_one() {
    let service = stocked().await;
    let cases: Vec<(Who<'_>, String)> = queries()
        .into_iter()
        .filter(|(_, query, every)| *every || query.contains("state="))
        .map(|(who, query, _)| (who, query))
        .collect();
    let mut before = Vec::new();
    for (who, query) in &cases {
        let found = walk(&service, *who, query, 1_000, None).await;
        before.push(found.iter().map(shown).collect::<BTreeMap<_, _>>());
    }
    let mut both = 0;
    for end in ["2026-12-31T12:00:00Z", "2027-06-01T00:00:00Z"] {
        both += commit_only(&service, Day::expiry_day_of(ms(end))).await;
    }
    assert!(both > 5, "{both}");
    for name in ["committed", "evicted, too"] {
        for ((who, query), want) in cases.iter().zip(&before) {
            for limit in [1_000, want.len().max(1), 7, 3, 2, 1] {
                let found = walk(&service, *who, query, limit, None).await;
                is_whole(&found, want, query, &format!("{name}: {who:?} {query} by {limit}"));
            }
        }
        service.compact().await;
    }
}
