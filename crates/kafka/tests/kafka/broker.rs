//! The broker: the script `tests/engines/kafka` in the foreground. It ends the node when its input ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use testengines::{Engine, this_suite};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/engines/kafka");

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
    /// Starts it. `None`, after a line that says so, if nobody asks for it.
    pub(crate) fn start() -> Option<Broker> {
        let suite = this_suite();
        if !Engine::KAFKA.is_asked_for(&suite) {
            return None;
        }
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
        Engine::KAFKA.is_missing(&suite, &format!("{SCRIPT} ended with {ended}"))
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
