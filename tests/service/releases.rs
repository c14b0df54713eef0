//! What a release has written, every later one reads: `releases` has a store of each, on a file and on a cluster, with
//! what that release answered from it.
//!
//! A release makes its own with `cargo test -p couponry --test service releases::made -- --ignored`. The keys in it
//! protect nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coupon::calendar::format_instant;
use coupon::time::Millis;
use serde_json::{Map, Value, json};
use testcluster::TestCluster;
use testengines::{CC, may_run};

use super::client::Client;
use super::cluster::{Keyspace, days_about_now};
use super::data::{Data, Server, despite_stalls, wait_until};
use super::engine::root;
use super::finished::{compact, exported, import, issued, order, redeemed, serve, settled};
use super::shim::{Clock, Shim};
use super::verify::{Scene, verify};
use super::visitor::Visitor;
use super::webhooks::Program;

/// Of a store on a cluster.
const KEYSPACE: &str = "earlier";

/// A login of the store.
const LOGIN: &str = "ned@example.org";
const PASSWORD: &str = "correct horse battery";

/// Seconds.
const DAY: i64 = 86_400;

/// Whose coupons are asked for.
const USERS: [&str; 13] =
    ["ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ian", "joe", "kim", "lea", "ned"];

/// In the archive, beside the data folder.
const ANSWERS: &str = "answers.json";
const TABLES: &str = "tables.json";

/// No statement of a cluster is given up in less time.
const NODE_TIMEOUT: Duration = Duration::from_secs(1);

fn folder(release: &str) -> PathBuf {
    root().join("tests/service/releases").join(release)
}

/// Seconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_secs() as i64
}

/// `tar` of the folder of a test.
fn tar(what: &str, archive: &Path, data: &Data, files: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args([what, "--gzip", "--directory"]).arg(data.folder()).arg("--file").arg(archive);
    let ran = tar.args(files).output().expect("tar runs");
    assert!(ran.status.success(), "tar: {}", String::from_utf8_lossy(&ran.stderr));
}

/// Makes what later releases read: an archive for each engine.
#[test]
#[ignore = "makes the stores of this release, once"]
fn made() {
    let to = folder(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&to).expect("a folder");
    pack(&lived_in(with_a_deleted_day()), &to.join("file.tar.gz"), None);

    let cluster = TestCluster::start_steady(1).expect("a cluster");
    let (data, there) = (Data::new(), Keyspace::before_it_is_made(cluster.addresses()));
    there.done(&format!("DROP KEYSPACE IF EXISTS {KEYSPACE}"));
    data.token("admin", "root");
    uses(&data, &cluster);
    let ran = data.run(&["schema", "apply"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    pack(&lived_in(data), &to.join("cluster.tar.gz"), Some(&there));
}

/// The store of `data` is the keyspace.
fn uses(data: &Data, cluster: &TestCluster) {
    let target = format!("hot = \"cql://{}/{KEYSPACE}\"\n", cluster.addresses());
    fs::write(data.folder().join("couponry.toml"), target).expect("couponry.toml");
}

/// A store with coupons of every kind, and with everything that is kept beside them.
fn lived_in(data: Data) -> Data {
    let token = data.token("admin", "root");
    let data = Scene::of(data, &token).data;
    let listener = Program::start(data.command(["webhook", "listen", "--on", "127.0.0.1:0"]));
    let listening: Value = serde_json::from_str(&listener.line()).expect("its address");
    let server = data.serve_with(|command| {
        command.args(["--webhook-allow-private", "--compact-every", "0"]);
    });
    let admin = &mut server.client(&token);
    for id in ["posted", "waiting"] {
        let new = json!({"webhook_id": id, "url": listening["url"], "types": ["coupon.redeemed"]});
        admin.post("/v1/webhooks", &new).must(201);
    }
    admin.call("PATCH", "/v1/webhooks/waiting", Some(&json!({"paused": true}))).must(200);
    worth(admin);
    wait_until("one is posted", || {
        let log = admin.get("/v1/webhooks/posted/deliveries").must(200).json();
        let is_posted = |it: &Value| it["state"] == "delivered";
        log["data"].as_array().is_some_and(|rows| rows.iter().any(is_posted))
    });
    beside(&data, &server, admin);
    people(&data, admin);
    server.stop();
    data
}

/// A store with a budget, and a day of which nothing but counts is left. A cluster has neither.
fn with_a_deleted_day() -> Data {
    let data = Data::new();
    let clock = Clock::build(data.folder());
    let mut before = Data::within(data.folder());
    before.set_more(clock.environment(-400 * DAY));
    let server = before.serve();
    let ends = format_instant(Millis((now() - 398 * DAY) * 1_000));
    let terms = json!({"campaign_id": "ancient", "stock": 1, "expires_at": ends, "extend_days": 0,
        "currency": "KRW", "benefit": {"kind": "amount", "amount": 1_000}, "budget": 1_000_000});
    let admin = &mut server.client(&before.token("admin", "root"));
    admin.post("/v1/campaigns", &terms).must(201);
    let code = issued(admin, "ancient", "una");
    let priced = json!({"user_id": "una", "order_ref": "old", "order_amount": 5_000});
    admin.post(&format!("/v1/coupons/{code}/redeem"), &priced).must(201);
    server.stop();
    compact(&data, &["--clock-is-right"]);
    let ran = compact(&data, &["--keep-archived", "200d"]);
    assert!(ran.stdout.contains("1 coupons of 1 expiry days deleted"), "{ran:?}");
    data
}

/// Amounts, an order of two coupons, and a later end.
fn worth(admin: &mut Client) {
    let percent =
        json!({"kind": "percent", "percent": 12.5, "max_discount": 5_000, "min_order": 10_000});
    let amount = json!({"kind": "amount", "amount": 1_000});
    for (id, benefit) in [("worth", percent), ("sorry", amount)] {
        let terms = json!({"campaign_id": id, "name": "봄 쿠폰", "stock": 100,
            "expires_on": "2031-10-31", "time_zone": "Asia/Seoul", "currency": "KRW",
            "benefit": benefit, "metadata": {"goodwill": true}});
        admin.post("/v1/campaigns", &terms).must(201);
    }
    let coupons = ["worth", "sorry"].map(|id| issued(admin, id, "ned"));
    let basket = json!({"user_id": "ned", "coupons": coupons, "order_amount": 30_000});
    admin.post("/v1/orders/basket/redeem", &basket).must(201);
    let again = format!("/v1/coupons/{}/redeem", coupons[0]);
    admin.post(&again, &order("ned", "again")).refused(409, "ALREADY_REDEEMED");
    let later = json!({"expires_on": "2031-12-30", "reason": "it goes well"});
    admin.call("PATCH", "/v1/campaigns/worth", Some(&later)).must(200);
    redeemed(admin, "c", "posted", 2);
}

/// Lines of an import, in each of the states.
fn thousand() -> String {
    let line = |nth: usize| {
        let rest = match nth % 4 {
            0 => ",,,,,,".to_owned(),
            1 => format!(",,issued,user-{nth},2026-01-01T00:00:00Z,,"),
            2 => format!(",,redeemed,user-{nth},,2026-01-02T00:00:00Z,o-{nth}"),
            _ => ",,void,,,,".to_owned(),
        };
        format!("THOUSAND{nth:04},{rest}\n")
    };
    (0..1_000).map(line).collect()
}

/// Rejected lines, a login, an account of the console and what it has done.
fn beside(data: &Data, server: &Server, admin: &mut Client) {
    import(data, "open", "thousand", &thousand());
    let file = "code,state\nLINE-0001,lost\nLINE-0002,\n".to_owned();
    let path = "/v1/campaigns/open/batches?batch_id=partly";
    let answer = admin.upload(path, std::iter::once(file), None);
    answer.expect("sent").expect("an answer").must(201);
    let login = json!({"login_id": LOGIN, "password": PASSWORD});
    admin.post("/v1/users", &login).must(201);
    let (eva, at) = (Visitor::enrolled(data, server.address, "eva"), server.address);
    let eves = "/console/customers/eve";
    let page = eva.get(at, eves);
    let gift = page.split("name=\"gift\" value=\"").nth(1).and_then(|it| it.split('"').next());
    let fields =
        [("campaign_id", "sorry"), ("gift", gift.expect("a form")), ("reason", "late-delivery")];
    let given = eva.submit(at, eves, "/console/customers/eve/give", &fields);
    assert!(given.contains("eve?done=issued"), "{given}");
}

/// One person who is forgotten, and one whom the cold tier still has.
fn people(data: &Data, admin: &mut Client) {
    for (user, id, last) in [("early-1", "first", "done"), ("early-3", "second", "archive")] {
        let asked = json!({"erasure_id": id, "reason": "asked"});
        admin.post(&format!("/v1/people/{user}/erase"), &asked).must(202);
        let path = format!("/v1/erasures/{id}");
        let mut is = |state: &str| admin.get(&path).must(200).json()["state"] == state;
        wait_until("the hot store is done", || is("archive"));
        if last == "done" {
            compact(data, &[]);
            wait_until("it is done", || is("done"));
        }
    }
}

/// Packs the store, with what this release answers from it.
fn pack(data: &Data, archive: &Path, cluster: Option<&Keyspace>) {
    let server = serve(data);
    let admin = &mut server.client(&data.token("admin", "root"));
    let mut answers = Map::new();
    for path in asked(admin) {
        answers.insert(path.clone(), admin.get(&format!("/v1/{path}")).must(200).json());
    }
    server.stop();
    let coupons = exported(data, "to be packed");
    assert!(coupons.len() >= 1_000, "{} coupons", coupons.len());
    let told = json!({"seconds": now(), "coupons": coupons, "answers": answers});
    fs::write(data.folder().join(ANSWERS), told.to_string()).expect("the answers");
    let mut files = vec!["data", ANSWERS];
    if let Some(cluster) = cluster {
        fs::write(data.folder().join(TABLES), tables(cluster).to_string()).expect("the tables");
        files.push(TABLES);
    }
    tar("--create", archive, data, &files);
}

/// The statements that make the tables, without the options that only one engine knows, and their rows.
fn tables(cluster: &Keyspace) -> Value {
    let described: Vec<(String, String, String, String)> =
        cluster.rows(&format!("DESCRIBE KEYSPACE {KEYSPACE}"));
    let mut statements = Vec::new();
    let mut rows = Map::new();
    for (_, kind, name, statement) in described.iter().filter(|it| it.1 != "keyspace") {
        let (body, options) = statement.split_once("\n) WITH ").unwrap_or((statement, ""));
        let is_kept = |it: &&str| it.starts_with("CLUSTERING") || it.starts_with("comment");
        let options: Vec<&str> = options.trim_end_matches(';').split("\n    AND ").collect();
        let options: Vec<&str> = options.into_iter().filter(is_kept).collect();
        statements.push(match (kind.as_str(), options.is_empty()) {
            ("table", true) => format!("{body}\n)"),
            ("table", false) => format!("{body}\n) WITH {}", options.join(" AND ")),
            _ => body.to_owned(),
        });
        if kind == "table" {
            let all: Vec<(String,)> =
                cluster.rows(&format!("SELECT JSON * FROM {KEYSPACE}.{name}"));
            rows.insert(name.clone(), all.into_iter().map(|(row,)| without_nulls(&row)).collect());
        }
    }
    json!({"statements": statements, "rows": rows})
}

/// A null would be written as one, and a row of static columns has none for its key.
fn without_nulls(row: &str) -> Value {
    let mut row: Map<String, Value> = serde_json::from_str(row).expect("JSON");
    row.retain(|_, value| !value.is_null());
    row.into()
}

/// Calls that show everything of a store.
fn asked(admin: &mut Client) -> Vec<String> {
    let days = days_about_now();
    let mut all = [
        "campaigns?limit=100",
        "events?limit=1000",
        "events?limit=1000&type=coupon.held,coupon.released",
        "attempts",
        "redemptions?order_ref=e1",
        "redemptions?order_ref=order-early-0",
        "orders/basket",
        "audit?limit=100",
        "webhooks/posted",
        "webhooks/waiting",
        "webhooks/posted/deliveries",
        "webhooks/waiting/deliveries",
        "erasures",
        "people/ned",
    ]
    .map(str::to_owned)
    .to_vec();
    all.extend(USERS.map(|user| format!("coupons?user_id={user}")));
    let campaigns = admin.get("/v1/campaigns?limit=100").must(200).json();
    for campaign in campaigns["data"].as_array().expect("campaigns") {
        let id = campaign["campaign_id"].as_str().expect("an id");
        all.push(format!("campaigns/{id}"));
        all.push(format!("campaigns/{id}/batches"));
        all.push(format!("campaigns/{id}/audit"));
        all.push(format!("campaigns/{id}/counts?time_zone=UTC&{days}"));
        all.push(format!("redemptions?campaign_id={id}&time_zone=UTC&{days}"));
    }
    all
}

/// Whether the answer is the same however long ago it was given. Others have what is kept for some days.
fn is_lasting(path: &str) -> bool {
    let is_short = ["/audit", "/counts"].iter().any(|part| path.contains(part));
    (path.starts_with("campaigns") || path.starts_with("coupons")) && !is_short
}

/// What of an answer is still true: at the same time all but when it was given, and long after without what runs out.
fn still_true(answer: &Value, is_then: bool) -> Value {
    match answer {
        Value::Object(fields) => {
            let is_held = !answer["held_until"].is_null();
            let runs_out = |name: &str| match name {
                "counted_at" | "read_at" => true,
                "held_until" | "order_ref" => !is_then && is_held,
                "expired" => !is_then,
                _ => false,
            };
            let left = fields.iter().filter(|(name, _)| !runs_out(name));
            left.map(|(name, value)| (name.clone(), still_true(value, is_then))).collect()
        }
        Value::Array(items) => items.iter().map(|item| still_true(item, is_then)).collect(),
        other => other.clone(),
    }
}

/// Whether a later answer still says everything: it may have more fields, and more rows between.
fn says(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().all(|(name, then)| now.get(name).is_some_and(|now| says(now, then)))
        }
        (Value::Array(now), Value::Array(then)) => {
            let mut now = now.iter();
            then.iter().all(|then| now.any(|now| says(now, then)))
        }
        _ => now == then,
    }
}

/// A store of an earlier release.
struct Earlier {
    release: String,
    data: Data,
    seconds: i64,
    coupons: BTreeMap<String, Value>,
    answers: Map<String, Value>,
}

impl Earlier {
    /// Those that have this archive.
    fn all(archive: &str) -> Vec<Earlier> {
        let releases = fs::read_dir(folder("")).expect("releases");
        let one = |entry: fs::DirEntry| {
            let (data, archive) = (Data::new(), entry.path().join(archive));
            tar("--extract", &archive, &data, &[]);
            let told = fs::read_to_string(data.folder().join(ANSWERS)).expect("the answers");
            let mut told: Value = serde_json::from_str(&told).expect("JSON");
            Earlier {
                release: entry.file_name().into_string().expect("UTF-8"),
                data,
                seconds: told["seconds"].as_i64().expect("seconds"),
                coupons: serde_json::from_value(told["coupons"].take()).expect("coupons"),
                answers: serde_json::from_value(told["answers"].take()).expect("answers"),
            }
        };
        let all: Vec<Earlier> = releases.map(|entry| one(entry.expect("a folder"))).collect();
        assert!(!all.is_empty(), "no release");
        all
    }

    /// The code of the only coupon of somebody.
    fn code_of(&self, holder: &str) -> &str {
        let is_theirs = |(_, coupon): &(&String, &Value)| coupon["holder"] == holder;
        self.coupons.iter().find(is_theirs).expect(holder).0
    }

    /// `is_then`: the clock is that of the release.
    fn must_go_on(&self, is_then: bool) {
        let Earlier { release, data, answers, .. } = self;
        verify(data, &[]).must_be_clean(release);
        self.coupons_are_the_same(is_then, &[]);
        let server = serve(data);
        let admin = &mut server.client(&data.token("admin", "root"));
        for (path, then) in answers.iter().filter(|(path, _)| is_then || is_lasting(path)) {
            let now = admin.get(&format!("/v1/{path}")).must(200).json();
            let then = still_true(then, is_then);
            assert!(says(&now, &then), "{release}: {path}: {now}\nbefore: {then}");
        }
        let login = json!({"login_id": LOGIN, "password": PASSWORD});
        server.client("").post("/v1/sessions", &login).must(200);

        let [mias, held, archived] = ["mia", "bob", "early-0"].map(|it| self.code_of(it));
        let redeem = |code: &str| format!("/v1/coupons/{code}/redeem");
        admin.post(&redeem(archived), &order("early-0", "again")).refused(409, "ALREADY_REDEEMED");
        admin.post(&redeem(mias), &order("mia", "later")).must(201);
        admin.post(&redeem(mias), &order("mia", "again")).refused(409, "ALREADY_REDEEMED");
        if is_then {
            admin.post(&redeem(held), &order("bob", "other")).refused(409, "HELD");
            admin.post(&redeem(held), &order("bob", "cart")).must(201);
        }
        let shared = json!({"user_id": "hal", "order_ref": "w3"});
        admin.post(&redeem("SUMMER2026"), &shared).refused(409, "LIMIT_PER_USER");
        let codes = redeemed(admin, "c", "since", 3);
        server.stop();
        compact(data, &["--closed-now"]);
        verify(data, &[]).must_be_clean(&format!("{release}, gone on with"));
        let changed: Vec<&str> = codes.iter().map(String::as_str).chain([mias, held]).collect();
        self.coupons_are_the_same(is_then, &changed);
    }

    fn coupons_are_the_same(&self, is_then: bool, but: &[&str]) {
        let now = exported(&self.data, &self.release);
        for (code, then) in self.coupons.iter().filter(|(code, _)| !but.contains(&code.as_str())) {
            let then = still_true(&settled(then), is_then);
            assert!(says(&now[code], &then), "{}: {code}: {}, {then}", self.release, now[code]);
        }
    }
}

#[test]
fn on_a_file() {
    if !may_run("stores of earlier releases", CC, Shim::can_be_built()) {
        return;
    }
    for mut earlier in Earlier::all("file.tar.gz") {
        let clock = Clock::build(earlier.data.folder());
        earlier.data.set_more(clock.environment(earlier.seconds + 60 - now()));
        earlier.must_go_on(true);
    }
}

#[test]
fn on_a_cluster() {
    let Some(cluster) = TestCluster::start_steady(1) else { return };
    // The binary waits for the node as long as in production.
    despite_stalls(NODE_TIMEOUT, || {
        for earlier in Earlier::all("cluster.tar.gz") {
            uses(&earlier.data, &cluster);
            let there = Keyspace::before_it_is_made(cluster.addresses());
            fill(&earlier, &there);
            let ran = earlier.data.run(&["schema", "apply"]);
            assert_eq!(ran.code, Some(0), "{}: {ran:?}", earlier.release);
            // A later release has begun to come, and this one works beside it.
            there.done(&format!("ALTER TABLE {KEYSPACE}.campaign ADD of_later text"));
            there.done(&format!("CREATE TABLE {KEYSPACE}.of_later (name text PRIMARY KEY)"));
            earlier.must_go_on(false);
        }
    });
}

/// Makes the tables of the release, with their rows, which are as old as they were.
fn fill(earlier: &Earlier, cluster: &Keyspace) {
    let text = fs::read_to_string(earlier.data.folder().join(TABLES)).expect("the tables");
    let tables: Value = serde_json::from_str(&text).expect("JSON");
    cluster.make_anew(KEYSPACE);
    for statement in tables["statements"].as_array().expect("statements") {
        cluster.done(statement.as_str().expect("a statement"));
    }
    let at = earlier.seconds * 1_000_000;
    for (table, rows) in tables["rows"].as_object().expect("tables") {
        for row in rows.as_array().expect("rows") {
            let row = row.as_object().expect("a row");
            let columns: Vec<&str> = row.keys().map(String::as_str).collect();
            let json = |it: &Value| format!("fromJson('{}')", it.to_string().replace('\'', "''"));
            let values: Vec<String> = row.values().map(json).collect();
            let (columns, values) = (columns.join(", "), values.join(", "));
            cluster.done(&format!(
                "INSERT INTO {KEYSPACE}.{table} ({columns}) VALUES ({values}) USING TIMESTAMP {at}"
            ));
        }
    }
}
