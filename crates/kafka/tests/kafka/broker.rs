//! The broker: the script `tests/engines/kafka` in the foreground. It ends the node when its input ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/engines/kafka");

/// Exit code of the script without Java, Maven or a source to download from.
const CANNOT: i32 = 69;

/// A running Apache Kafka.
pub(crate) struct Broker {
    address: String,
    script: Mutex<Script>,
}

struct Script {
    process: Child,
    says: BufReader<ChildStdout>,
}

impl Broker {
    /// Starts it. `None`, after a line that says why, if it is not available on this machine.
    pub(crate) fn start() -> Option<Broker> {
        let mut process = Command::new(SCRIPT)
            .arg("run")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script");
        let says = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut script = Script { process, says };
        if let Some(address) = script.line().strip_prefix("ready ") {
            let address = address.to_owned();
            return Some(Broker { address, script: Mutex::new(script) });
        }
        let ended = script.process.wait().expect("its end");
        assert_eq!(ended.code(), Some(CANNOT), "Kafka did not start: {ended}");
        let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
        let is_required = is("COUPONRY_REQUIRE_ENGINES", "1") && !is("COUPONRY_KAFKA", "none");
        assert!(!is_required, "no Kafka on this machine, and COUPONRY_REQUIRE_ENGINES=1");
        eprintln!("NOT RUN: the suite of couponry-kafka needs Apache Kafka");
        None
    }

    /// Its address for clients.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&self) {
        self.tell("kill");
    }

    /// Starts it on its data; returns when it answers.
    pub(crate) fn start_again(&self) {
        self.tell("start");
    }

    fn tell(&self, verb: &str) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let input = script.process.stdin.as_mut().expect("a pipe");
        input.write_all(format!("{verb}\n").as_bytes()).expect("the script runs");
        let line = script.line();
        assert!(line.starts_with("ok "), "{verb}: {line}");
    }
}

impl Script {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Closes its input first.
        let _only_the_wait_could_fail = self.process.wait();
    }
}
