//! The binary with a store on Cassandra: `verify` has the same findings as on a file, also beside a
//! busy service; and a data folder is copied to a cluster.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coupon::calendar::{Date, Zone};
use coupon::time::{DAY_MS, Millis};
use scylla::deserialize::row::DeserializeRow;
use serde_json::{Value, json};
use testcluster::TestCluster;

use super::client::{Client, at_once};
use super::copy;
use super::data::{Data, Server, despite_stalls, wait_until};
use super::finished::{campaign, issued, order, redeemed, serve};
use super::verify::{Scene, busy, verify};
use super::visitor::Visitor;
use super::webhooks::Program;

/// No statement is given up in less time.
const NODE_TIMEOUT: Duration = Duration::from_secs(1);

/// Shops that send requests during an update.
const SHOPS: usize = 4;

/// Events come some seconds after their changes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keyspace on one node, with a session to it.
pub(super) struct Keyspace {
    runtime: tokio::runtime::Runtime,
    session: scylla::client::session::Session,
}

impl Keyspace {
    fn of(addresses: &str) -> Keyspace {
        let keyspace = Keyspace::before_it_is_made(addresses);
        keyspace.runtime.block_on(keyspace.session.use_keyspace("verify", false)).expect("use");
        keyspace
    }

    /// A session in which statements name the keyspace.
    pub(super) fn before_it_is_made(addresses: &str) -> Keyspace {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let builder = scylla::client::session_builder::SessionBuilder::new()
            .known_nodes(addresses.split(','));
        let session = runtime.block_on(builder.build()).expect("a session");
        Keyspace { runtime, session }
    }

    pub(super) fn done(&self, cql: &str) {
        self.runtime.block_on(self.session.query_unpaged(cql, ())).expect(cql);
    }

    /// Makes a keyspace without tables, in the place of one that an earlier run may have left.
    pub(super) fn make_anew(&self, keyspace: &str) {
        self.done(&format!("DROP KEYSPACE IF EXISTS {keyspace}"));
        self.done(&format!(
            "CREATE KEYSPACE {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}}"
        ));
    }

    /// All rows of a query.
    pub(super) fn rows<R>(&self, cql: &str) -> Vec<R>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let found = self.runtime.block_on(self.session.query_unpaged(cql, ())).expect(cql);
        let found = found.into_rows_result().expect(cql);
        found.rows::<R>().expect(cql).map(|row| row.expect("a row")).collect()
    }

    /// The condition that selects the row of a code.
    fn row(&self, code: &str) -> String {
        let cql =
            format!("SELECT expiry_day, bucket FROM coupon WHERE code = '{code}' ALLOW FILTERING");
        let found: Vec<(scylla::value::CqlDate, i32)> = self.rows(&cql);
        let (day, bucket) = found.last().expect("the coupon's row");
        // Days are numbers with 1970 in the middle of their range.
        format!("expiry_day = {} AND bucket = {bucket} AND code = '{code}'", day.0)
    }
}

/// The same store on a cluster: clean, damaged in several ways, repaired, restored.
#[test]
fn on_a_cluster() {
    let Some(cluster) = TestCluster::start_steady(1) else { return };
    // The binary waits for the node as long as in production.
    despite_stalls(NODE_TIMEOUT, || on_this_cluster(&cluster));
}

fn on_this_cluster(cluster: &TestCluster) {
    let data = Data::new();
    let token = data.token("admin", "root");
    let target = format!("hot = \"cql://{}/verify\"\n", cluster.addresses());
    fs::write(data.folder().join("couponry.toml"), target).expect("couponry.toml");
    upgraded(&data, cluster.addresses());
    let scene = Scene::of(data, &token);
    let data = &scene.data;
    records(data);
    webhooks(data);
    spaces(data);
    console(data);
    rolling_update(data);
    let mut clean = verify(data, &[]).must_be_clean("before");
    eprintln!("verify: on a cluster, {}", clean.summary);
    for (what, at_least) in
        [("hot_rows", 15), ("archived_markers", 10), ("cold_rows", 13), ("claims", 20)]
    {
        let found = clean.summary["looked_at"][what].as_u64().unwrap_or(0);
        assert!(found >= at_least, "{what}: {found}, want {at_least}: {}", clean.summary);
    }

    if testcluster::may_take_minutes("verify beside a busy cluster, and a copy to a cluster") {
        busy(data, &token, 1);
        clean = verify(data, &[]).must_be_clean("after it was busy");
        copy::to_a_cluster(cluster);
    }
    // An extended coupon still has the index row of its earlier expiry.
    let young = clean.summary["notes"]["index-row-too-many"].as_u64().unwrap_or(0);
    let keyspace = Keyspace::of(cluster.addresses());
    let anns = keyspace.row(&scene.anns);
    // Missing index rows are written again, and those without a coupon are deleted when they are old.
    keyspace.done("DELETE FROM wallet WHERE user_id = 'ann'");
    keyspace.done(
        "INSERT INTO wallet (user_id, expires_at, tie, code, expiry_day) \
         VALUES ('zed', 4102444800000, 7, 'NOWHERE001', '2031-12-31') USING TIMESTAMP 1",
    );
    let found = verify(data, &["--repair"]);
    assert_eq!(found.kinds(), ["index-row-missing"].into_iter().collect(), "{found:#?}");
    assert_eq!(found.about("index-row-missing"), [scene.anns.as_str()].into_iter().collect());
    assert_eq!(found.summary["notes"]["index-row-too-many"], young + 1, "{}", found.summary);
    let mended = &found.summary["mended"];
    assert_eq!((&mended["index_rows"], &mended["removed_index_rows"]), (&json!(1), &json!(1)));
    let found = verify(data, &[]).must_be_clean("repaired");
    let left = found.summary["notes"]["index-row-too-many"].as_u64().unwrap_or(0);
    assert_eq!(left, young, "{}", found.summary);

    keyspace.done(&format!("UPDATE coupon SET holder = 'amy' WHERE {anns}"));
    keyspace.done(&format!("DELETE FROM coupon WHERE {}", keyspace.row(&scene.archived)));
    keyspace.done(&format!("DELETE FROM directory WHERE code = '{}'", scene.foreign));
    keyspace.done("DELETE FROM claim WHERE campaign_id = 'open' AND user_id = 'dan'");
    let events = keyspace.row(&scene.revoked);
    keyspace.done(&format!("DELETE events[1] FROM coupon WHERE {events}"));
    let found = verify(data, &[]);
    let wanted = [
        ("row-not-its-events", &scene.anns),
        ("row-missing", &scene.archived),
        ("entry-missing", &scene.foreign),
        ("claim-missing", &scene.cancelled),
        ("events-invalid", &scene.revoked),
    ];
    assert_eq!(found.code, Some(3), "{found:#?}");
    let kinds: BTreeSet<&str> = wanted.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(found.kinds(), kinds, "{found:#?}");
    for (kind, code) in wanted {
        assert_eq!(found.about(kind), [code.as_str()].into_iter().collect(), "{kind}: {found:#?}");
    }
}

/// Yesterday to tomorrow by UTC, as a query.
pub(super) fn days_about_now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let zone: Zone = "UTC".parse().expect("a zone");
    let [from, to] =
        [-DAY_MS, DAY_MS].map(|by| Date::of(Millis(now.as_millis() as i64 + by), &zone));
    format!("from={from}&to={to}")
}

/// What has happened is counted, listed and entered, also of what is archived and of what an import brought.
fn records(data: &Data) {
    let token = data.token("admin", "root");
    let server = serve(data);
    let mut admin = server.client(&token);
    let days = days_about_now();
    let orders = |list: &Value| {
        let rows = list["data"].as_array().expect("rows").iter();
        let said = rows.map(|row| {
            let end = if row["cancelled_at"].is_null() { "" } else { "*" };
            format!("{}{end}", row["order_ref"].as_str().unwrap_or_default())
        });
        said.collect::<Vec<String>>()
    };
    let kinds = |list: &Value| {
        let entries = list["data"].as_array().expect("entries").iter();
        entries.map(|it| it["type"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let sum = |list: &Value| {
        let spans = list["data"].as_array().expect("spans").iter();
        let of = |name: &str| spans.clone().map(|it| it[name].as_u64().unwrap_or(0)).sum::<u64>();
        [of("issued"), of("redeemed"), of("redemptions_cancelled")].map(|count| count.to_string())
    };
    type Read<'a> = &'a dyn Fn(&Value) -> Vec<String>;
    let rows: [(&str, String, Read<'_>, &[&str]); 8] = [
        ("an order", "redemptions?order_ref=e1".into(), &orders, &["e1"]),
        ("one that was cancelled", "redemptions?order_ref=d1".into(), &orders, &["d1*"]),
        (
            "one that is archived",
            "redemptions?order_ref=order-early-0".into(),
            &orders,
            &["order-early-0"],
        ),
        ("one of an import", "redemptions?order_ref=o1".into(), &orders, &["o1"]),
        ("one of a later import", "redemptions?order_ref=o2".into(), &orders, &["o2"]),
        (
            "those of these days",
            format!("redemptions?campaign_id=open&time_zone=UTC&{days}"),
            &orders,
            &["e1", "d2", "d1*"],
        ),
        (
            "counts",
            format!("campaigns/open/counts?time_zone=UTC&{days}"),
            &|list| sum(list).into(),
            &["7", "3", "1"],
        ),
        (
            "the audit",
            "campaigns/open/audit".into(),
            &kinds,
            &[
                "batch.imported",
                "batch.imported",
                "batch.created",
                "batch.created",
                "campaign.created",
            ],
        ),
    ];
    let until = Instant::now() + PATIENCE;
    for (name, path, read, want) in rows {
        loop {
            let found = read(&admin.get(&format!("/v1/{path}")).must(200).json());
            if found == want {
                break;
            }
            assert!(Instant::now() < until, "{name}: {found:?}, want {want:?}");
        }
    }
    server.stop();
}

/// Every machine of a cluster answers for webhooks, and those that post share the work.
fn webhooks(data: &Data) {
    let token = data.token("admin", "root");
    let listener = Program::start(data.command(["webhook", "listen", "--on", "127.0.0.1:0"]));
    let listening: Value = serde_json::from_str(&listener.line()).expect("its address");
    let other = machine_beside(data);
    let answering = other.serve_with(|command| {
        command.args(["--post-webhooks=false", "--webhook-allow-private"]);
    });
    let server = data.serve_with(|command| {
        command.arg("--webhook-allow-private");
    });
    let mut admin = answering.client(&token);
    let new = json!({"webhook_id": "w", "url": listening["url"], "types": ["coupon.redeemed"]});
    admin.post("/v1/webhooks", &new).must(201);
    redeemed(&mut admin, "c", "posted", 1);
    // Changes of the seconds before the webhook come as well.
    while !listener.line().contains("order-posted") {}
    let posted = |it: &Value| it["state"] == "delivered" && it["type"] == "coupon.redeemed";
    wait_until("the log has it", || {
        let log = admin.get("/v1/webhooks/w/deliveries").must(200).json();
        log["data"].as_array().is_some_and(|rows| rows.iter().any(posted))
    });
    // Killed before it is posted: the next one posts it.
    server.kill();
    redeemed(&mut admin, "c", "killed", 1);
    let server = data.serve_with(|command| {
        command.arg("--webhook-allow-private");
    });
    while !listener.line().contains("order-killed") {}
    admin.call("DELETE", "/v1/webhooks/w", None).must(204);
    answering.stop();
    server.stop();
}

/// A space is a keyspace of its own beside that of the main store: neither has anything of the other.
fn spaces(data: &Data) {
    let spaced = || {
        data.serve_with(|command| {
            command.args(["--spaces", "acme=acme.test", "--compact-every", "0"]);
        })
    };
    let server = spaced();
    assert!(server.banner.contains("acme at acme.test: NOT SERVED"), "{}", server.banner);
    let closed = server.client("").at_host("acme.test").get("/v1/campaigns");
    closed.refused(503, "STORE_UNAVAILABLE");
    server.stop();
    let made = data.run(&["schema", "apply", "--space", "acme"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let server = spaced();
    assert!(!server.banner.contains("NOT SERVED"), "{}", server.banner);
    let token = data.run(&["token", "--role", "admin", "--space", "acme"]);
    assert_eq!(token.code, Some(0), "{token:?}");
    let of_acme = |server: &Server| server.client(token.stdout.trim()).at_host("acme.test");
    let mut acme = of_acme(&server);
    campaign(&mut acme, "only-acme", 5);
    let code = issued(&mut acme, "only-acme", "ann");
    let redeem = format!("/v1/coupons/{code}/redeem");
    acme.post(&redeem, &order("ann", "o1")).must(201);
    let mut main = server.client(&data.token("admin", "root"));
    main.get("/v1/campaigns/only-acme").refused(404, "NOT_FOUND");
    main.get(&format!("/v1/coupons/{code}")).refused(404, "NOT_FOUND");
    main.post(&redeem, &order("ann", "o1")).refused(404, "NOT_FOUND");
    acme.get("/v1/campaigns?limit=500").must(200).json()["data"]
        .as_array()
        .map(|all| assert_eq!(all.len(), 1, "acme sees nothing of the main store"))
        .expect("a list");
    server.stop();
    let verified = data.run(&["verify", "--space", "acme"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    // Another start finds it again.
    let server = spaced();
    of_acme(&server).post(&redeem, &order("ann", "o2")).refused(409, "ALREADY_REDEEMED");
    server.stop();
}

/// A console behind a proxy that sends each request to any of two servers.
fn console(data: &Data) {
    let other = machine_beside(data);
    let servers = [data.serve(), other.serve()];
    let [one, two] = [servers[0].address, servers[1].address];
    let eva = Visitor::enrolled(data, one, "eva");
    let finn = Visitor::enrolled(data, two, "finn");
    let (page, pause) = ("/console/campaigns/open", "/console/campaigns/open/pause");
    let fields = [("paused", "true"), ("reason", "leaked")];
    assert!(eva.get(two, "/console").starts_with("HTTP/1.1 200"), "a session of the other server");
    // The token of a form is of one server, and the form goes to the other one.
    let paused = eva.submit(one, page, pause, &fields);
    assert!(paused.starts_with("HTTP/1.1 303"), "{paused}");
    for server in [one, two] {
        assert!(finn.get(server, page).contains("leaked"), "what the other server has done");
    }
    // Two people at the same time, at two servers.
    let fields = [("paused", "false"), ("reason", "mended")];
    let both = at_once(2, |nth| match nth {
        0 => eva.submit(two, page, pause, &fields),
        _ => finn.submit(one, page, pause, &fields),
    });
    assert!(both.iter().all(|it| it.starts_with("HTTP/1.1 303")), "{both:?}");
    let audit = finn.get(two, "/console/audit");
    assert_eq!(audit.matches("Campaign resumed").count(), 1, "{audit}");
    eva.submit(one, page, "/console/sign-out", &[]);
    let gone = eva.get(two, "/console");
    assert!(gone.starts_with("HTTP/1.1 303"), "signed out at every server: {gone}");
    assert!(finn.get(two, "/console").starts_with("HTTP/1.1 200"));
    for server in servers {
        server.stop();
    }
}

/// Ends the shops also if the test fails, since it waits for them.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Each of two servers is replaced by a new one while shops issue and redeem, and no request fails. Whoever sends the
/// requests knows which servers take them, as the proxy of Kubernetes does.
fn rolling_update(data: &Data) {
    let token = data.token("admin", "root");
    let machines: [Data; 4] = std::array::from_fn(|_| machine_beside(data));
    let mut old: Vec<Server> = machines[..2].iter().map(Data::serve).collect();
    let terms = json!({"campaign_id": "rolling", "stock": 100_000, "expires_on": "2031-12-31"});
    old[0].client(&token).post("/v1/campaigns", &terms).must(201);
    let ready = Mutex::new(old.iter().map(|it| it.address).collect::<Vec<SocketAddr>>());
    let asked: [AtomicUsize; SHOPS] = std::array::from_fn(|_| AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    let shop = |nth: usize| {
        let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
        while !over.load(Ordering::SeqCst) {
            let turn = asked[nth].fetch_add(1, Ordering::SeqCst);
            let address = {
                let ready = ready.lock().expect("the list");
                ready[turn % ready.len()]
            };
            let client = clients.entry(address).or_insert_with(|| Client::new(address, &token));
            let user = format!("rolling-{nth}-{turn}");
            let issued = client.post("/v1/campaigns/rolling/issue", &json!({"user_id": user}));
            let code = issued.must(201).field("code");
            client.post(&format!("/v1/coupons/{code}/redeem"), &order(&user, &user)).must(201);
        }
    };
    let turns = || asked.each_ref().map(|it| it.load(Ordering::SeqCst));
    let mut new = Vec::new();
    std::thread::scope(|scope| {
        let _over = Over(&over);
        (0..SHOPS).for_each(|nth| drop(scope.spawn(move || shop(nth))));
        for machine in &machines[2..] {
            let server = machine.serve();
            wait_until("a new server", || server.client(&token).get("/readyz").status == 200);
            ready.lock().expect("the list").push(server.address);
            new.push(server);
            let leaves = old.remove(0);
            ready.lock().expect("the list").retain(|it| *it != leaves.address);
            // Every shop knows, and what it had begun is answered.
            let before = turns();
            wait_until("every shop", || {
                turns().iter().zip(&before).all(|(now, before)| *now > before + 1)
            });
            leaves.stop();
        }
        let before = turns();
        wait_until("the new servers alone", || {
            turns().iter().zip(&before).all(|(now, before)| *now > before + 5)
        });
    });
    let all: usize = turns().iter().sum();
    eprintln!("rolling update: {all} coupons issued and redeemed, none failed");
    new.into_iter().for_each(Server::stop);
}

/// Another app machine of the same cluster, with the keys and the archive of the first.
fn machine_beside(data: &Data) -> Data {
    let other = Data::new();
    fs::create_dir_all(other.path()).expect("a folder");
    for name in ["keys", "cold"] {
        symlink(data.path().join(name), other.path().join(name)).expect("a link");
    }
    fs::copy(data.folder().join("couponry.toml"), other.folder().join("couponry.toml"))
        .expect("couponry.toml");
    other
}

/// Applies the schema to a keyspace as an earlier release would have left it: first without a field of
/// a type, then without a table and a column of this one.
fn upgraded(data: &Data, addresses: &str) {
    let earlier = Keyspace::before_it_is_made(addresses);
    // An earlier run may have left it.
    earlier.done("DROP KEYSPACE IF EXISTS verify_acme");
    earlier.make_anew("verify");
    // A field of a type cannot be dropped, so the type is made without it.
    earlier.done(
        "CREATE TYPE verify.event (kind text, at timestamp, actor text, operation uuid, \
         user_id text, reference text, reason text, expires_at timestamp)",
    );
    let made = data.run(&["schema", "apply"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.ends_with("\nadded event.time_zone\nadded event.worth\n"), "{made:?}");
    earlier.done("ALTER TABLE verify.partition_plan DROP emptied");
    let refused = data.run(&["verify"]);
    let why = "verify has no partition_plan.emptied: run `couponry schema apply";
    assert!(refused.code == Some(1) && refused.stderr.contains(why), "{refused:?}");
    earlier.done("DROP TABLE verify.key_in_use");
    let upgraded = data.run(&["schema", "apply"]);
    let wanted = "made key_in_use\nadded partition_plan.emptied\n";
    assert_eq!((upgraded.code, upgraded.stdout.as_str()), (Some(0), wanted), "{upgraded:?}");
}
