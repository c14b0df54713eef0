//! A real Apache Cassandra for test suites: the only crate that runs `tests/engines/cassandra`,
//! where all that is known about nodes stands (`--help` says how to have one by hand).
//!
//! A *node* is 1, 2 or 3; node 2 has the address 127.0.0.2. It *answers* when a read there is
//! served by as many nodes as run, so then all that run see each other.
//!
//! The nodes live as long as the process that started them, however it ends: what holds them is a
//! pipe from it. They also hold the addresses, so suites that want them at the same time take
//! turns, in one process or in several.
//!
//! A cluster is killed, not drained, when it is dropped. Its data goes with it.

use std::fmt::{self, Display};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/engines/cassandra");

/// With `1` a suite whose engine cannot be had fails instead of passing unrun; CI sets it.
const REQUIRED: &str = "COUPONRY_REQUIRE_ENGINES";

/// With `none` it is known that this machine cannot have Cassandra: `.ci/run` has tried.
const CASSANDRA: &str = "COUPONRY_CASSANDRA";

/// With `1` suites run that take minutes on three nodes; CI sets it.
const THREE_NODES: &str = "COUPONRY_THREE_NODES";

/// What the script ends with where it has no Java 17, no Maven, or nothing to fetch from.
const CANNOT: i32 = 69;

/// Settings of nodes that nobody kills or freezes: they wait longer for each other than a shared
/// machine may stall, and not for its disk.
const STEADY: [(&str, &str); 4] = [
    ("COUPONRY_CASSANDRA_READ_TIMEOUT", "20s"),
    ("COUPONRY_CASSANDRA_WRITE_TIMEOUT", "20s"),
    ("COUPONRY_CASSANDRA_CAS_TIMEOUT", "10s"),
    ("COUPONRY_CASSANDRA_SYNC", "periodic"),
];

/// By how much a client of a [steady](Cluster::start_steady) cluster lengthens its own limits, so
/// that the nodes give up first.
pub const STEADY_PATIENCE: u32 = 10;

/// Running nodes. Its methods block, and one waits for the other.
#[derive(Debug)]
pub struct Cluster {
    addresses: String,
    script: Mutex<Script>,
}

/// The node did not do as it was told, for the reason given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    command: String,
    reason: String,
}

impl Display for Failed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.command, self.reason)
    }
}

impl std::error::Error for Failed {}

/// Whether a suite may run that takes minutes on three nodes; one line says so where it may not.
pub fn may_take_minutes(suite: &str) -> bool {
    let may = std::env::var(THREE_NODES).is_ok_and(|it| it == "1");
    if !may {
        eprintln!("NOT RUN: {suite}: minutes on three nodes; {THREE_NODES}=1 runs it");
    }
    may
}

/// The one steady cluster of a test binary whose tests share it, started by the first that asks. It
/// lives until the process ends, so such a binary starts no other: that would wait for its turn in
/// vain.
///
/// # Panics
/// As [`Cluster::start_steady`], and when a test asks for another number of nodes than the first
/// did.
pub fn shared(nodes: usize) -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = SHARED.get_or_init(|| Cluster::start_steady(nodes)).as_ref()?;
    assert_eq!(cluster.nodes(), nodes, "the shared cluster has another number of nodes");
    Some(cluster)
}

impl Cluster {
    /// Starts 1 or 3 nodes and returns when all answer, which takes about 4 s and 10 to 20 s once
    /// their turn has come. `None` where this machine cannot have them; one line says why.
    ///
    /// # Panics
    /// When they do not start, or cannot be had although `COUPONRY_REQUIRE_ENGINES=1`.
    pub fn start(nodes: usize) -> Option<Cluster> {
        Cluster::start_with(nodes, &[])
    }

    /// As [`Cluster::start`], for suites in which no node is killed, stopped or frozen: the nodes
    /// give up after 20 s and not after 2, and a write does not wait for the disk, so that a machine
    /// that stalls for some seconds fails no test. Clients wait [`STEADY_PATIENCE`] times as long.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_steady(nodes: usize) -> Option<Cluster> {
        Cluster::start_with(nodes, &STEADY)
    }

    fn start_with(nodes: usize, settings: &[(&str, &str)]) -> Option<Cluster> {
        let mut command = Command::new(SCRIPT);
        command.args(["run", &nodes.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(settings.iter().copied());
        let mut script = Script::new(command).unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
        let line = script.line().unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
        if let Some(addresses) = line.strip_prefix("ready ") {
            return Some(Cluster { addresses: addresses.to_owned(), script: Mutex::new(script) });
        }
        let ended = script.process.wait().unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
        assert_eq!(ended.code(), Some(CANNOT), "Cassandra did not start: {ended}");
        let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
        let required = is(REQUIRED, "1") && !is(CASSANDRA, "none");
        assert!(!required, "no Cassandra on this machine, and {REQUIRED}=1");
        None
    }

    /// Where the nodes take clients, as in `127.0.0.1:9042,127.0.0.2:9042,127.0.0.3:9042`.
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    /// How many nodes it was started with.
    pub fn nodes(&self) -> usize {
        self.addresses.split(',').count()
    }

    /// The process id of a node that runs.
    ///
    /// # Errors
    /// There is no such node, or it does not run.
    pub fn node_pid(&self, node: usize) -> Result<u32, Failed> {
        let said = self.tell("pid", node)?;
        said.parse().map_err(|_| Failed { command: format!("pid {node}"), reason: said })
    }

    /// Ends a node with SIGKILL, also a frozen one; returns when it is gone.
    ///
    /// # Errors
    /// There is no such node, or it does not run.
    pub fn kill(&self, node: usize) -> Result<(), Failed> {
        self.tell("kill", node).map(drop)
    }

    /// Ends a node with SIGTERM: it drains first, about 5 s.
    ///
    /// # Errors
    /// There is no such node, it does not run, or it is frozen.
    pub fn stop(&self, node: usize) -> Result<(), Failed> {
        self.tell("stop", node).map(drop)
    }

    /// Starts a node that was killed or stopped, on the data that it has; returns when it answers.
    /// 4 to 8 s.
    ///
    /// # Errors
    /// There is no such node, it runs already, or it does not answer in time.
    pub fn start_node(&self, node: usize) -> Result<(), Failed> {
        self.tell("start", node).map(drop)
    }

    /// Makes a node hang (SIGSTOP): it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// There is no such node, or it does not run.
    pub fn freeze(&self, node: usize) -> Result<(), Failed> {
        self.tell("freeze", node).map(drop)
    }

    /// Lets a frozen node go on; returns when it answers.
    ///
    /// # Errors
    /// There is no such node, it does not run, or it does not answer in time.
    pub fn thaw(&self, node: usize) -> Result<(), Failed> {
        self.tell("thaw", node).map(drop)
    }

    fn tell(&self, verb: &str, node: usize) -> Result<String, Failed> {
        let command = format!("{verb} {node}");
        // A test that panicked in between has left no half of a command behind.
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let said = script.ask(&command).map_err(|error| error.to_string()).and_then(|line| {
            let ok = line.strip_prefix("ok ").map(str::to_owned);
            ok.ok_or_else(|| {
                line.strip_prefix("failed ").unwrap_or("the script is gone").to_owned()
            })
        });
        said.map_err(|reason| Failed { command, reason })
    }
}

/// The script in the foreground; it takes the nodes down when its input ends.
#[derive(Debug)]
struct Script {
    process: Child,
    says: BufReader<ChildStdout>,
}

impl Script {
    fn new(mut command: Command) -> io::Result<Script> {
        let mut process = command.spawn()?;
        let says = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Script { process, says: BufReader::new(says) })
    }

    fn ask(&mut self, command: &str) -> io::Result<String> {
        let to = self.process.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        to.write_all(format!("{command}\n").as_bytes())?;
        self.line()
    }

    /// Its next line, empty when it has ended.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Script {
    /// Returns when the nodes are gone.
    fn drop(&mut self) {
        // Closes its input first. What could fail here is the waiting, and there is nobody to tell.
        self.process.wait().ok();
    }
}
