//! Services on one cluster that are asked by number: for suites in which it matters which one hears
//! a request, and which one dies.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Answer, Client, Lost};
use super::data::{Data, Server};
use super::faults::Fleet;

/// Where the services listen at the moment: another place after each start.
#[derive(Clone)]
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

/// Services with the same keys and the same cold folder.
pub(super) struct Services {
    hot: String,
    data: Vec<Data>,
    servers: Vec<Option<Server>>,
    pub(super) addresses: Addresses,
    pub(super) token: String,
}

impl Services {
    /// Makes the keyspace ready and starts `count` of them.
    pub(super) fn start(hot: String, count: usize) -> Services {
        let data: Vec<Data> = (0..count).map(|_| Data::new()).collect();
        let made = data[0].run(&["schema", "apply", "--hot", &hot]);
        assert_eq!(made.code, Some(0), "{made:?}");
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

    /// The arguments of one more `serve` on the same cluster, and a folder with its keys.
    pub(super) fn one_more(&self) -> (Data, [String; 4]) {
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

fn settings(hot: &str, data: &[Data]) -> [String; 4] {
    let cold = data[0].path().join("cold");
    ["--hot".into(), hot.into(), "--cold".into(), cold.display().to_string()]
}

/// One folder of keys for both, as on a file system on the network.
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
}

/// One caller, with a connection to each service.
pub(super) struct Caller {
    addresses: Addresses,
    token: String,
    lines: Vec<Option<(SocketAddr, Client)>>,
}

impl Caller {
    fn new(addresses: Addresses, token: &str) -> Caller {
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
        let address = self.addresses.of(through);
        let line = self.lines[through].take().filter(|(known, _)| *known == address);
        let line = line.unwrap_or_else(|| (address, Client::new(address, &self.token)));
        let (_, client) = self.lines[through].insert(line);
        client.try_call(if body.is_some() { "POST" } else { "GET" }, path, body)
    }
}
