//! A real Apache Cassandra for test suites.
//!
//! Only this crate runs the script `tests/engines/cassandra`, which starts nodes. Its `--help` says
//! how to start one by hand.
//!
//! A *node* is 1, 2 or 3. Node 2 has the address 127.0.0.2. A node *answers* once it serves a read
//! from all running nodes: then they see each other.
//!
//! The nodes hold a pipe from the process that started them, so they end when it ends, in any way.
//! They also hold the addresses, so suites that need them at the same time wait for each other, in
//! one process or in several.
//!
//! A cluster is killed, not drained, when it is dropped. Its data goes with it.
//!
//! With `COUPONRY_CLUSTER_NODES` nothing is started: the suites use the nodes at these addresses, and
//! leave them running. They are not taken in turns, so such a run needs `--test-threads=1`.

mod given;

use std::fmt::{self, Display};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use testengines::{Engine, not_run, this_suite};

use crate::given::GivenControl;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/engines/cassandra");

/// With `1` the suites that take minutes on a cluster run. CI sets it.
const THREE_NODES: &str = "COUPONRY_THREE_NODES";
const LONG: &str = "COUPONRY_LONG";

/// Settings of nodes that no test kills or freezes. They wait for each other longer than a shared
/// machine stalls, and they do not wait for its disk.
const STEADY: [(&str, &str); 4] = [
    ("COUPONRY_CASSANDRA_READ_TIMEOUT", "20s"),
    ("COUPONRY_CASSANDRA_WRITE_TIMEOUT", "20s"),
    ("COUPONRY_CASSANDRA_CAS_TIMEOUT", "10s"),
    ("COUPONRY_CASSANDRA_SYNC", "periodic"),
];

/// How many times its own timeouts a client of a [steady](TestCluster::start_steady) cluster waits,
/// so that the nodes give up first.
pub const STEADY_PATIENCE: u32 = 10;

/// Running nodes. Its methods block, and run one after the other.
#[derive(Debug)]
pub struct TestCluster {
    addresses: String,
    control: ClusterControl,
}

/// Who obeys commands.
#[derive(Debug)]
enum ClusterControl {
    Started(Mutex<ClusterScript>),
    Given(GivenControl),
}

/// A command for a node failed, for this reason.
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

/// Whether a suite that takes minutes on a cluster may run. If not, it prints a line.
pub fn may_take_minutes(suite: &str) -> bool {
    is_also_set(THREE_NODES, suite, "minutes on a cluster")
}

/// Whether a suite may run that tests once more on real nodes what the simulated cluster tests in
/// every run of CI. If not, it prints a line.
pub fn is_long_run(suite: &str) -> bool {
    is_also_set(LONG, suite, "the simulated cluster tests it, too")
}

/// Whether a suite on a cluster runs that needs another variable, too.
fn is_also_set(variable: &str, suite: &str, why: &str) -> bool {
    if !Engine::CASSANDRA.is_asked_for(suite) {
        return false;
    }
    let is_set = std::env::var(variable).is_ok_and(|it| it == "1");
    if !is_set {
        not_run(&format!("{suite}: {why}; {variable}=1 runs it"));
    }
    is_set
}

/// The one steady cluster that all tests of a binary share. The first test starts it, and it runs
/// until the process ends. Such a binary must not start another cluster: that would wait for ever.
///
/// # Panics
/// As [`TestCluster::start_steady`], and if a test wants another number of nodes than the first one.
pub fn shared(nodes: usize) -> Option<&'static TestCluster> {
    static SHARED: OnceLock<Option<TestCluster>> = OnceLock::new();
    let cluster = SHARED.get_or_init(|| TestCluster::start_steady(nodes)).as_ref()?;
    assert_eq!(cluster.nodes(), nodes, "the shared cluster has another number of nodes");
    Some(cluster)
}

impl TestCluster {
    /// Starts 1 or 3 nodes and returns when all answer: about 4 s, or 10 to 20 s, after the wait
    /// for other suites. `None` if nobody [asks](Engine::is_asked_for) for them: a printed line says so.
    ///
    /// # Panics
    /// If they do not start.
    pub fn start(nodes: usize) -> Option<TestCluster> {
        TestCluster::start_with(nodes, &[])
    }

    /// As [`TestCluster::start`], for suites in which no node is killed, stopped or frozen. The
    /// nodes give up after 20 s instead of 2, and a write does not wait for the disk. So a machine
    /// that stalls for some seconds fails no test. Clients wait [`STEADY_PATIENCE`] times as long.
    ///
    /// # Panics
    /// As [`TestCluster::start`].
    pub fn start_steady(nodes: usize) -> Option<TestCluster> {
        TestCluster::start_with(nodes, &STEADY)
    }

    /// As [`TestCluster::start`] with three nodes, whose clocks are so many seconds ahead or behind.
    ///
    /// # Panics
    /// As [`TestCluster::start`], and without a C compiler.
    pub fn start_with_clocks(ahead: [i64; 3]) -> Option<TestCluster> {
        let ahead = ahead.map(|seconds| seconds.to_string()).join(",");
        TestCluster::start_with(3, &[("COUPONRY_CASSANDRA_CLOCKS", &ahead)])
    }

    fn start_with(nodes: usize, settings: &[(&str, &str)]) -> Option<TestCluster> {
        let suite = this_suite();
        if !Engine::CASSANDRA.is_asked_for(&suite) {
            return None;
        }
        if let Some(given) = given::from_environment(nodes) {
            let (addresses, control) =
                given.unwrap_or_else(|why| Engine::CASSANDRA.is_missing(&suite, &why));
            return Some(TestCluster { addresses, control: ClusterControl::Given(control) });
        }
        let mut command = Command::new(SCRIPT);
        command.args(["run", &nodes.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(settings.iter().copied());
        let mut script =
            ClusterScript::new(command).unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
        let line = script.line().unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
        if let Some(addresses) = line.strip_prefix("ready ") {
            return Some(TestCluster {
                addresses: addresses.to_owned(),
                control: ClusterControl::Started(Mutex::new(script)),
            });
        }
        let ended = script.process.wait().unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
        Engine::CASSANDRA.is_missing(&suite, &format!("{SCRIPT} ended with {ended}"))
    }

    /// The addresses for clients, as in `127.0.0.1:9042,127.0.0.2:9042,127.0.0.3:9042`. A node that took the place
    /// of another one has another address.
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    /// How many nodes it was started with.
    pub fn nodes(&self) -> usize {
        self.addresses.split(',').count()
    }

    /// The process id of a node that runs.
    pub fn node_pid(&self, node: usize) -> Result<u32, Failed> {
        let said = self.tell("pid", node)?;
        said.parse().map_err(|_| Failed { command: format!("pid {node}"), reason: said })
    }

    /// Ends a node with SIGKILL, also a frozen one. Returns when it has ended.
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

    /// Starts a killed or stopped node with its data. Returns when it answers, after 4 to 8 s.
    ///
    /// # Errors
    /// There is no such node, it runs already, or it does not answer in time.
    pub fn start_node(&self, node: usize) -> Result<(), Failed> {
        self.tell("start", node).map(drop)
    }

    /// Makes a node hang (SIGSTOP): it keeps its connections and answers nothing.
    pub fn freeze(&self, node: usize) -> Result<(), Failed> {
        self.tell("freeze", node).map(drop)
    }

    /// Resumes a frozen node. Returns when it answers.
    ///
    /// # Errors
    /// There is no such node, it does not run, or it does not answer in time.
    pub fn thaw(&self, node: usize) -> Result<(), Failed> {
        self.tell("thaw", node).map(drop)
    }

    /// Drops all packets between a node and the other nodes. Clients reach it.
    ///
    /// # Errors
    /// There is no such node, it does not run, or this machine cannot do it.
    pub fn cut(&self, node: usize) -> Result<(), Failed> {
        self.tell("cut", node).map(drop)
    }

    /// Drops all packets from clients to a node. The other nodes reach it.
    pub fn hide(&self, node: usize) -> Result<(), Failed> {
        self.tell("hide", node).map(drop)
    }

    /// Ends both. Returns when the node answers.
    ///
    /// # Errors
    /// There is no such node, it does not run, or it does not answer in time.
    pub fn join(&self, node: usize) -> Result<(), Failed> {
        self.tell("join", node).map(drop)
    }

    /// A node loses its disk: it is killed, its data is deleted, the others are repaired, and a node with another
    /// address takes its place and its data, and is repaired. Takes two minutes and longer.
    ///
    /// # Errors
    /// There is no such node, it does not run, or a repair fails.
    pub fn replace(&mut self, node: usize) -> Result<(), Failed> {
        self.tell("replace", node)?;
        let address = self.tell("address", node)?;
        let addresses = self.addresses.split(',').enumerate();
        let addresses: Vec<&str> =
            addresses.map(|(nth, was)| if nth + 1 == node { &address } else { was }).collect();
        self.addresses = addresses.join(",");
        Ok(())
    }

    fn tell(&self, verb: &str, node: usize) -> Result<String, Failed> {
        let command = format!("{verb} {node}");
        let said = match &self.control {
            ClusterControl::Given(control) => control.ask(verb, node),
            ClusterControl::Started(script) => {
                // A test that panicked here left no half of a command.
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.tell(&command)
            }
        };
        said.map_err(|reason| Failed { command, reason })
    }
}

/// The script, in the foreground. It ends the nodes when its input ends.
#[derive(Debug)]
struct ClusterScript {
    process: Child,
    says: BufReader<ChildStdout>,
}

impl ClusterScript {
    fn new(mut command: Command) -> io::Result<ClusterScript> {
        let mut process = command.spawn()?;
        let says = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(ClusterScript { process, says: BufReader::new(says) })
    }

    /// What it says, or why it failed.
    fn tell(&mut self, command: &str) -> Result<String, String> {
        let line = self.ask(command).map_err(|error| error.to_string())?;
        let ok = line.strip_prefix("ok ").map(str::to_owned);
        ok.ok_or_else(|| line.strip_prefix("failed ").unwrap_or("the script is gone").to_owned())
    }

    fn ask(&mut self, command: &str) -> io::Result<String> {
        let to = self.process.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        to.write_all(format!("{command}\n").as_bytes())?;
        self.line()
    }

    /// Its next line. Empty if it has ended.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for ClusterScript {
    /// Returns when the nodes have ended.
    fn drop(&mut self) {
        // Closes its input first. Only the wait could fail, and a drop cannot report it.
        self.process.wait().ok();
    }
}
