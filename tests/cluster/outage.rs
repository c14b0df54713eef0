//! Nodes of the cluster are killed, frozen and restarted, without a restart of `serve`.
//!
//! One node of three down: calls fail only for a short time at first. Two down: every call gets an
//! error soon. One of them back: all calls work again, and every acknowledged change is stored.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, Client, Dice, Lost, at_once};
use super::data::{PATIENCE, wait_until};
use super::faults::{Fleet, What};
use super::fleet::{Nodes, on_three_nodes};
use super::late::Late;
use super::services::{Caller, Hot, Services, until_good};

const CLIENTS: usize = 8;

/// Measured turns of each client. A turn is an issue, a redeem and a read.
const TURNS: usize = 25;

/// How long calls may fail after a node is killed: twice the time to give up its connections.
const FIRST_WHILE: Duration = Duration::from_secs(10);

/// Longest wait for an error while there is no quorum.
const NO_LONGER: Duration = Duration::from_secs(15);

/// Twice the time limit of `/readyz`, for a busy machine.
const READY_MAX: Duration = Duration::from_secs(4);

/// Longest time from the return of a node until every call is answered, on a busy machine.
const RECOVERED_WITHIN: Duration = PATIENCE;

/// Most tries of something that fails if a node or a service stalls.
const TRIES_MAX: usize = 3;

/// Pause after a failed call.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Coupons that are issued before an outage and redeemed in it.
const KEPT: usize = CLIENTS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Issue,
    Redeem,
    Read,
}

impl Call {
    const ALL: [Call; 3] = [Call::Issue, Call::Redeem, Call::Read];
}

/// One try of a call.
#[derive(Debug)]
struct Made {
    call: Call,
    begun: Instant,
    took: Duration,
    /// Why it failed.
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    word: String,
    /// A 503 with Retry-After.
    is_told: bool,
}

/// A coupon that an answer gave to a user.
#[derive(Clone, Debug)]
struct Given {
    user: String,
    code: String,
}

impl Given {
    fn redeem(&self) -> (String, Value) {
        let order = format!("order-of-{}", self.user);
        let path = format!("/v1/coupons/{}/redeem", self.code);
        (path, json!({"user_id": self.user, "order_ref": order}))
    }

    fn read(&self) -> String {
        format!("/v1/coupons/{}", self.code)
    }
}

fn issue(user: &str) -> (&'static str, Value) {
    ("/v1/campaigns/outage/issue", json!({"user_id": user}))
}

/// A client, and the results of its calls.
struct Worker {
    caller: Caller,
    dice: Dice,
    made: Vec<Made>,
    given: Vec<Given>,
}

impl Worker {
    /// Repeats a call until it is answered.
    fn ask(&mut self, call: Call, path: &str, body: Option<&Value>) -> Answer {
        let first = Instant::now();
        loop {
            let through = self.dice.below(2) as usize;
            let begun = Instant::now();
            let heard = self.caller.call(through, path, body);
            let took = begun.elapsed();
            let (answer, failed) = judged(heard);
            let is_answered = failed.is_none();
            self.made.push(Made { call, begun, took, failed });
            if let Some(answer) = answer.filter(|_| is_answered) {
                return answer;
            }
            assert!(first.elapsed() < PATIENCE, "no answer to {call:?}: {:?}", self.made.last());
            std::thread::sleep(TRY_AGAIN);
        }
    }

    fn turn(&mut self, user: String) {
        let (path, body) = issue(&user);
        let code = self.ask(Call::Issue, path, Some(&body)).field("code");
        let given = Given { user, code };
        let (path, body) = given.redeem();
        self.ask(Call::Redeem, &path, Some(&body));
        let read = self.ask(Call::Read, &given.read(), None).json();
        assert_eq!(read["state"], "redeemed", "an acknowledged issue is read: {given:?}: {read}");
        self.given.push(given);
    }
}

/// # Panics
/// An answer that is neither good nor a 503.
fn judged(heard: Result<Answer, Lost>) -> (Option<Answer>, Option<Failed>) {
    match heard {
        Err(lost) => (None, Some(Failed { word: lost.to_string(), is_told: false })),
        Ok(answer) if answer.is_good() => (Some(answer), None),
        Ok(answer) => {
            assert_eq!(answer.status, 503, "{}", answer.text());
            let is_told = answer.header("retry-after").is_some();
            (None, Some(Failed { word: answer.problem(), is_told }))
        }
    }
}

/// The run, without the nodes.
struct Scene {
    services: Services,
    /// Users so far.
    users: AtomicUsize,
    given: Vec<Given>,
}

impl Scene {
    fn user(&self) -> String {
        format!("u{}", self.users.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs all clients until each made `TURNS` turns after `from`, once it is set and over.
    fn load(&self, from: &OnceLock<Instant>) -> Vec<Worker> {
        let begun = Instant::now();
        at_once(CLIENTS, |nth| {
            let mut worker = Worker {
                caller: self.services.caller(),
                dice: Dice(nth as u64),
                made: Vec::new(),
                given: Vec::new(),
            };
            let mut measured = 0;
            while measured < TURNS {
                let counts = from.get().is_some_and(|from| Instant::now() >= *from);
                worker.turn(self.user());
                measured += usize::from(counts);
                assert!(begun.elapsed() < 4 * PATIENCE, "the load does not end");
            }
            worker
        })
    }

    /// Runs all clients, and checks that no call fails. If some do, it tries again, because nodes
    /// and services may stall. Returns the calls, and when they began.
    fn load_without_failures(&mut self, name: &str) -> (Vec<Made>, Instant) {
        for nth in 1.. {
            let from = Instant::now();
            let workers = self.load(&OnceLock::from(from));
            let made = self.keep(workers);
            let failed = made.iter().filter(|it| it.failed.is_some()).count();
            if failed == 0 {
                return (made, from);
            }
            let first = made.iter().find(|it| it.failed.is_some());
            println!("{name}: try {nth}: {failed} calls failed, the first: {first:?}");
            assert!(nth < TRIES_MAX, "{name}: {failed} calls failed, the first: {first:?}");
        }
        unreachable!("the last try returns")
    }

    fn keep(&mut self, workers: Vec<Worker>) -> Vec<Made> {
        let (mut all, mut made) = (Vec::new(), Vec::new());
        for worker in workers {
            all.extend(worker.given);
            made.extend(worker.made);
        }
        self.given.extend(all);
        made
    }

    /// Both services, in turn.
    fn each(&self) -> impl Iterator<Item = Client> + '_ {
        (0..self.services.addresses.count()).map(|nth| self.services.client(nth))
    }
}

/// The median and the 99th percentile, of calls begun at `from` or later.
fn spans(made: &[Made], call: Call, from: Instant) -> (Duration, Duration) {
    let fits = |it: &&Made| it.call == call && it.begun >= from && it.failed.is_none();
    let mut took: Vec<Duration> = made.iter().filter(fits).map(|it| it.took).collect();
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

fn print_spans(name: &str, made: &[Made], from: Instant, than: Option<(&[Made], Instant)>) {
    for call in Call::ALL {
        let (median, worst) = spans(made, call, from);
        let ratio = than.map(|(made, from)| {
            let before = spans(made, call, from).0;
            format!(", {:.2} times the median before", median.as_secs_f64() / before.as_secs_f64())
        });
        println!(
            "{name}: {call:?}: median {median:.1?}, p99 {worst:.1?}{}",
            ratio.unwrap_or_default()
        );
    }
}

/// Checks that calls fail only after `at`, and only with a 503 and Retry-After. Returns whether
/// they fail only for a short time.
fn goes_on(name: &str, made: &[Made], at: Instant) -> bool {
    let failures: Vec<&Made> = made.iter().filter(|it| it.failed.is_some()).collect();
    let since = |it: &Made| it.begun.saturating_duration_since(at);
    let last = failures.iter().map(|it| since(it) + it.took).max().unwrap_or_default();
    let slowest = made.iter().filter(|it| it.begun + it.took >= at).map(|it| it.took).max();
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for failed in failures.iter().filter_map(|it| it.failed.as_ref()) {
        *words.entry(&failed.word).or_default() += 1;
    }
    println!(
        "{name}: {} calls, {} failed {words:?}, the last {last:.1?} after it; slowest {:.1?}",
        made.len(),
        failures.len(),
        slowest.unwrap_or_default()
    );
    for it in &failures {
        let is_told = it.failed.as_ref().is_some_and(|failed| failed.is_told);
        assert!(is_told, "{name}: no 503 with Retry-After: {it:?}");
        assert!(it.begun + it.took >= at, "{name}: before the fault: {it:?}");
    }
    failures.iter().all(|it| since(it) < FIRST_WHILE)
}

/// One node is killed or frozen under load, and comes back.
fn one_node(
    scene: &mut Scene,
    nodes: &mut Nodes,
    what: What,
    nth: usize,
    before: (&[Made], Instant),
) {
    let name = format!("one node, {what:?}");
    let from = OnceLock::new();
    let (at, workers) = std::thread::scope(|scope| {
        let load = scope.spawn(|| scene.load(&from));
        let at = Instant::now();
        nodes.begin(what, nth);
        from.set(at + FIRST_WHILE).expect("it is set once");
        (at, load.join().expect("the load"))
    });
    for mut client in scene.each() {
        wait_until("a service that is ready", || client.get("/readyz").json()["writable"] == true);
    }
    let made = scene.keep(workers);
    if !goes_on(&name, &made, at) {
        // Another node may have stalled. Without that, nothing fails any more.
        scene.load_without_failures(&name);
    }
    print_spans(&name, &made, at + FIRST_WHILE, Some(before));
    nodes.end(what, nth);
}

/// Calls until an answer comes in time, because the service may stall. Returns how long that took.
fn soon(limit: Duration, mut call: impl FnMut() -> String) -> Duration {
    for nth in 1.. {
        let begun = Instant::now();
        let word = call();
        let took = begun.elapsed();
        if took < limit {
            return took;
        }
        assert!(nth < TRIES_MAX, "{word} after {took:?}");
    }
    unreachable!("the last try returns")
}

/// Without a quorum every call gets an error soon.
fn told_that_nothing_goes(scene: &Scene, kept: &[Given]) {
    let longest = at_once(CLIENTS, |nth| {
        let mut client = scene.services.client(nth % 2);
        let (issue, taker) = issue(&format!("in-vain-{nth}"));
        let (redeem, order) = kept[nth].redeem();
        let calls = [
            (kept[nth].read(), None),
            (issue.to_owned(), Some(&taker)),
            (redeem, Some(&order)),
            (kept[nth].read(), None),
        ];
        let took = calls.map(|(path, body)| {
            soon(NO_LONGER, || {
                let method = if body.is_some() { "POST" } else { "GET" };
                let answer = client.try_call(method, &path, body).expect("an answer");
                let word = answer.problem();
                let may =
                    word == "STORE_UNAVAILABLE" || body.is_some() && word == "OUTCOME_UNKNOWN";
                assert!(answer.status == 503 && may, "{method} {path}: {}", answer.text());
                assert!(answer.header("retry-after").is_some(), "{method} {path}: no Retry-After");
                word
            })
        });
        took.into_iter().max().unwrap_or_default()
    });
    println!("two nodes down: told so after {:.1?} at most", longest.iter().max().expect("one"));
    for mut client in scene.each() {
        let mut reason = String::new();
        let took = soon(READY_MAX, || {
            let ready = client.get("/readyz").must(503).json();
            assert_eq!((&ready["ready"], &ready["writable"]), (&json!(false), &json!(false)));
            reason = ready["reason"].as_str().expect("why not").to_owned();
            reason.clone()
        });
        println!("two nodes down: readyz after {took:.1?}: {reason}");
        assert!(reason.contains("store"), "{reason}");
        client.get("/healthz").must(200);
    }
}

/// Waits until both services answer everything. Returns how long that took.
fn recovered(scene: &Scene, known: &Given) -> Duration {
    let begun = Instant::now();
    for nth in 0..scene.services.addresses.count() {
        let mut client = scene.services.client(nth);
        let (path, body) = issue(&format!("first-again-{nth}"));
        loop {
            let ready = client.get("/readyz").status;
            let read = client.get(&known.read()).status;
            let written = client.post(path, &body);
            if (ready, read, written.is_good()) == (200, 200, true) {
                break;
            }
            let waited = begun.elapsed();
            assert!(
                waited < RECOVERED_WITHIN,
                "after {waited:?}: readyz {ready}, read {read}, issue {}",
                written.text()
            );
            std::thread::sleep(TRY_AGAIN);
        }
    }
    begun.elapsed()
}

/// Every acknowledged change is stored, and a repeated request has the same answer.
fn acknowledged_is_there(scene: &Scene) {
    let next = AtomicUsize::new(0);
    let every = scene.given.len().div_ceil(400);
    at_once(CLIENTS, |_| {
        let mut caller = scene.services.caller();
        loop {
            let nth = next.fetch_add(every, Ordering::Relaxed);
            let Some(given) = scene.given.get(nth) else { break };
            let mut answer = |path: &str, body: Option<&Value>| {
                until_good(caller.client(nth / every % 2), path, body).must(200)
            };
            let read = answer(&given.read(), None).json();
            assert_eq!((&read["state"], &read["holder"]), (&json!("redeemed"), &json!(given.user)));
            let events = read["events"].as_array().map(Vec::len);
            assert_eq!(events, Some(2), "issued once, redeemed once: {read}");
            let (path, body) = given.redeem();
            assert_eq!(answer(&path, Some(&body)).field("code"), given.code, "a replay");
        }
    });
    println!("{} coupons were acknowledged, one of {every} was read", scene.given.len());
}

/// A service that is started before the cluster waits for it, and works afterwards.
fn started_before_the_cluster(scene: &Scene, nodes: &mut Nodes, running: &[usize], first: &str) {
    running.iter().for_each(|nth| nodes.kill(*nth));
    let late = Late::start(&scene.services);
    wait_until("two lines about the cluster", || late.waits().len() >= 2);
    for line in late.waits() {
        assert!(line.contains(first), "it names the cluster {first}: {line}");
    }
    println!("before the cluster: {}", late.waits()[1]);
    assert_eq!(late.address(), None, "it listens although there is no cluster");
    running.iter().for_each(|nth| nodes.start(*nth));
    let begun = Instant::now();
    wait_until("the address of the late one", || late.address().is_some());
    println!("before the cluster: it listens {:.1?} after the cluster answers", begun.elapsed());
    let mut client = Client::new(late.address().expect("it listens"), &scene.services.token);
    until_good(&mut client, "/readyz", None);
    let given = scene.given.last().expect("one was given");
    assert_eq!(until_good(&mut client, &given.read(), None).field("state"), "redeemed");
    let (path, body) = issue("of-the-late-one");
    until_good(&mut client, path, Some(&body));
}

#[test]
fn nodes_go_and_come_back() {
    if testcluster::may_take_minutes("nodes go and come back") {
        on_three_nodes(they_go_and_come_back);
    }
}

fn they_go_and_come_back(nodes: &mut Nodes) {
    let hot = Hot::Cql(format!("cql://{}/outage", nodes.0.addresses()));
    let first = nodes.0.addresses().split(',').next().expect("an address").to_owned();
    let services = Services::start(hot, 2);
    let mut scene = Scene { services, users: AtomicUsize::new(0), given: Vec::new() };
    let campaign = json!({"campaign_id": "outage", "stock": 1_000_000, "expires_on": "2031-12-31"});
    until_good(&mut scene.services.client(0), "/v1/campaigns", Some(&campaign));

    let whole = Instant::now();
    // Statements that both services prepare once are not measured.
    scene.load(&OnceLock::from(whole)).clear();
    let (before, from) = scene.load_without_failures("before all faults");
    print_spans("all nodes", &before, from, None);

    one_node(&mut scene, nodes, What::Kill, 0, (&before, from));
    one_node(&mut scene, nodes, What::Freeze, 1, (&before, from));

    let mut client = scene.services.client(0);
    let kept: Vec<Given> = (0..KEPT)
        .map(|nth| {
            let user = format!("kept-{nth}");
            let (path, body) = issue(&user);
            let code = until_good(&mut client, path, Some(&body)).field("code");
            Given { user, code }
        })
        .collect();
    nodes.kill(0);
    nodes.kill(2);
    told_that_nothing_goes(&scene, &kept);
    let returned = Instant::now();
    nodes.start(2);
    println!("one returns: it answers {:.1?} after its start", returned.elapsed());
    println!("one returns: all calls work {:.1?} later", recovered(&scene, &kept[0]));
    scene.load_without_failures("one returned");
    for (nth, given) in kept.iter().enumerate() {
        let (path, body) = given.redeem();
        until_good(&mut scene.services.client(nth % 2), &path, Some(&body));
        scene.given.push(given.clone());
    }
    acknowledged_is_there(&scene);

    started_before_the_cluster(&scene, nodes, &[1, 2], &first);
    println!("all nodes were down: all calls work {:.1?} later", recovered(&scene, &kept[0]));
    println!("the scenario took {:.1?}", whole.elapsed());
    scene.services.stop();
}
