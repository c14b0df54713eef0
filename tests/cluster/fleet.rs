//! The processes under test: each `serve` on a data folder of its own, all with the same keys, and
//! the nodes of their store.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use testcluster::Cluster;

use super::data::{Data, Server};
use super::faults::Fleet;
use super::load::Endpoint;

/// The `--hot` of a run.
#[derive(Clone, Debug)]
pub(super) enum Hot {
    /// One file in one data folder: one service.
    Sqlite,
    /// `cql://ADDRESSES/KEYSPACE`, shared by two services.
    Cql(String),
}

impl Hot {
    fn services(&self) -> usize {
        match self {
            Hot::Sqlite => 1,
            Hot::Cql(_) => 2,
        }
    }
}

/// The services of a run.
pub(super) struct Serves {
    hot: Hot,
    data: Vec<Data>,
    servers: Vec<Option<Server>>,
    pub(super) endpoints: Arc<[Endpoint]>,
    pub(super) token: String,
}

impl Serves {
    /// Starts them. Two on one store open each other's codes and tokens: they share the keys, and
    /// the folder of the cold tier.
    pub(super) fn start(hot: Hot) -> Serves {
        let data: Vec<Data> = (0..hot.services()).map(|_| Data::new()).collect();
        if let Hot::Cql(address) = &hot {
            let made = data[0].run(&["schema", "apply", "--hot", address]);
            assert_eq!(made.code, Some(0), "{made:?}");
        }
        // The first command on a folder makes its keys.
        let token = data[0].token("admin", "root");
        for other in &data[1..] {
            copy_keys(&data[0].path(), &other.path());
        }
        let servers: Vec<Server> =
            data.iter().map(|it| it.serve_with(settings(&hot, &data))).collect();
        let endpoints = servers.iter().map(|server| Endpoint::new(server.address)).collect();
        Serves { hot, data, servers: servers.into_iter().map(Some).collect(), endpoints, token }
    }

    /// One that runs.
    pub(super) fn any(&self) -> &Server {
        self.servers.iter().flatten().next().expect("a service is up")
    }

    /// How the services that run now have settled writes of whose outcome nobody told them: found to
    /// have happened, found not to have, left unknown.
    pub(super) fn settled(&self) -> [u64; 3] {
        let mut all = [0; 3];
        for server in self.servers.iter().flatten() {
            let text = server.client(&self.token).get("/metrics").must(200).text();
            for (sum, how) in all.iter_mut().zip(["applied", "refused", "unknown"]) {
                let name = format!("couponry_hot_unknown_settled_total{{how=\"{how}\"}} ");
                let count = text.lines().find_map(|line| line.strip_prefix(&name));
                *sum += count.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        all
    }

    /// SIGTERM to all, and a good end.
    pub(super) fn stop(self) {
        self.servers.into_iter().flatten().for_each(Server::stop);
    }

    /// `serve.lock` names the process that works on a folder.
    fn signal(&self, nth: usize, signal: Signal) {
        let lock = self.data[nth].path().join("serve.lock");
        let pid = std::fs::read_to_string(lock).expect("serve.lock");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("a signal");
    }
}

fn settings<'a>(hot: &'a Hot, data: &'a [Data]) -> impl FnOnce(&mut Command) + 'a {
    move |command| {
        if let Hot::Cql(address) = hot {
            command.args(["--hot", address]).arg("--cold").arg(data[0].path().join("cold"));
        }
    }
}

fn copy_keys(from: &Path, to: &Path) {
    let (from, to) = (from.join("keys"), to.join("keys"));
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(&to).expect("a folder for keys");
    for entry in std::fs::read_dir(&from).expect("keys").flatten() {
        let copy = to.join(entry.file_name());
        std::fs::copy(entry.path(), &copy).expect("a copy of a key");
        let mode = std::fs::metadata(&copy).expect("the copy").permissions().mode();
        assert_eq!(mode & 0o077, 0, "a key is its owner's alone");
    }
}

impl Fleet for Serves {
    fn kill(&mut self, nth: usize) {
        self.servers[nth].take().expect("it is up").kill();
    }

    fn start(&mut self, nth: usize) {
        let server = self.data[nth].serve_with(settings(&self.hot, &self.data));
        self.endpoints[nth].set(server.address);
        self.servers[nth] = Some(server);
    }

    fn freeze(&mut self, nth: usize) {
        self.signal(nth, Signal::STOP);
    }

    fn thaw(&mut self, nth: usize) {
        self.signal(nth, Signal::CONT);
    }
}

/// The nodes of a cluster.
pub(super) struct Nodes(pub(super) Cluster);

impl Fleet for Nodes {
    fn kill(&mut self, nth: usize) {
        self.0.kill(nth + 1).expect("it runs");
    }

    fn start(&mut self, nth: usize) {
        self.0.start_node(nth + 1).expect("it comes back");
    }

    fn freeze(&mut self, nth: usize) {
        self.0.freeze(nth + 1).expect("it runs");
    }

    fn thaw(&mut self, nth: usize) {
        self.0.thaw(nth + 1).expect("it goes on");
    }
}

/// A store without nodes.
pub(super) struct NoNodes;

impl Fleet for NoNodes {
    fn kill(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }

    fn start(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }

    fn freeze(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }

    fn thaw(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }
}
