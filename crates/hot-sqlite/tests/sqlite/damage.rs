//! Rows that another program has changed, and files that others could read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use coupon::apply::Asker;
use coupon::imported::ImportedState;
use hot::{CouponFilter, HotError, ImportLine, ListOrder, ListQuery, ListScope};

use super::{kit_in, options, raw, tempdir};
use hot_conformance::kit::{NOW, give, redeem};

/// A row in which `verify` finds a fault gives no answer: no read, no change, no list.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_gives_no_answer() {
    let tampers = [
        ("another holder", "UPDATE coupon SET holder = 'eve'"),
        ("no holder", "UPDATE coupon SET holder = NULL"),
        ("another state", "UPDATE coupon SET state = 1"),
        ("another expiry", "UPDATE coupon SET expires_at = 1 << 41"),
        ("redeemed at another time", "UPDATE coupon SET ended_at = ended_at + 1"),
        ("history full", "UPDATE coupon SET history_full = 1"),
        ("a record that cannot be read", "UPDATE coupon SET record = x'ff'"),
        (
            "another record",
            "UPDATE coupon SET record = \
             CAST(substr(record, 1, 20) || x'ee' || substr(record, 22) AS BLOB)",
        ),
        ("fewer versions than events", "UPDATE coupon SET version = 0"),
        ("another version", "UPDATE coupon SET version = 9"),
        ("other dates of the batch", "UPDATE batch SET valid_from = valid_from + 1"),
    ];
    for (name, tamper) in tampers {
        let folder = tempdir();
        let kit = kit_in(folder.path(), options());
        let campaign = kit.draft();
        let codes = kit.stocked(&campaign, 2).await;
        let ann = kit.user("ann");
        kit.done(&codes[0], give(&ann, None)).await;
        kit.done(&codes[0], redeem(&ann, "1")).await;
        let router::Found::Coupon(address) = kit.found(&codes[0]).await else { panic!("{name}") };
        assert_eq!(raw(folder.path()).execute(tamper, []).unwrap(), 1, "{name}");
        let found = router::Found::Coupon(address.clone());
        let read = kit.hot.read(&address).await;
        assert!(matches!(read, Err(HotError::Damaged(_))), "{name}: {read:?}");
        let change = kit.change(redeem(&ann, "1"), Asker::Shop, NOW);
        let dry = kit.hot.dry_run(&found, change.clone()).await;
        assert!(matches!(dry, Err(HotError::Damaged(_))), "{name}: {dry:?}");
        let replayed = kit.hot.apply(&found, change).await;
        assert!(matches!(replayed, Err(HotError::Damaged(_))), "{name}: {replayed:?}");
        let query = ListQuery {
            scope: ListScope::Campaign(campaign.id.clone()),
            filter: CouponFilter::default(),
            order: ListOrder::Latest,
            after: None,
            limit: 10,
            now: NOW,
        };
        let listed = kit.hot.list(query).await;
        assert!(matches!(listed, Err(HotError::Damaged(_))), "{name}: {listed:?}");
        // The other row is answered as before.
        kit.done(&codes[1], give(&kit.user("bob"), None)).await;
    }
}

/// The operation of an import is in a table of its own, and is part of what a row says.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_operation_gives_no_answer() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let lines: Vec<ImportLine> = (0..20)
        .map(|nth| {
            let holder = kit.user(&format!("user-{nth}"));
            kit.line(&campaign, &kit.code(), ImportedState::Issued { holder, at: None })
        })
        .collect();
    kit.import(&campaign, &batch, lines.clone()).await;
    let router::Found::Coupon(address) = kit.found(&lines[3].code).await else { panic!("found") };
    let whole = kit.hot.read(&address).await;
    let conn = raw(folder.path());
    let change = |sql: &str| assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}: one for all");
    change("UPDATE operation SET operation = zeroblob(16)");
    drop(kit);
    let kit = kit_in(folder.path(), options());
    let read = kit.hot.read(&address).await;
    assert!(matches!(read, Err(HotError::Damaged(_))), "{read:?}, was {whole:?}");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Only its owner may read a file of the store, also in an existing folder and if the file had
/// another mode.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_reads_the_files() {
    let files = ["hot.db", "hot.db-wal", "hot.db-shm", "hot.turn", "hot.write"];
    let folder = tempdir();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let kit = kit_in(folder.path(), options());
    kit.stocked(&kit.draft(), 1).await;
    for file in files {
        assert_eq!(mode(&folder.path().join(file)), 0o600, "{file}, new");
    }
    for file in files {
        let path = folder.path().join(file);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    }
    let beside = kit_in(folder.path(), options());
    beside.stocked(&beside.draft(), 1).await;
    for file in files {
        assert_eq!(mode(&folder.path().join(file)), 0o600, "{file}, tightened");
    }
    // No process lost a lock.
    kit.stocked(&kit.draft(), 1).await;
    beside.is_sound().await;
}
