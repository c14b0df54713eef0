//! Webhooks through the binary: the official libraries accept the signatures, and a kill loses nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use testengines::Engine;

use super::client::Client;
use super::data::{Data, PATIENCE, Server};
use super::downloads::{node_modules, python_with};
use super::finished::{campaign, issued, order};

const REQUIREMENTS: &str = include_str!("webhooks/requirements.txt");
const PACKAGE: &str = include_str!("webhooks/package.json");
const LOCK: &str = include_str!("webhooks/package-lock.json");
const IN_PYTHON: &str = include_str!("webhooks/verify.py");
const IN_JAVASCRIPT: &str = include_str!("webhooks/verify.mjs");

/// A process that prints a line for each event. It ends when this is dropped.
pub(super) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    pub(super) fn start(mut command: Command) -> Program {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the receiver starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test may have seen enough.
                let _ = tell.send(line);
            }
        });
        Program { child, lines }
    }

    pub(super) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line of the receiver")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(data: &Data) -> Server {
    data.serve_with(|command| {
        command.arg("--webhook-allow-private");
    })
}

fn redeem(admin: &mut Client, campaign: &str, name: &str) {
    let code = issued(admin, campaign, name);
    admin.post(&format!("/v1/coupons/{code}/redeem"), &order(name, name)).must(201);
}

/// The events that `receiver` prints are those of the service, also while a secret is rotated.
fn accepts(data: &Data, command: Command) {
    let receiver = Program::start(command);
    let url = format!("http://127.0.0.1:{}/", receiver.line());
    let server = serve(data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 10);
    let new = json!({"webhook_id": "w", "url": url, "types": ["coupon.redeemed"], "ordered": true});
    let secret = admin.post("/v1/webhooks", &new).must(201).field("secret");
    fs::write(data.folder().join("secret"), secret).expect("the secret");
    redeem(&mut admin, "c", "first");
    assert_eq!(receiver.line(), "coupon.redeemed first");
    admin.post("/v1/webhooks/w/rotate-secret", &json!({})).must(200);
    redeem(&mut admin, "c", "second");
    assert_eq!(receiver.line(), "coupon.redeemed second", "signed with both secrets");
    server.stop();
}

#[test]
fn the_library_for_python_accepts_signatures() {
    let find = || python_with("python-webhooks", REQUIREMENTS);
    let Some(python) = Engine::CLIENTS.found("libraries for webhooks", find) else { return };
    let data = Data::new();
    let script = data.folder().join("verify.py");
    fs::write(&script, IN_PYTHON).expect("the receiver");
    let mut command = Command::new(python);
    command.arg(script).arg(data.folder().join("secret"));
    accepts(&data, command);
}

#[test]
fn the_library_for_javascript_accepts_signatures() {
    let find = || node_modules("javascript-webhooks", PACKAGE, LOCK);
    let Some(modules) = Engine::CLIENTS.found("libraries for webhooks", find) else { return };
    let data = Data::new();
    symlink(modules, data.folder().join("node_modules")).expect("a link to the packages");
    let script = data.folder().join("verify.mjs");
    fs::write(&script, IN_JAVASCRIPT).expect("the receiver");
    let mut command = Command::new("node");
    command.arg(script).arg(data.folder().join("secret"));
    accepts(&data, command);
}

/// A service that is killed at once after its last answer posts each event after the next start.
#[test]
fn a_kill_loses_no_event() {
    const ROUNDS: usize = 4;
    const REDEEMED: usize = 10;
    let data = Data::new();
    let listener = Program::start(data.command(["webhook", "listen", "--on", "127.0.0.1:0"]));
    let listening: Value = serde_json::from_str(&listener.line()).expect("its address");
    let mut wanted = BTreeSet::new();
    for round in 0..ROUNDS {
        let server = serve(&data);
        let mut admin = server.client(&data.token("admin", "root"));
        if round == 0 {
            campaign(&mut admin, "c", ROUNDS * REDEEMED);
            let new = json!({
                "webhook_id": "w", "url": listening["url"], "types": ["coupon.redeemed"],
            });
            admin.post("/v1/webhooks", &new).must(201);
        }
        for nth in 0..REDEEMED {
            let name = format!("{round}-{nth}");
            redeem(&mut admin, "c", &name);
            wanted.insert(name);
        }
        server.kill();
    }
    let server = serve(&data);
    let (mut arrived, mut names) = (BTreeSet::new(), BTreeSet::new());
    while arrived != wanted {
        let line: Value = serde_json::from_str(&listener.line()).expect("JSON");
        let coupon = &line["body"]["data"]["coupon"];
        arrived.insert(coupon["order_ref"].as_str().expect("an order").to_owned());
        names.insert(line["webhook_id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(names.len(), wanted.len(), "an event that comes again has the same id");
    server.stop();
}
