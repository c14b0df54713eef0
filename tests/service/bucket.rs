//! The cold tier in a bucket: on each safe server, on an unsafe one, on one that does not answer,
//! and behind a network that fails requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use testbucket::{BUCKET, Kind, Proxy, Server};

use super::client::Client;
use super::data::{Data, Ran, despite_stalls, wait_until};
use super::finished::{
    Running, all_settled, campaign, compact, count_in, day_that_is_over, doctor_finds_nothing,
    exported, files, import, left_over, redeemed, serve, table,
};

const SEED: u64 = 20_261_120;

/// A look-up in a cold tier that does not answer ends within this time, and test machines are busy.
const LOOK_UP_MAX: Duration = Duration::from_secs(8);
const AWAY_MAX: Duration = Duration::from_secs(14);

/// For a server that is frozen or behind a network that fails: `AWS_TIMEOUT`.
const REQUEST_MAX: Duration = Duration::from_secs(2);

/// moto looks for an object and creates it in two steps, so on a busy machine two writers may win, and couponry then
/// refuses it, rightly. A look at another moment may pass.
#[track_caller]
fn compact_on(kind: Kind, data: &Data, more: &[&str]) -> Ran {
    let arguments: Vec<&str> = ["compact"].into_iter().chain(more.iter().copied()).collect();
    let tries = if kind == Kind::Moto { 5 } else { 1 };
    let mut all = (0..tries).map(|_| data.run(&arguments));
    let ran = all.find(|ran| !ran.stderr.contains("is not safe to write to"));
    let ran = ran.unwrap_or_else(|| panic!("{kind}: not safe to write to {tries} times"));
    assert_eq!(ran.code, Some(0), "{kind}: {ran:?}");
    ran
}

fn address(prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}")
}

/// A number from the environment.
fn chosen(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn on_each_server() {
    for kind in Kind::SAFE {
        let Some(server) = Server::start(kind) else { continue };
        eprintln!("the cold tier is in a bucket of {kind}");
        // The proxy only counts.
        let proxy = Proxy::before(server.address(), SEED);
        let data = Data::on_bucket(&address("archive/of couponry"), proxy.environment());
        let service = serve(&data);
        let mut admin = service.client(&data.token("admin", "root"));
        campaign(&mut admin, "c", 100);
        let lines = |day: usize| -> String {
            let day = day_that_is_over(day);
            (0..300)
                .map(|n| left_over(&format!("LEFT{}{n:06}", day.replace('-', "")), &day))
                .collect()
        };
        let days = 3;
        (0..days).for_each(|day| import(&data, "c", &format!("old-{day}"), &lines(day)));
        let codes = redeemed(&mut admin, "c", "u", 20);
        let before = exported(&data, "before");
        let wallet = |client: &mut Client| {
            client.get("/v1/coupons?user_id=u-3").must(200).json()["data"].clone()
        };
        let was = wallet(&mut admin);

        let requests = proxy.requests();
        let ran = compact_on(kind, &data, &["--closed-now"]);
        assert_eq!(table(&ran).len(), days + 1, "{kind}: {ran:?}");
        eprintln!("{} requests for {} archive commits", proxy.requests() - requests, days + 1);
        let after = exported(&data, "after");
        assert_eq!(all_settled(&after), all_settled(&before), "{kind}");
        assert_eq!(count_in(&after, "cold"), 300 * days + 20, "{kind}");
        for code in &codes {
            let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
            assert_eq!(coupon["tier"], "cold", "{kind}: {coupon}");
        }
        let is = wallet(&mut admin);
        assert_eq!(is[0]["tier"], "cold", "{kind}: {is}");
        assert_eq!(is[0]["redeemed_at"], was[0]["redeemed_at"], "{kind}: {is}");
        doctor_finds_nothing(&data, &kind.to_string());
        let ran = compact_on(kind, &data, &["--closed-now", "--vacuum"]);
        assert!(ran.stdout.starts_with("0 coupons moved to cold"), "{kind}: {ran:?}");
        assert!(ran.stdout.contains("objects of the logs removed"), "{kind}: {ran:?}");
        service.stop();
    }
}

#[test]
fn a_server_on_which_two_writers_win_is_refused() {
    let Some(server) = Server::start(Kind::VersitygwUnsafe) else { return };
    let data = Data::on_bucket(&address("cold"), server.environment());
    let service = serve(&data);
    let mut admin = service.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 10);
    let codes = redeemed(&mut admin, "c", "u", 5);
    for (name, arguments) in
        [("compact", vec!["compact", "--closed-now"]), ("doctor", vec!["doctor"])]
    {
        let ran = data.run(&arguments);
        assert_eq!(ran.code, Some(1), "{name}: {ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for word in ["is not safe to write to", "If-None-Match", "versitygw 1.8"] {
            assert!(said.contains(word), "{name}: no {word:?}: {said}");
        }
    }
    // Nothing was archived, and the service still works.
    assert_eq!(count_in(&exported(&data, "after"), "hot"), codes.len());
    assert_eq!(files(&server.bucket(), ".json"), Vec::<std::path::PathBuf>::new());
    redeemed(&mut admin, "c", "v", 5);
    service.stop();
}

#[test]
fn a_server_that_does_not_answer() {
    despite_stalls(LOOK_UP_MAX, a_server_that_does_not_answer_once);
}

fn a_server_that_does_not_answer_once() {
    let Some(server) = Server::start(Kind::Versitygw) else { return };
    let data = Data::on_bucket(&address("cold"), server.environment());
    let service = serve(&data);
    let mut admin = service.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 1_000);
    let spent = redeemed(&mut admin, "c", "u", 3);
    compact(&data, &["--closed-now"]);
    let archived = format!("/v1/coupons/{}", spent[0]);
    admin.get(&archived).must(200);

    server.freeze();
    let begun = Instant::now();
    let cases = [
        ("a coupon that was archived", archived.as_str(), 503),
        ("a wallet with it", "/v1/coupons?user_id=u-0", 503),
        ("live coupons alone", "/v1/coupons?user_id=u-0&state=issued&expired=false", 200),
        ("a code that does not exist", "/v1/coupons/NOSUCHCODE", 404),
    ];
    for (name, path, want) in cases {
        let asked = Instant::now();
        let answer = admin.try_call("GET", path, None).expect("an answer");
        assert_eq!(answer.status, want, "{name}: {}", answer.text());
        if want == 503 {
            assert_eq!(answer.json()["code"], "COLD_UNAVAILABLE", "{name}: {}", answer.text());
            assert!(answer.header("retry-after").is_some(), "{name}: {}", answer.text());
            let took = asked.elapsed();
            assert!(took < AWAY_MAX, "{name}: {took:?}");
        }
    }
    // Coupons in hot are not affected.
    let asked = Instant::now();
    redeemed(&mut admin, "c", "v", 20);
    assert!(asked.elapsed() < AWAY_MAX, "hot calls took {:?}", asked.elapsed());
    // A service that starts now does not wait for it.
    service.stop();
    let asked = Instant::now();
    let service = serve(&data);
    assert!(asked.elapsed() < AWAY_MAX, "the start took {:?}", asked.elapsed());
    let mut admin = service.client(&data.token("admin", "root"));
    redeemed(&mut admin, "c", "w", 5);
    let answer = admin.try_call("GET", &archived, None).expect("an answer");
    assert_eq!(answer.status, 503, "started while it was away");
    eprintln!("cold was away for {:?}", begun.elapsed());
    server.thaw();
    wait_until("the archive answers again", || admin.get(&archived).status == 200);
    service.stop();
}

/// A process is frozen in the middle of a compaction and resumed, while coupons are read: none is
/// missing, and none is there twice.
#[test]
fn frozen_in_the_middle() {
    despite_stalls(REQUEST_MAX, frozen_in_the_middle_once);
}

fn frozen_in_the_middle_once() {
    const LINES: usize = 3_000;
    let Some(server) = Server::start(Kind::Versitygw) else { return };
    let mut environment = server.environment();
    environment.push(("AWS_TIMEOUT".to_owned(), format!("{}s", REQUEST_MAX.as_secs())));
    let data = Data::on_bucket(&address("cold"), environment);
    let service = serve(&data);
    let mut admin = service.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 100);
    for day in 0..4 {
        let day = day_that_is_over(day);
        let prefix = format!("L{}", day.replace('-', ""));
        let lines: String =
            (0..LINES).map(|n| left_over(&format!("{prefix}{n:06}"), &day)).collect();
        import(&data, "c", &prefix, &lines);
    }
    let before = all_settled(&exported(&data, "before"));
    let frozen = Duration::from_secs(chosen("COUPONRY_TEST_FROZEN_SECONDS", 5) as u64);
    let mut running = Running::start(&data, &["compact"]);
    let log = server.bucket().join("cold/coupons/_delta_log");
    wait_until("the first commits", || files(&log, ".json").len() > 2 || running.has_ended());
    assert!(!running.has_ended(), "it ended too soon");
    running.signal(Signal::STOP);
    // The pause is longer than any request may take.
    std::thread::sleep(frozen);
    assert_eq!(all_settled(&exported(&data, "while it is frozen")), before);
    running.signal(Signal::CONT);
    let ran = running.end();
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    if ran.code == Some(1) {
        compact(&data, &[]);
    }
    let after = exported(&data, "after");
    assert_eq!(all_settled(&after), before);
    assert_eq!(count_in(&after, "cold"), 4 * LINES);
    assert_eq!(orphans(&server.bucket().join("cold")), BTreeSet::new());
    doctor_finds_nothing(&data, "after the frost");
    service.stop();
}

/// Time-outs, errors, cut connections and lost answers for a fifth of all requests, at least one
/// for each 125 coupons. A request without an answer takes two seconds.
///
/// `COUPONRY_TEST_FAULT_COUPONS` for another number of coupons.
#[test]
fn behind_a_network_that_fails() {
    despite_stalls(REQUEST_MAX, behind_a_network_that_fails_once);
}

fn behind_a_network_that_fails_once() {
    const DAYS: usize = 20;
    const RUNS_MAX: usize = 60;
    let coupons = chosen("COUPONRY_TEST_FAULT_COUPONS", 10_000);
    let faults_min = (coupons / 125) as u64;
    let Some(server) = Server::start(Kind::Versitygw) else { return };
    let proxy = Proxy::before(server.address(), SEED);
    let mut environment = proxy.environment();
    // A request without an answer is given up soon.
    environment.push(("AWS_TIMEOUT".to_owned(), format!("{}s", REQUEST_MAX.as_secs())));
    let data = Data::on_bucket(&address("cold"), environment);
    let service = serve(&data);
    let mut admin = service.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 1_000);
    let each = coupons / DAYS;
    for day in 0..DAYS {
        let day = day_that_is_over(day);
        let prefix = format!("L{}", day.replace('-', ""));
        let line = |n: usize| match n % 3 {
            0 => left_over(&format!("{prefix}{n:06}"), &day),
            _ => {
                let times = "2019-02-01T00:00:00Z,2019-03-01T00:00:00Z";
                format!("{prefix}{n:06},2019-01-01,{day},redeemed,u-{n},{times},order-{n}\n")
            }
        };
        import(&data, "c", &prefix, &(0..each).map(line).collect::<String>());
    }
    redeemed(&mut admin, "c", "closed", 40);
    let before = all_settled(&exported(&data, "before"));
    assert_eq!(before.len(), each * DAYS + 40);

    let (mut runs, mut said): (usize, BTreeMap<String, usize>) = (0, BTreeMap::new());
    let faults = || proxy.faults().iter().map(|(_, done)| done).sum::<u64>();
    loop {
        proxy.spoil_one_in(5);
        let ran = data.run(&["compact", "--closed-now"]);
        proxy.spoil_one_in(0);
        runs += 1;
        let is_over = ran.code == Some(0);
        if !is_over {
            assert!(matches!(ran.code, Some(1 | 3)), "{ran:?}");
            assert!(ran.stderr.contains("couponry: ") || ran.code == Some(3), "{ran:?}");
            let why = ran.stderr.lines().last().unwrap_or_default();
            *said.entry(why.chars().take(100).collect()).or_default() += 1;
        }
        // After every run each coupon is there once.
        if runs.is_multiple_of(5) {
            assert_eq!(all_settled(&exported(&data, "in between")), before);
        }
        if is_over && faults() >= faults_min {
            break;
        }
        assert!(runs < RUNS_MAX, "{runs} runs, {} faults: {said:?}", faults());
    }
    eprintln!(
        "{} coupons, {} requests, {:?}: {runs} runs, which failed with {said:?}",
        before.len(),
        proxy.requests(),
        proxy.faults()
    );
    for (fault, done) in proxy.faults() {
        assert!(done > 0, "no request was {fault:?}");
    }
    // A good run sweeps the files of failed runs, once their numbers are taken.
    compact(&data, &["--closed-now"]);
    let after = exported(&data, "after");
    assert_eq!(all_settled(&after), before);
    assert_eq!(count_in(&after, "cold"), after.len());
    assert_eq!(orphans(&server.bucket().join("cold")), BTreeSet::new());
    doctor_finds_nothing(&data, "after the faults");
    service.stop();
}

/// Parquet files of both tables that are in no commit of the logs.
fn orphans(cold: &Path) -> BTreeSet<String> {
    let mut orphans = BTreeSet::new();
    for table in ["coupons", "coupons_by_holder"].map(|name| cold.join(name)) {
        let mut live = BTreeSet::new();
        for entry in files(&table.join("_delta_log"), ".json") {
            for line in fs::read_to_string(&entry).expect("an entry").lines() {
                let action: Value = serde_json::from_str(line).expect("JSON");
                if let Some(path) = action["add"]["path"].as_str() {
                    live.insert(table.join(path));
                }
                // Files that a merge replaced stay for the retention.
            }
        }
        let there = files(&table, ".parquet");
        let lost = there.into_iter().filter(|path| !path.to_string_lossy().contains("_delta_log"));
        let lost = lost.filter(|path| !live.contains(path));
        orphans.extend(lost.map(|path| path.display().to_string()));
    }
    orphans
}
