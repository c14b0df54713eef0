//! A process of `couponry-kafka`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::broker::Broker;
use crate::service::Service;
use crate::world::{tail, wait_until};

/// The binary under test.
const BRIDGE: &str = env!("CARGO_BIN_EXE_couponry-kafka");

/// A process that can be killed and started again with the same arguments.
pub(crate) struct Bridge {
    arguments: Vec<String>,
    child: Option<Child>,
    folder: TempDir,
}

impl Bridge {
    /// Starts `couponry-kafka COMMAND --topic TOPIC` for this service and this broker.
    pub(crate) fn start(
        broker: &Broker,
        service: &Service,
        command: &str,
        topic: &str,
        more: &[&str],
    ) -> Bridge {
        let mut arguments: Vec<String> = vec![command.to_owned()];
        let token_file = service.token_file().display().to_string();
        for (name, value) in [
            ("--url", service.url().as_str()),
            ("--token-file", &token_file),
            ("--brokers", broker.address()),
            ("--topic", topic),
        ] {
            arguments.extend([name.to_owned(), value.to_owned()]);
        }
        if command == "consume" {
            // A member that was killed is gone soon.
            arguments.extend(["--property".to_owned(), "session.timeout.ms=3000".to_owned()]);
            arguments.extend(["--property".to_owned(), "heartbeat.interval.ms=500".to_owned()]);
        }
        arguments.extend(more.iter().map(|it| (*it).to_owned()));
        let folder = TempDir::with_prefix("couponry-kafka-log-").expect("a folder");
        let mut bridge = Bridge { arguments, child: None, folder };
        bridge.start_again();
        bridge
    }

    /// Starts it after [`Bridge::kill`].
    pub(crate) fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log");
        let mut command = Command::new(BRIDGE);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"COUPONRY_") {
                command.env_remove(name);
            }
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the binary"));
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let ended = child.try_wait().expect("its state");
        assert!(ended.is_none(), "it has ended by itself: {ended:?}: {}", tail(&self.log()));
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let mut status = None;
        wait_until("the end of couponry-kafka", || {
            status = child.try_wait().expect("its state");
            status.is_some()
        });
        status.expect("waited for")
    }

    /// Sends SIGTERM, and checks that it ends with success.
    pub(crate) fn stop(mut self) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), Signal::TERM).expect("a signal");
        let status = self.ended();
        assert!(status.success(), "it ends with {status}: {}", tail(&self.log()));
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _fails_if_it_has_ended = child.kill();
            let _the_same = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of couponry-kafka {:?}\n{}", self.arguments, tail(&self.log()));
        }
    }
}

/// Runs it to its end: exit code and standard error.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let ran =
        Command::new(BRIDGE).args(arguments).stdin(Stdio::null()).output().expect("the binary");
    (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
}
