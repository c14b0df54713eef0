//! A store of schema version 1, from before there was a cold tier, becomes one of today.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coupon::campaign::Tally;
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::{DAY_MS, Day, Millis};
use hot::Tier;
use hot::sqlite::{FILE_NAME, OpenError};
use rusqlite::{Connection, params};

use super::kit::{self, Kit, NOW, Said, cancel, give, order, redeem, reference, said};
use super::{kit_in, open, options, raw, schema_of, tempdir};

/// The schema as the last release of version 1 had it.
const SCHEMA_1: &str = include_str!("../fixtures/hot-1.sql");

const DAY: Day = Day(21_000);

/// What stands in the old store: a campaign of three minted coupons and an imported one.
struct Old {
    issued: Code,
    redeemed: Code,
    untouched: Code,
    imported: Code,
    ann: UserId,
    bob: UserId,
}

fn event(kind: &str, user: &str, reference: &str) -> String {
    format!(
        r#"{{"kind":"{kind}","at":{},"actor":"shop:till","operation":"{:032x}","user":"{user}","reference":"{reference}"}}"#,
        NOW.0, 7
    )
}

/// Writes a store of version 1 as its release left it: in WAL mode, closed.
fn old_store(folder: &Path) -> Old {
    let key = kit::keys().remove(0);
    let code = |serial| key.mint(DAY, serial);
    let old = Old {
        issued: code(0),
        redeemed: code(1),
        untouched: code(2),
        imported: "U1OLDCODE".parse().unwrap(),
        ann: "ann".parse().unwrap(),
        bob: "bob".parse().unwrap(),
    };
    let conn = raw(folder);
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.execute_batch(SCHEMA_1).unwrap();
    conn.pragma_update(None, "application_id", 0x6370_7279).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    let (from, end) = (NOW.0 - DAY_MS, DAY.end().0);
    conn.execute_batch(&format!(
        "INSERT INTO setting VALUES ('written_by', '0.0.9');
         INSERT INTO campaign VALUES (1, 'spring', 'Spring', 'shop', NULL, NULL, {from}, {end}, \
         'UTC', NULL, NULL, NULL, 1, 30, 30, 0, NULL, {from}, 'a request', 4, 1, 2, 0);
         INSERT INTO batch VALUES (1, 1, 'first', '{key}', {day}, 0, 2, 3, 0, NULL, 0, 0, 0, 0, \
         {from});
         INSERT INTO batch VALUES (2, 1, 'second', NULL, NULL, NULL, NULL, 1, 0, NULL, 1, 1, 0, 0, \
         {from});
         INSERT INTO day_plan VALUES ({day}, 12, {seal_after}, 0, 3);
         INSERT INTO account VALUES ('ann@shop', 'acc_1', '$argon2id$x', {from});",
        key = key.id(),
        day = DAY.0,
        seal_after = DAY.end().plus_days(30).plus_ms(15 * kit::MINUTE).0,
    ))
    .unwrap();
    let coupon = |code: &Code, batch: i64, holder: &UserId, order: Option<&str>| {
        let mut events = vec![event("issued", holder.as_str(), "r1")];
        events.extend(order.map(|order| event("redeemed", holder.as_str(), order)));
        conn.execute(
            "INSERT INTO coupon VALUES (NULL, ?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, \
             ?11, NULL, ?12, 0, ?7, ?9)",
            params![
                DAY.0,
                code.as_str(),
                batch,
                events.len() as i64,
                if order.is_some() { "redeemed" } else { "issued" },
                holder.as_str(),
                from,
                end,
                NOW.0,
                order.map(|_| NOW.0),
                order,
                events.join("\n"),
            ],
        )
        .unwrap();
        conn.execute(
            "INSERT INTO claim VALUES (1, ?1, \
             (SELECT count(*) FROM claim WHERE user_id = ?1), ?2, ?3, 'r1', 1)",
            params![holder.as_str(), DAY.0, code.as_str()],
        )
        .unwrap();
    };
    coupon(&old.issued, 1, &old.ann, None);
    coupon(&old.redeemed, 1, &old.bob, Some("1"));
    coupon(&old.imported, 2, &"eve".parse().unwrap(), Some("2"));
    conn.execute(
        "INSERT INTO directory VALUES (?1, 'coupon', 1, 2, ?2, ?3, ?4, ?5)",
        params![
            old.imported.as_str(),
            DAY.0,
            from,
            end,
            r#"{"state":"issued","user_id":"eve","issued_at":null}"#
        ],
    )
    .unwrap();
    conn.close().unwrap();
    old
}

fn copy_of(folder: &Path) -> PathBuf {
    folder.join(format!("{FILE_NAME}.schema-1"))
}

fn pragma(conn: &Connection, name: &str) -> i64 {
    conn.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

/// Everything that stands in the tables of version 1.
fn dump(conn: &Connection) -> Vec<String> {
    let tables = ["setting", "campaign", "batch", "day_plan", "coupon", "directory", "claim"];
    let mut lines = Vec::new();
    for table in tables {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap()));
            lines.push(format!("{table}: {}", values.collect::<Vec<_>>().join(", ")));
        }
    }
    lines
}

/// Columns and indexes, without the comments between them.
fn shape_of(conn: &Connection) -> (Vec<String>, Vec<String>) {
    let mut columns = conn
        .prepare(
            "SELECT m.name || '.' || c.cid || ' ' || c.name || ' ' || c.type || ' ' || \
             c.\"notnull\" || ' ' || coalesce(c.dflt_value, '-') || ' ' || c.pk \
             FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' \
             ORDER BY m.name, c.cid",
        )
        .unwrap();
    let columns = columns.query_map([], |row| row.get(0)).unwrap();
    let others = schema_of(conn).into_iter().filter(|(kind, ..)| kind != "table");
    let others = others.map(|(_, name, sql)| format!("{name}: {sql:?}")).collect();
    (columns.collect::<Result<_, _>>().unwrap(), others)
}

/// What the old store knew is answered from, and what is new works on it.
async fn works(kit: &Kit, old: &Old) {
    let Old { issued, redeemed, untouched, imported, ann, bob } = old;
    kit.is_sound().await;
    let campaign = &kit.see(issued).await.unwrap().campaign;
    let tally = Tally { stock: 4, issued: 1, redeemed: 2, void: 0 };
    assert_eq!(kit.tally(campaign).await, tally);
    assert_eq!(kit.said(redeemed, redeem(bob, "1")).await, Said::Replayed);
    assert_eq!(kit.said(imported, redeem(&"eve".parse().unwrap(), "2")).await, Said::Replayed);
    let again = kit.issue(campaign, ann, reference("r1")).await;
    assert_eq!((said(&again), again.sight.unwrap().coupon.code()), (Said::Replayed, issued));
    assert_eq!(kit.coupon(untouched).await.version(), 0);
    kit.done(issued, redeem(ann, "3")).await;

    let over = NOW.plus_days(30);
    assert_eq!(kit.archive_closed(DAY, over).await, 3);
    assert_eq!(kit.see(redeemed).await.unwrap().tier, Tier::Cold);
    let closed = kit.at(over, redeemed, cancel("1")).await;
    assert_eq!(said(&closed), Said::Refused(Refusal::CancelClosed));
    let shown = kit.coupon(imported).await;
    assert_eq!(shown.redemption().unwrap().order, order("2"));
    assert_eq!(kit.tally(campaign).await, Tally { issued: 0, redeemed: 3, ..tally });
    assert_eq!(kit.archive_shelf(DAY, kit.time_to_seal(DAY).await).await, 3);
    assert_eq!(kit.said(redeemed, redeem(bob, "1")).await, Said::Replayed);
    let late = kit.said(untouched, give(&kit.user("late"), None)).await;
    assert_eq!(late, Said::Refused(Refusal::Expired));
    kit.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_store_is_upgraded_once() {
    let folder = tempdir();
    let old = old_store(folder.path());
    let before = dump(&raw(folder.path()));
    let kit = kit_in(folder.path(), options());
    let conn = raw(folder.path());
    assert_eq!((pragma(&conn, "user_version"), pragma(&conn, "auto_vacuum")), (4, 2));
    let new = tempdir();
    drop(open(new.path(), options()).unwrap());
    assert_eq!(shape_of(&conn), shape_of(&raw(new.path())), "as if it were new");
    let by = "SELECT value FROM setting WHERE name = 'written_by'";
    let by: String = conn.query_row(by, [], |row| row.get(0)).unwrap();
    assert_eq!(by, env!("CARGO_PKG_VERSION"));

    let copy = Connection::open(copy_of(folder.path())).unwrap();
    assert_eq!((pragma(&copy, "user_version"), pragma(&copy, "application_id")), (1, 0x6370_7279));
    assert_eq!(dump(&copy), before, "the copy is the old store");
    copy.close().unwrap();

    works(&kit, &old).await;
    drop((kit, conn));
    let after = dump(&raw(folder.path()));
    std::fs::remove_file(copy_of(folder.path())).unwrap();
    drop(open(folder.path(), options()).unwrap());
    assert_eq!(dump(&raw(folder.path())), after, "the second time nothing happens");
    assert!(!copy_of(folder.path()).exists(), "nor is it copied");
}

/// A run that was killed is begun again.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_upgrade_is_begun_again() {
    type Leave = fn(&Path);
    let cases: [(&str, Leave); 4] = [
        ("while the copy was written", |folder| {
            std::fs::write(copy_of(folder), "SQLite format 3\0 and no more").unwrap();
        }),
        ("before it had a byte", |folder| std::fs::write(copy_of(folder), "").unwrap()),
        ("after the copy", |folder| {
            let copy = copy_of(folder);
            raw(folder).execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        }),
        ("before the version was raised", |folder| {
            let (conn, copy) = (raw(folder), copy_of(folder));
            conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
            conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").unwrap();
        }),
    ];
    for (name, leave) in cases {
        let folder = tempdir();
        let old = old_store(folder.path());
        let before = dump(&raw(folder.path()));
        leave(folder.path());
        let kit = kit_in(folder.path(), options());
        let conn = raw(folder.path());
        assert_eq!((pragma(&conn, "user_version"), pragma(&conn, "auto_vacuum")), (4, 2), "{name}");
        let copy = Connection::open(copy_of(folder.path())).unwrap();
        assert_eq!(pragma(&copy, "user_version"), 1, "{name}");
        assert_eq!(dump(&copy), before, "{name}");
        works(&kit, &old).await;
    }
}

/// Whoever wants to go back puts the copy where the store was.
#[tokio::test(flavor = "multi_thread")]
async fn the_copy_is_a_store() {
    let folder = tempdir();
    let old = old_store(folder.path());
    drop(open(folder.path(), options()).unwrap());
    let back = tempdir();
    std::fs::copy(copy_of(folder.path()), back.path().join(FILE_NAME)).unwrap();
    works(&kit_in(back.path(), options()), &old).await;
}

/// Where no copy can be kept nothing is upgraded.
#[test]
fn without_a_copy_there_is_no_upgrade() {
    let folder = tempdir();
    old_store(folder.path());
    let before = dump(&raw(folder.path()));
    std::fs::create_dir(copy_of(folder.path())).unwrap();
    let refused = open(folder.path(), options()).err().unwrap();
    assert!(matches!(refused, OpenError::File { .. }), "{refused}");
    let conn = raw(folder.path());
    assert_eq!((pragma(&conn, "user_version"), pragma(&conn, "auto_vacuum")), (1, 0));
    assert_eq!(dump(&conn), before);
}

/// Two processes find an old store at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_upgrade_one_file() {
    let folder = Arc::new(tempdir());
    let old = old_store(folder.path());
    let before = dump(&raw(folder.path()));
    let opens = (0..2).map(|_| {
        let folder = Arc::clone(&folder);
        tokio::task::spawn_blocking(move || open(folder.path(), options()).map(drop))
    });
    for opened in futures::future::join_all(opens).await {
        opened.unwrap().unwrap();
    }
    assert_eq!(dump(&Connection::open(copy_of(folder.path())).unwrap()), before);
    works(&kit_in(folder.path(), options()), &old).await;
}

/// Of a day beyond the campaign nothing is known.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_plan_is_neither_sealed_nor_emptied() {
    let folder = tempdir();
    old_store(folder.path());
    let kit = kit_in(folder.path(), options());
    let plans = kit.hot.shelves().await.unwrap();
    let plan = plans.first().copied().unwrap();
    assert_eq!((plans.len(), plan.day, plan.sealed), (1, DAY, false));
    assert_eq!((plan.unit, plan.emptied), (0, false));
    assert_eq!(plan.seal_after, Millis(DAY.end().plus_days(30).0 + 15 * kit::MINUTE));
    assert_eq!(kit.hot.cold_mark().await.unwrap(), hot::ColdMark::default());
}

/// Version 4 has the tables of versions 2 and 3, and triggers. The store is copied all the same: of
/// each upgrade there is a way back.
#[test]
fn from_versions_with_the_same_tables() {
    for version in [2, 3] {
        let folder = tempdir();
        drop(open(folder.path(), options()).unwrap());
        let conn = raw(folder.path());
        let new = shape_of(&conn);
        for (_, name, _) in schema_of(&conn).into_iter().filter(|(kind, ..)| kind == "trigger") {
            conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        assert_ne!(shape_of(&conn), new, "{version}");
        conn.pragma_update(None, "user_version", version).unwrap();
        drop(open(folder.path(), options()).unwrap());
        assert_eq!((pragma(&conn, "user_version"), shape_of(&conn)), (4, new), "{version}");
        let path = folder.path().join(format!("{FILE_NAME}.schema-{version}"));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{version}");
        let copy = Connection::open(path).unwrap();
        assert_eq!(pragma(&copy, "user_version"), version, "{version}");
    }
}
