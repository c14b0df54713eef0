//! A service that is started before the cluster runs.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use super::data::Data;
use super::services::Services;

/// A `serve` that is not ready yet.
pub(super) struct Late {
    child: Child,
    data: Data,
}

impl Late {
    pub(super) fn start(services: &Services) -> Late {
        let (data, arguments) = services.one_more();
        let file = |name: &str| File::create(data.folder().join(name)).expect("a file");
        let child = data
            .command(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::from(file("said")))
            .stderr(Stdio::from(file("log")))
            .spawn()
            .expect("the binary starts");
        Late { child, data }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.data.folder().join(name)).unwrap_or_default()
    }

    /// The log lines that say that it waits for the cluster.
    pub(super) fn waits(&self) -> Vec<String> {
        let is_one = |line: &&str| line.contains("waiting for the cluster");
        self.read("log").lines().filter(is_one).map(str::to_owned).collect()
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        let said = self.read("said");
        let line = said.lines().find_map(|line| line.split_once("http://"));
        line.and_then(|(_, address)| address.trim().parse().ok())
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the late serve\n{}", self.read("log"));
        }
    }
}
