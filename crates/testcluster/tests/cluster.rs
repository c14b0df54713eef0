//! Nodes start, freeze and end on command, and never outlive the process that started them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testcluster::{TestCluster, shared};
use testengines::{Engine, this_suite};

/// Much longer than a running node takes to answer, and than a killed script takes to clean up.
const PATIENCE: Duration = Duration::from_secs(180);
/// A frozen node does not answer for longer than this.
const SILENCE: Duration = Duration::from_secs(1);

/// Whether a native protocol server is at `address`: it answers OPTIONS with SUPPORTED.
fn answers(address: &str, within: Duration) -> bool {
    let options = [4, 0, 0, 0, 5, 0, 0, 0, 0];
    let ask = || {
        let address: SocketAddr = address.parse().expect("an address");
        let mut connection = TcpStream::connect_timeout(&address, within)?;
        connection.set_read_timeout(Some(within))?;
        connection.write_all(&options)?;
        let mut header = [0; 9];
        connection.read_exact(&mut header).map(|()| header[4])
    };
    ask().is_ok_and(|opcode: u8| opcode == 6)
}

/// Whether the process runs. A process that ended and was not waited for has no command line.
fn runs(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn a_node_obeys_commands() {
    let Some(cluster) = TestCluster::start(1) else { return };
    let at = cluster.addresses().to_owned();
    let pid = cluster.node_pid(1).expect("a pid");
    assert!(answers(&at, PATIENCE), "started");

    cluster.freeze(1).expect("freeze");
    assert!(!answers(&at, SILENCE), "frozen");
    cluster.thaw(1).expect("thaw");
    assert!(answers(&at, PATIENCE), "thawed");

    cluster.kill(1).expect("kill");
    assert!(!runs(pid) && !answers(&at, SILENCE), "killed");
    let again = cluster.kill(1).expect_err("it is dead").to_string();
    assert_eq!(again, "kill 1: node 1 does not run");
    cluster.start_node(1).expect("start");
    assert!(answers(&at, PATIENCE), "killed and started");

    cluster.stop(1).expect("stop");
    assert!(!answers(&at, SILENCE), "stopped");
    cluster.start_node(1).expect("start");
    assert!(answers(&at, PATIENCE), "stopped and started");

    let nobody = cluster.start_node(2).expect_err("one node").to_string();
    assert_eq!(nobody, "start 2: there is no node '2'");

    let pid = cluster.node_pid(1).expect("a pid");
    drop(cluster);
    assert!(!runs(pid), "node {pid} outlived its cluster");
}

/// Not a test by itself: the process that the next test kills.
#[test]
#[ignore = "run by `a_killed_process_leaves_no_node`"]
fn starts_a_node_and_waits() {
    let Some(cluster) = shared(1) else { return };
    println!("\npid {}", cluster.node_pid(1).expect("a pid"));
    std::thread::park();
}

#[test]
fn a_killed_process_leaves_no_node() {
    if !Engine::CASSANDRA.is_asked_for(&this_suite()) {
        return;
    }
    let mut asker = Command::new(std::env::current_exe().expect("this binary"));
    asker
        .args(["--ignored", "--exact", "--nocapture", "starts_a_node_and_waits"])
        .stdout(Stdio::piped());
    let mut asker = asker.spawn().expect("this binary");
    let says = BufReader::new(asker.stdout.take().expect("a pipe"));
    let mut lines = says.lines().map(|line| line.expect("a line"));
    let pid = lines.find_map(|line| line.strip_prefix("pid ").map(|pid| pid.parse()));
    let pid = pid.expect("a node").expect("a pid");
    assert!(runs(pid), "node {pid} runs");
    asker.kill().expect("SIGKILL");
    asker.wait().expect("its end");
    let killed = Instant::now();
    while runs(pid) {
        assert!(killed.elapsed() < PATIENCE, "node {pid} outlived the process that started it");
        std::thread::sleep(Duration::from_millis(20));
    }
}
