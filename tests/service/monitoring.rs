//! The rules and dashboards in `deploy`: they name metrics that there are and pages that say what to do, each alert
//! fires when it should, and each panel has something to show beside a service that is used.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testengines::{CC, Engine, may_run};

use super::data::{Data, Server, wait_until};
use super::disk::disk;
use super::docs::anchors;
use super::engine::{Running, Script, free_port, root};
use super::finished::{campaign, compact, day_that_is_over, import, issued, left_over, order};
use super::shim::{Clock, Shim};

const SUITE: &str = "rules and dashboards with Prometheus";

/// Where nobody takes a post.
const NOBODY: &str = "http://127.0.0.1:9/";

/// How often Prometheus asks in this test.
const SCRAPED_EVERY: &str = "1s";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rules() -> String {
    read("deploy/prometheus/couponry.rules.yml")
}

/// Dashboard, panel and expression of each query.
fn queries() -> Vec<(&'static str, String, String)> {
    let mut queries = Vec::new();
    for name in ["shop", "operator"] {
        let board: Value =
            serde_json::from_str(&read(&format!("deploy/grafana/{name}.json"))).expect("JSON");
        for panel in board["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().expect("a title");
            for target in panel["targets"].as_array().expect("targets") {
                let query = target["expr"].as_str().expect("a query");
                queries.push((name, title.to_owned(), query.to_owned()));
            }
        }
    }
    queries
}

/// The names of metrics in a text, without what Prometheus adds to a histogram.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("couponry_"));
    let bare = |word: &'_ str| {
        ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end).map(str::len))
    };
    words.map(|word| bare(word).map_or(word, |len| &word[..len])).collect()
}

#[test]
fn they_name_what_there_is() {
    let page = read("docs/operations.md");
    let mut all = rules();
    queries().iter().for_each(|(_, _, query)| all.push_str(query));
    let names = metrics_in(&all);
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}")), "{name} is not in docs/operations.md");
    }
    let runbooks: Vec<String> = rules()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: ").map(str::to_owned))
        .collect();
    assert_eq!(runbooks.len(), rules().matches("- alert: ").count());
    for runbook in runbooks {
        let (path, anchor) = runbook.split_once('#').unwrap_or((&runbook, ""));
        let found = read(path);
        assert!(anchor.is_empty() || anchors(&found).any(|it| it == anchor), "{runbook}");
    }
}

const PROMETHEUS: Script = Script { name: "prometheus", engine: Engine::PROMETHEUS };

#[test]
fn each_alert_fires() {
    let data = Data::new();
    if !PROMETHEUS.is_there(SUITE) {
        return;
    }
    for args in [
        ["promtool", "check", "rules", "couponry.rules.yml"],
        ["promtool", "test", "rules", "couponry.rules.test.yml"],
    ] {
        let ran = PROMETHEUS.ran(&data, &root().join("deploy/prometheus"), &args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
    let tests = read("deploy/prometheus/couponry.rules.test.yml");
    for alert in rules().lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("- name: {alert}\n")), "{alert} has no test");
    }
}

/// Prometheus, asking some servers, until it is dropped.
struct Prometheus<'a> {
    data: &'a Data,
    port: u16,
    _running: Running,
}

impl Prometheus<'_> {
    fn beside<'a>(data: &'a Data, servers: &[&Server]) -> Prometheus<'a> {
        let folder = data.folder().join("prometheus");
        fs::create_dir(&folder).expect("a folder");
        let targets: Vec<String> = servers.iter().map(|it| format!("'{}'", it.address)).collect();
        let config = format!(
            "global: {{scrape_interval: {SCRAPED_EVERY}, evaluation_interval: {SCRAPED_EVERY}}}\n\
             rule_files: [{}]\n\
             scrape_configs: [{{job_name: couponry, static_configs: [{{targets: [{}]}}]}}]\n",
            root().join("deploy/prometheus/couponry.rules.yml").display(),
            targets.join(", ")
        );
        fs::write(folder.join("prometheus.yml"), config).expect("its settings");
        let port = free_port();
        let running = PROMETHEUS.run(&folder, port);
        Prometheus { data, port, _running: running }
    }

    /// Whether a query has an answer.
    fn has_rows(&self, query: &str) -> bool {
        // As Grafana fills them in.
        let query = query.replace("$__rate_interval", "10s").replace("$instance", ".*");
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--data-urlencode", &format!("query={query}"), &url]);
        let answer = self.data.run_command(curl);
        let answer = serde_json::from_str::<Value>(&answer.stdout).unwrap_or_default();
        answer["data"]["result"].as_array().is_some_and(|rows| !rows.is_empty())
    }
}

#[test]
fn each_panel_shows_something() {
    let data = Data::new();
    if !PROMETHEUS.is_there(SUITE) {
        return;
    }
    let server = data.serve_with(|command| {
        command.args(["--webhook-allow-private"]);
    });
    let mut admin = server.client(&data.token("admin", "root"));
    let prometheus = Prometheus::beside(&data, &[&server]);
    let terms = json!({
        "campaign_id": "spring", "stock": 100_000, "expires_on": "2031-12-31", "cancel_days": 30,
    });
    admin.post("/v1/campaigns", &terms).must(201);
    // A receiver that is not there: a delivery waits.
    let webhook = json!({"webhook_id": "shop", "url": NOBODY});
    admin.post("/v1/webhooks", &webhook).must(201);
    compact(&data, &[]);
    let mut nth = 0;
    // One of each request in every look, so that each counter grows while Prometheus looks.
    let mut use_all = || {
        nth += 1;
        let (user, name) = (format!("u{nth}"), format!("o{nth}"));
        let code = issued(&mut admin, "spring", &user);
        let at = |what: &str| format!("/v1/coupons/{code}/{what}");
        admin.post(&at("hold"), &order(&user, &name)).must(201);
        admin.post(&at("release"), &json!({"order_ref": name})).must(200);
        admin.post(&at("redeem"), &order(&user, &name)).must(201);
        admin.post(&at("redeem"), &order(&user, &name)).must(200);
        admin.post(&at("redeem"), &order("other", "other"));
        admin.post(&at("cancel-redemption"), &json!({"order_ref": name})).must(200);
        admin.post(&at("issue"), &json!({"user_id": user})).must(200);
        admin.get("/v1/events?after=newest&reader=panel").must(200);
    };
    wait_until("Prometheus", || {
        use_all();
        prometheus.has_rows("rate(couponry_hot_commits_total[10s])")
    });
    for (board, panel, query) in queries() {
        let name = format!("{board}, {panel}: {query}");
        wait_until(&name, || {
            use_all();
            prometheus.has_rows(&query)
        });
    }
    // The rules are evaluated, too, and their answers are no errors.
    for record in ["couponry:requests:rate5m", "couponry:latency_seconds:p99_5m"] {
        wait_until(record, || prometheus.has_rows(record));
    }
    drop(prometheus);
    server.stop();
}

/// The condition of an alert, without the time for which it has to hold.
fn condition(alert: &str) -> String {
    let rules = rules();
    let rule = rules.split("- alert: ").find(|it| it.lines().next() == Some(alert));
    let rule = rule.unwrap_or_else(|| panic!("no alert {alert}"));
    let expr = rule.split_once("expr: ").expect("a condition").1;
    let ends =
        ["\n        for:", "\n        labels:"].iter().filter_map(|end| expr.find(end)).min();
    expr[..ends.expect("an end")].trim_start_matches('|').trim().to_owned()
}

/// What operators fear, done to real services: the condition of the alert becomes true, and it was not before.
#[test]
fn alerts_of_services_in_trouble() {
    let (data, ahead) = (Data::new(), Data::new());
    if !PROMETHEUS.is_there(SUITE) || !may_run(SUITE, CC, Shim::can_be_built()) {
        return;
    }
    let Some(disk) = disk(400) else { return };
    let on_disk = Data::within(&disk.at);
    let full = on_disk.serve();
    let server = data.serve_with(|command| {
        command.args(["--webhook-allow-private", "--compact-every", "0"]);
    });
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "spring", 100);
    import(&data, "spring", "old", &left_over("OLD-0001", &day_that_is_over(0)));
    compact(&data, &[]);
    // Its clock was right while somebody read the events.
    let before = ahead.serve();
    let mut reader = before.client(&ahead.token("admin", "root"));
    campaign(&mut reader, "spring", 1);
    reader.get("/v1/events?reader=warehouse").must(200);
    before.stop();
    let years = 3 * 365 * 86_400;
    let clock = Clock::build(ahead.folder());
    let in_future = ahead.serve_with(|command| clock.load_into(command, years));

    let prometheus = Prometheus::beside(&data, &[&server, &full, &in_future]);
    wait_until("Prometheus", || prometheus.has_rows("count(up == 1) == 3"));
    let fires = |alert: &str| prometheus.has_rows(&condition(alert));
    for alert in ["CouponryClockNotTrusted", "CouponryTokenKeyOld", "CouponryReaderBehind"] {
        wait_until(alert, || fires(alert));
    }
    let quiet = [
        "CouponryDown",
        "CouponryReadOnly",
        "CouponryArchiveAway",
        "CouponryServerErrors",
        "CouponryCompactionFails",
        "CouponryCompactionLate",
        "CouponryWebhookDown",
        "CouponryGuessing",
    ];
    for alert in quiet {
        assert!(!fires(alert), "{alert}, and nothing has happened");
    }
    // A campaign is nearly sold out.
    campaign(&mut admin, "few", 60);
    (0..59).for_each(|nth| drop(issued(&mut admin, "few", &format!("u{nth}"))));
    // The disk is full.
    disk.ballast(300);
    // A receiver is down.
    admin.post("/v1/webhooks", &json!({"webhook_id": "shop", "url": NOBODY})).must(201);
    issued(&mut admin, "spring", "ann");
    // The archive is away, so a compaction fails and another day becomes late.
    import(&data, "spring", "older", &left_over("OLD-0002", &day_that_is_over(40)));
    fs::rename(data.path().join("cold"), data.folder().join("away")).expect("the archive is away");
    fs::write(data.path().join("cold"), "").expect("something else is in its place");
    let failed = data.run(&["compact"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    // Somebody guesses.
    let mut guesser = server.client(&data.token("user", "mallory"));
    let mut trouble = || {
        admin.get("/v1/coupons/OLD-0001").refused(503, "COLD_UNAVAILABLE");
        (0..30).for_each(|_| drop(guesser.get("/v1/coupons/7K2M-9QXD-4TRB-H0VE")));
    };
    for alert in ["CouponryDiskFillsUp", "CouponryStockLow"].iter().chain(&quiet[1..]) {
        wait_until(alert, || {
            trouble();
            fires(alert)
        });
    }
    full.kill();
    wait_until("CouponryDown", || fires("CouponryDown"));
    drop(prometheus);
    in_future.stop();
    server.stop();
}
