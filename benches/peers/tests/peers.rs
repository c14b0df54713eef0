//! Every peer keeps its promises over HTTP: a peer that issues more than the stock would be no
//! measure.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use loadtest::stock::{self, UserOrder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testengines::Engine;

/// A peer that runs until this is dropped.
struct Peer {
    process: Child,
    address: String,
}

impl Peer {
    fn start(arguments: &[&str]) -> Peer {
        let mut process = Command::new(env!("CARGO_BIN_EXE_peer"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("peer starts");
        let mut line = String::new();
        let told = process.stdout.take().expect("it has an output");
        BufReader::new(told).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{arguments:?} said {line:?}")).to_owned();
        Peer { process, address }
    }

    /// Status and body of the answer.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: peer\r\nconnection: close\r\n\
             content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        (status.expect("a status"), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, "application/json", &body.to_string())
    }

    fn redeem(&self, number: u64, order: &str) -> (u16, Value) {
        let path = format!("/v1/coupons/{}/redeem", stock::code(number));
        self.post(&path, json!({"user_id": UserOrder::Scattered.user(number), "order_ref": order}))
    }

    /// Ends it as its parent does, and waits.
    fn end(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it runs");
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|status| status.is_none()) {
            self.end();
        }
    }
}

/// The promises of every store.
fn keeps_its_promises(arguments: &[&str]) {
    let mut peer = Peer::start(arguments);
    assert_eq!(peer.ask("GET", "/healthz", "", "").0, 200);
    first_come_first_served(&peer);
    import_and_redeem(&peer);
    assert_eq!(peer.end(), Some(0), "{arguments:?}");
}

/// A stock of 100, and 200 users with two requests each, at the same time.
fn first_come_first_served(peer: &Peer) {
    let (status, _) = peer.post("/v1/campaigns", json!({"campaign_id": "rush", "stock": 100}));
    assert_eq!(status, 201);
    let issue = |user: usize| {
        peer.post("/v1/campaigns/rush/issue", json!({"user_id": format!("rush{user}")}))
    };
    let answers: Vec<Vec<(u16, Value)>> = thread::scope(|scope| {
        let askers: Vec<_> =
            (0..200).map(|user| scope.spawn(move || vec![issue(user), issue(user)])).collect();
        askers.into_iter().map(|asker| asker.join().expect("no panic")).collect()
    });
    let served: Vec<_> = answers.iter().filter(|both| both[0].0 == 201).collect();
    assert_eq!(served.len(), 100);
    let codes: HashSet<_> = served.iter().map(|both| both[0].1["code"].to_string()).collect();
    assert_eq!(codes.len(), 100, "no code twice");
    for both in &answers {
        match both[0].0 {
            201 => {
                assert_eq!(both[1].0, 200, "{:?}", both[1]);
                assert_eq!(both[0].1["code"], both[1].1["code"]);
            }
            _ => both.iter().for_each(|(status, problem)| {
                assert_eq!((*status, &problem["code"]), (409, &json!("SOLD_OUT")));
            }),
        }
    }
}

/// A file of 1,000 coupons. 20 orders want one of them at the same time.
fn import_and_redeem(peer: &Peer) {
    peer.post("/v1/campaigns", json!({"campaign_id": "load", "stock": 0}));
    let first = 7_000_000;
    let lines: String =
        (first..first + 1_000).map(|number| UserOrder::Scattered.line(number)).collect();
    let file = stock::HEADER.to_owned() + &lines;
    let path = "/v1/campaigns/load/batches?batch_id=file";
    let (status, batch) = peer.ask("POST", path, "text/csv", &file);
    assert_eq!((status, &batch["imported"]), (201, &json!(1_000)), "{batch}");

    let mut statuses: Vec<(u16, String)> = thread::scope(|scope| {
        let orders: Vec<_> = (0..20)
            .map(|order| scope.spawn(move || (peer.redeem(first, &format!("o{order}")).0, order)))
            .collect();
        let answers = orders.into_iter().map(|order| order.join().expect("no panic"));
        answers.map(|(status, order)| (status, format!("o{order}"))).collect()
    });
    statuses.sort();
    assert_eq!(statuses[0].0, 201);
    assert!(statuses[1..].iter().all(|(status, _)| *status == 409), "{statuses:?}");

    assert_eq!(peer.redeem(first, &statuses[0].1).0, 200, "a replay");
    let (status, problem) = peer.redeem(first, "another");
    assert_eq!((status, &problem["code"]), (409, &json!("ALREADY_REDEEMED")));
    let path = format!("/v1/coupons/{}/redeem", stock::code(first + 1));
    let (status, problem) = peer.post(&path, json!({"user_id": "stranger", "order_ref": "o"}));
    assert_eq!((status, &problem["code"]), (404, &json!("NOT_FOUND")));
    let path = format!("/v1/coupons/{}", stock::code(first));
    let (status, coupon) = peer.ask("GET", &path, "", "");
    assert_eq!((status, &coupon["state"]), (200, &json!("redeemed")));
    assert_eq!(coupon["holder"], json!(UserOrder::Scattered.user(first)));
}

fn may_run(program: &str, places: &[&str]) -> bool {
    let is_there = || places.iter().any(|place| Path::new(place).join(program).exists());
    let find = || is_there().then_some(()).ok_or(format!("{program} is not in {places:?}"));
    Engine::PEERS.found("peers", find).is_some()
}

#[test]
fn constant() {
    let mut peer = Peer::start(&["constant"]);
    let (status, coupon) = peer.ask("GET", "/v1/coupons/ANY", "", "");
    assert_eq!((status, &coupon["state"]), (200, &json!("issued")));
    assert_eq!(peer.redeem(1, "any").0, 201);
    assert_eq!(peer.end(), Some(0));
}

#[test]
fn postgres() {
    if may_run("postgres", &["/usr/lib/postgresql/15/bin", "/usr/local/bin"]) {
        keeps_its_promises(&["postgres", "--issue", "counter", "--coupons", "5000"]);
        keeps_its_promises(&["postgres", "--issue", "pool"]);
    }
}

#[test]
fn redis() {
    if may_run("redis-server", &["/usr/bin", "/usr/local/bin"]) {
        keeps_its_promises(&["redis", "--fsync", "always"]);
        keeps_its_promises(&["redis", "--fsync", "everysec"]);
    }
}
