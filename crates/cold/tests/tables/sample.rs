//! Coupons to write, and folders to write them to.

use cold::{ColdOptions, ColdPartition, ColdStore, CommitOutcome, FileFault, NewFile, ScanFilter};
use coupon::calendar::Zone;
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, IssueRef, OperationId};
use coupon::time::{DAY_MS, Day, Millis};
use tempfile::TempDir;

/// 2026-12-31, the last day of its month.
pub(crate) const DAY: Day = Day(20_818);
pub(crate) const NEXT: Day = Day(20_819);
pub(crate) const MADE: Millis = Millis(1_760_000_000_123);

pub(crate) fn options() -> ColdOptions {
    ColdOptions { file_rows_max: 1_000, ..ColdOptions::default() }
}

/// A new folder with both tables.
pub(crate) async fn store() -> (TempDir, ColdStore) {
    let disk = TempDir::new().unwrap();
    let store = ColdStore::on_folder(disk.path(), options());
    store.create().await.unwrap();
    (disk, store)
}

pub(crate) fn genesis(code: &str, day: Day) -> Genesis {
    Genesis {
        code: code.parse().unwrap(),
        campaign: "cmp_1".parse().unwrap(),
        batch: "b1".parse().unwrap(),
        valid_from: MADE,
        expires_at: day.end(),
        zone: "Asia/Seoul".parse().unwrap(),
        created_at: MADE,
    }
}

pub(crate) fn untouched(code: &str, day: Day) -> Coupon {
    Coupon::untouched(genesis(code, day))
}

pub(crate) fn event(nth: i64, kind: EventKind) -> Event {
    Event {
        at: MADE.plus_ms(nth * DAY_MS + 7),
        actor: Actor::new("shop:checkout-7"),
        operation: OperationId(
            0x0191_0000_0000_7000_8000_0000_0000_0000 + nth.unsigned_abs() as u128,
        ),
        kind,
    }
}

pub(crate) fn issued(to: &str) -> EventKind {
    EventKind::Issued {
        to: to.parse().unwrap(),
        reference: Some(IssueRef::stored("요청-1")),
        expires_at: None,
    }
}

pub(crate) fn redeemed(by: &str, order: &str) -> EventKind {
    EventKind::Redeemed {
        by: Some(by.parse().unwrap()),
        order: order.parse().unwrap(),
        worth: "KRW 30000 3000".parse().map(Box::new).ok(),
    }
}

/// A coupon with events of `kinds`, a day apart.
pub(crate) fn after(code: &str, day: Day, kinds: Vec<EventKind>) -> Coupon {
    let version = kinds.len() as u64;
    let events: Vec<Event> = (1..).zip(kinds).map(|(nth, kind)| event(nth, kind)).collect();
    let modified_at = events.last().map_or(MADE, |event| event.at);
    Coupon::of(genesis(code, day), events, None, version, modified_at)
}

/// A coupon that `holder` redeemed.
pub(crate) fn spent(code: &str, day: Day, holder: &str) -> Coupon {
    after(code, day, vec![issued(holder), redeemed(holder, &format!("주문-{code}"))])
}

/// A coupon of every kind of event and state, in ascending order of the codes.
pub(crate) fn every_kind(day: Day) -> Vec<Coupon> {
    let why = || Some("sent twice, 보상".parse().unwrap());
    let cancelled =
        |reason| EventKind::RedemptionCancelled { order: "주문-1".parse().unwrap(), reason };
    let revoked =
        |reason| EventKind::Revoked { from: "ann".parse().unwrap(), reference: None, reason };
    let extended = |reason| EventKind::Extended {
        expires_at: day.end().plus_ms(-5),
        zone: Zone::utc(),
        reason,
    };
    let for_days = EventKind::Issued {
        to: "ann".parse().unwrap(),
        reference: None,
        expires_at: Some(day.end().plus_ms(-DAY_MS)),
    };
    let bare = EventKind::Redeemed { by: None, order: "주문-2".parse().unwrap(), worth: None };
    vec![
        untouched("AA00", day),
        after("AA01", day, vec![issued("ann")]),
        after("AA02", day, vec![for_days.clone()]),
        after("AA03", day, vec![issued("ann"), redeemed("ann", "주문-1")]),
        after("AA04", day, vec![bare]),
        after("AA05", day, vec![issued("ann"), redeemed("ann", "주문-1"), cancelled(None)]),
        after("AA06", day, vec![issued("ann"), redeemed("ann", "주문-1"), cancelled(why())]),
        after("AA07", day, vec![issued("ann"), revoked(None)]),
        after("AA08", day, vec![for_days, revoked(why())]),
        after("AA09", day, vec![EventKind::Voided { reason: None }]),
        after("AA10", day, vec![issued("ann"), EventKind::Voided { reason: why() }]),
        after("AA11", day, vec![extended(None)]),
        after("AA12", day, vec![issued("ann"), extended(why())]),
    ]
}

pub(crate) async fn written(
    store: &ColdStore,
    day: Day,
    archive_commit: u64,
    coupons: Vec<Coupon>,
) -> Vec<NewFile> {
    let mut writer = store.writer(day, archive_commit, 0, &[]).await.unwrap();
    writer.push(coupons).await.unwrap();
    writer.finish().await.unwrap()
}

pub(crate) fn codes(coupons: &[Coupon]) -> Vec<Code> {
    coupons.iter().map(|coupon| coupon.code().clone()).collect()
}

/// Untouched coupons `C0000`, `C0001` and so on, in ascending order of their codes.
pub(crate) fn many(count: usize, day: Day) -> Vec<Coupon> {
    (0..count).map(|nth| untouched(&format!("C{nth:06}"), day)).collect()
}

/// Every coupon of a store, in the order of partitions and codes.
pub(crate) async fn everything(store: &ColdStore) -> Vec<(Day, Coupon)> {
    scanned(store, ScanFilter::default()).await
}

pub(crate) async fn scanned(store: &ColdStore, filter: ScanFilter) -> Vec<(Day, Coupon)> {
    let mut scan = store.scan(filter).await.unwrap();
    let mut found = Vec::new();
    while let Some(coupons) = scan.next().await.unwrap() {
        found.extend(coupons);
    }
    found.sort_by(|a, b| (a.0, a.1.code()).cmp(&(b.0, b.1.code())));
    found
}

/// Everything that audits find wrong with logs and files. Stops at a log that cannot be read.
pub(crate) async fn faults(store: &ColdStore) -> Vec<FileFault> {
    let mut faults = store.audit_logs().await.unwrap();
    if !faults.is_empty() {
        return faults;
    }
    for partition in store.partitions().await.unwrap() {
        let mut audit = store.audit_partition(&partition, "").await.unwrap();
        while !audit.up_to(None, 1_000).await.unwrap().is_empty() {}
        faults.extend(audit.faults());
        faults.extend(store.audit_side(partition.day).await.unwrap().files);
    }
    faults.extend(store.audit_index().await.unwrap());
    faults
}

/// Replaces every file of a partition by files with `coupons` in them.
pub(crate) async fn merged(store: &ColdStore, day: Day, coupons: Vec<Coupon>) -> ColdPartition {
    let on = store.partition(day).await.unwrap();
    let files = written(store, day, on.archive_commit + 1, coupons).await;
    let ended =
        store.commit(&on, on.archive_commit + 1, &files, &on.files, u64::MAX).await.unwrap();
    assert!(matches!(ended, CommitOutcome::Done { .. }), "{ended:?}");
    store.partition(day).await.unwrap()
}

/// Writes and commits the next archive commit of a partition, and says what the partition has then.
pub(crate) async fn committed(store: &ColdStore, day: Day, coupons: Vec<Coupon>) -> ColdPartition {
    let on = store.partition(day).await.unwrap();
    let files = written(store, day, on.archive_commit + 1, coupons).await;
    let ended = store.commit(&on, on.archive_commit + 1, &files, &[], u64::MAX).await.unwrap();
    assert!(matches!(ended, CommitOutcome::Done { .. }), "{ended:?}");
    store.partition(day).await.unwrap()
}
