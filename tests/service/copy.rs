//! `couponry copy` from a data folder to a cluster: its passes beside a busy service, what it refuses,
//! and a copy that is older than the cold tier.

use std::fs;

use rusqlite::Connection;
use serde_json::json;
use testcluster::TestCluster;

use super::cluster::Keyspace;
use super::data::{Data, Ran};
use super::finished::{issued, order, redeemed, serve};
use super::verify::{Scene, archive, verify};

/// A data folder with coupons of every kind, and the keyspace that it moves to.
struct Move {
    scene: Scene,
    target: String,
}

impl Move {
    fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let ran = self.scene.data.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        ran
    }

    fn copy(&self, more: &[&str], code: i32) -> Ran {
        let from = format!("sqlite:{}", self.scene.data.path().display());
        self.run(&[&["copy", "--from", &from, "--to", &self.target], more].concat(), code)
    }

    /// Makes an empty keyspace.
    fn make_empty(&self, addresses: &str) {
        Keyspace::before_it_is_made(addresses).done("DROP KEYSPACE IF EXISTS moved");
        self.run(&["schema", "apply", "--hot", &self.target], 0);
    }

    /// From now on the settings name the keyspace.
    fn use_target(&self) {
        let path = self.scene.data.folder().join("couponry.toml");
        fs::write(path, format!("hot = \"{}\"\n", self.target)).expect("couponry.toml");
    }
}

/// To a keyspace of its own.
pub(super) fn to_a_cluster(cluster: &TestCluster) {
    let addresses = cluster.addresses();
    let data = Data::new();
    let token = data.token("admin", "root");
    let moves = Move { scene: Scene::of(data, &token), target: format!("cql://{addresses}/moved") };
    moves.make_empty(addresses);
    unreadable_rows_are_named(&moves);
    passes(&moves);
    is_closed(&moves);
    moves.use_target();
    goes_on(&moves);
    older_than_cold(&moves, addresses);
}

/// A row that cannot be read ends each kind of run.
fn unreadable_rows_are_named(moves: &Move) {
    let hot = Connection::open(moves.scene.data.path().join("hot.db")).expect("hot.db");
    let row = "SELECT record FROM coupon WHERE code = ?1";
    let code = &moves.scene.anns;
    let record: Vec<u8> = hot.query_row(row, [code], |row| row.get(0)).expect("a coupon");
    let write = "UPDATE coupon SET record = ?2 WHERE code = ?1";
    hot.execute(write, (code, b"\xff".as_slice())).expect("damage");
    for arguments in [&["--live"] as &[&str], &[], &["--verify"]] {
        let ran = moves.copy(arguments, 1);
        assert!(ran.stderr.contains(&format!("row {code} of the table coupons")), "{ran:?}");
    }
    hot.execute(write, (code, record)).expect("repair");
}

/// A pass while `serve` runs, and the last one.
fn passes(moves: &Move) {
    let data = &moves.scene.data;
    let server = serve(data);
    let refused = moves.copy(&[], 1);
    assert!(refused.stderr.contains("--live"), "{refused:?}");
    let live = moves.copy(&["--live"], 0);
    assert!(live.stdout.contains(" claims") && live.stdout.contains("end `serve`"), "{live:?}");
    let admin = &mut server.client(&data.token("admin", "root"));
    issued(admin, "c", "bob");
    let webhook = json!({"webhook_id": "w", "url": "https://webhooks.invalid/"});
    admin.post("/v1/webhooks", &webhook).must(201);
    issued(admin, "c", "eve");
    server.stop();

    let differs = moves.copy(&["--verify"], 1);
    assert!(differs.stdout.contains("differ"), "{differs:?}");
    let last = moves.copy(&[], 0);
    for said in [
        "another pass",
        " coupons",
        "brought 1 webhooks with 1 deliveries that wait",
        "the same",
        "start `serve` on cql://",
    ] {
        assert!(last.stdout.contains(said), "{said}: {last:?}");
    }
    assert!(!last.stdout.contains("differ"), "{last:?}");
    moves.copy(&["--verify"], 0);
}

/// The source of a copy that has come to its end takes no write.
fn is_closed(moves: &Move) {
    let data = &moves.scene.data;
    let rows: [(&str, &[&str], i32); 7] = [
        ("serve", &["serve", "--listen", "127.0.0.1:0"], 1),
        ("compact", &["compact"], 1),
        ("an import", &["import", "codes.csv", "--campaign", "c"], 1),
        ("a change", &["campaign", "pause", "c"], 1),
        ("a restore", &["restore"], 1),
        ("a look", &["campaign", "show", "c"], 0),
        ("an export", &["export", "coupons", "--campaign", "c"], 0),
    ];
    fs::write(data.folder().join("codes.csv"), "code\nOLD-0001\n").expect("codes.csv");
    for (name, arguments, code) in rows {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert_eq!(ran.stderr.contains("has moved to cql:"), code == 1, "{name}: {ran:?}");
    }
}

/// `serve` on the cluster answers as on the folder, and takes no further pass.
fn goes_on(moves: &Move) {
    let data = &moves.scene.data;
    verify(data, &[]).must_be_clean("moved to a cluster");
    let server = serve(data);
    let admin = &mut server.client(&data.token("admin", "root"));
    let redeem = |code: &str| format!("/v1/coupons/{code}/redeem");
    let webhook = admin.get("/v1/webhooks/w").must(200);
    assert!(webhook.json()["pending"].as_u64() >= Some(1), "{webhook:?}");
    let early = admin.get("/v1/redemptions?order_ref=order-early-2").must(200);
    assert!(early.text().contains("early-2"), "of an archived coupon: {early:?}");
    let (spent, archived) = (&moves.scene.cancelled, &moves.scene.archived);
    admin.post(&redeem(spent), &order("dan", "d2")).must(200);
    admin.post(&redeem(spent), &order("dan", "d3")).refused(409, "ALREADY_REDEEMED");
    admin.post(&redeem(archived), &order("early-2", "again")).refused(409, "ALREADY_REDEEMED");
    admin.post(&redeem(&moves.scene.held), &order("bob", "cart")).must(201);
    redeemed(admin, "c", "since", 4);
    archive(data, 14);
    server.stop();
    verify(data, &[]).must_be_clean("gone on with");
    let used = moves.copy(&[], 1);
    assert!(used.stderr.contains("it is the store now"), "{used:?}");
}

/// A cluster that is older than the cold tier is brought together with it: here the folder, copied
/// once more.
fn older_than_cold(moves: &Move, addresses: &str) {
    let data = &moves.scene.data;
    let from = format!("sqlite:{}", data.path().display());
    let lift = moves.run(&["copy", "--from", &from, "--lift"], 0);
    assert!(lift.stdout.contains("may be used again"), "{lift:?}");
    moves.make_empty(addresses);
    moves.copy(&[], 0);
    let older = moves.run(&["verify"], 1);
    assert!(older.stderr.contains("`couponry restore`"), "{older:?}");
    moves.run(&["restore"], 0);
    // The store is as it was: for it, bob redeems this coupon for the first time.
    let server = serve(data);
    let admin = &mut server.client(&data.token("admin", "root"));
    let redeem = format!("/v1/coupons/{}/redeem", moves.scene.held);
    admin.post(&redeem, &order("bob", "cart")).must(201);
    server.stop();
    verify(data, &[]).must_be_clean("restored and gone on with");
}

#[test]
fn refusals() {
    let data = Data::new();
    serve(&data).stop();
    let nowhere = format!("sqlite:{}", data.folder().join("nowhere").display());
    let here = format!("sqlite:{}", data.path().display());
    let cluster = "cql://127.0.0.1:1/shop";
    let rows: [(&str, [&str; 2], i32, &str); 6] = [
        ("no source", [&nowhere, cluster], 1, "no couponry data"),
        ("from a cluster", [cluster, "cql://127.0.0.1:1/other"], 2, "the tools of the database"),
        ("back to a folder", [cluster, &here], 2, "nothing leads back"),
        ("to a folder", [&here, &nowhere], 2, "`couponry backup`"),
        ("no store at all", [&here, "redis://h"], 2, "want cql://"),
        ("no keyspace", [&here, "cql://h"], 2, "keyspace"),
    ];
    for (name, [from, to], code, said) in rows {
        let ran = data.run(&["copy", "--from", from, "--to", to]);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
    }
}
