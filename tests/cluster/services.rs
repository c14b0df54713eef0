//! The services under test, by number. Each has its own data folder. All have the same keys and the
//! same cold folder.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Answer, Client, Lost};
use super::data::{Data, Server, wait_until};
use super::faults::Fleet;

/// The present addresses of the services. They change with each start.
#[derive(Clone, Default)]
pub(super) struct Addresses(Arc<RwLock<Vec<SocketAddr>>>);

impl Addresses {
    pub(super) fn of(&self, nth: usize) -> SocketAddr {
        self.0.read().unwrap_or_else(PoisonError::into_inner)[nth]
    }

    fn set(&self, nth: usize, address: SocketAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner)[nth] = address;
    }

    pub(super) fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The `--hot` of a run.
#[derive(Clone, Debug)]
pub(super) enum Hot {
    /// One file in one data folder, so one service.
    Sqlite,
    /// `cql://ADDRESSES/KEYSPACE`.
    Cql(String),
}

pub(super) struct Services {
    hot: Hot,
    data: Vec<Data>,
    servers: Vec<Option<Server>>,
    pub(super) addresses: Addresses,
    pub(super) token: String,
}

impl Services {
    /// Prepares the keyspace, if there is one, and starts `count` services.
    pub(super) fn start(hot: Hot, count: usize) -> Services {
        let data: Vec<Data> = (0..count).map(|_| Data::new()).collect();
        match &hot {
            Hot::Sqlite => {}
            Hot::Cql(target) => {
                let made = data[0].run(&["schema", "apply", "--hot", target]);
                assert_eq!(made.code, Some(0), "{made:?}");
            }
        }
        // The first command on a folder makes its keys.
        let token = data[0].token("admin", "root");
        data[1..].iter().for_each(|other| share_keys(&data[0], other));
        let servers: Vec<Server> = data
            .iter()
            .map(|it| {
                it.serve_with(|command| {
                    command.args(settings(&hot, &data));
                })
            })
            .collect();
        let addresses = servers.iter().map(|server| server.address).collect();
        let addresses = Addresses(Arc::new(RwLock::new(addresses)));
        Services { hot, data, servers: servers.into_iter().map(Some).collect(), addresses, token }
    }

    pub(super) fn is_cluster(&self) -> bool {
        match self.hot {
            Hot::Sqlite => false,
            Hot::Cql(_) => true,
        }
    }

    /// The arguments of one more `serve` on the same cluster, and a folder with its keys.
    pub(super) fn one_more(&self) -> (Data, Vec<String>) {
        let data = Data::new();
        share_keys(&self.data[0], &data);
        (data, settings(&self.hot, &self.data))
    }

    pub(super) fn client(&self, nth: usize) -> Client {
        Client::new(self.addresses.of(nth), &self.token)
    }

    pub(super) fn caller(&self) -> Caller {
        Caller::new(self.addresses.clone(), &self.token)
    }

    /// How the running services resolved unknown writes: found to have happened, found not to have
    /// happened, left unknown.
    pub(super) fn settled(&self) -> [u64; 3] {
        let mut all = [0; 3];
        for server in self.servers.iter().flatten() {
            let text = until_good(&mut server.client(&self.token), "/metrics", None).text();
            for (sum, how) in all.iter_mut().zip(["applied", "refused", "unknown"]) {
                let name = format!("couponry_hot_unknown_resolved_total{{how=\"{how}\"}} ");
                let count = text.lines().find_map(|line| line.strip_prefix(&name));
                *sum += count.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        all
    }

    /// Runs `verify` beside the services. It must find nothing.
    pub(super) fn must_be_sound(&self) {
        let settings = settings(&self.hot, &self.data);
        let arguments: Vec<&str> =
            std::iter::once("verify").chain(settings.iter().map(String::as_str)).collect();
        let ran = self.data[0].run(&arguments);
        println!("{}", ran.stdout.trim_end());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }

    /// Sends SIGTERM to all, which must end with success.
    pub(super) fn stop(self) {
        self.servers.into_iter().flatten().for_each(Server::stop);
    }

    /// The process in `serve.lock`, which works on a folder.
    fn signal(&self, nth: usize, signal: Signal) {
        let lock = self.data[nth].path().join("serve.lock");
        let pid = std::fs::read_to_string(lock).expect("serve.lock");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("a signal");
    }
}

fn settings(hot: &Hot, data: &[Data]) -> Vec<String> {
    match hot {
        Hot::Sqlite => Vec::new(),
        Hot::Cql(target) => {
            let cold = data[0].path().join("cold");
            vec!["--hot".into(), target.clone(), "--cold".into(), cold.display().to_string()]
        }
    }
}

/// The good answer to a request, which is repeated while the store does not answer: nodes and
/// services may stall.
pub(super) fn until_good(client: &mut Client, path: &str, body: Option<&Value>) -> Answer {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut good = None;
    wait_until("an answer from the store", || {
        let answer = client.call(method, path, body);
        if answer.status != 503 {
            assert!(answer.is_good(), "{method} {path}: {} {}", answer.status, answer.text());
            good = Some(answer);
        }
        good.is_some()
    });
    good.expect("waited for")
}

/// One folder of keys for all, as on a network file system.
fn share_keys(of: &Data, with: &Data) {
    std::fs::create_dir_all(with.path()).expect("a data folder");
    std::os::unix::fs::symlink(of.path().join("keys"), with.path().join("keys")).expect("a link");
}

impl Fleet for Services {
    fn kill(&mut self, nth: usize) {
        self.servers[nth].take().expect("it is up").kill();
    }

    fn start(&mut self, nth: usize) {
        let server = self.data[nth].serve_with(|command| {
            command.args(settings(&self.hot, &self.data));
        });
        self.addresses.set(nth, server.address);
        self.servers[nth] = Some(server);
    }

    fn freeze(&mut self, nth: usize) {
        self.signal(nth, Signal::STOP);
    }

    fn thaw(&mut self, nth: usize) {
        self.signal(nth, Signal::CONT);
    }

    /// Whoever is started from now on finds the nodes there; who runs knows them from the cluster.
    fn move_to(&mut self, addresses: &str) {
        if let Hot::Cql(target) = &mut self.hot {
            let keyspace = target.rsplit('/').next().expect("a keyspace");
            *target = format!("cql://{addresses}/{keyspace}");
        }
    }
}

/// One caller with a connection to each service.
pub(super) struct Caller {
    addresses: Addresses,
    token: String,
    lines: Vec<Option<(SocketAddr, Client)>>,
}

impl Caller {
    pub(super) fn new(addresses: Addresses, token: &str) -> Caller {
        let lines = (0..addresses.count()).map(|_| None).collect();
        Caller { addresses, token: token.to_owned(), lines }
    }

    /// The same caller on other connections.
    pub(super) fn again(&self) -> Caller {
        Caller::new(self.addresses.clone(), &self.token)
    }

    pub(super) fn call(
        &mut self,
        through: usize,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Lost> {
        let method = if body.is_some() { "POST" } else { "GET" };
        self.client(through).try_call(method, path, body)
    }

    /// The connection to a service.
    pub(super) fn client(&mut self, through: usize) -> &mut Client {
        let address = self.addresses.of(through);
        let line = self.lines[through].take().filter(|(known, _)| *known == address);
        let line = line.unwrap_or_else(|| (address, Client::new(address, &self.token)));
        &mut self.lines[through].insert(line).1
    }
}
