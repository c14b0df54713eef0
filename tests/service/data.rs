//! A data folder, and the binary that uses it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::client::Client;

/// The binary under test.
pub(super) const COUPONRY: &str = env!("CARGO_BIN_EXE_couponry");

/// Much longer than any limit in these tests: a hang is a failure, not a wait.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// Most runs of a test that a stall can fail.
const RUNS_MAX: usize = 3;

/// A service and a command give up a store that does not answer after this time, or later.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time of a command, on a busy machine.
const COMMAND_LONGEST: Duration = Duration::from_secs(600);

/// Pause between two polls.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits for `happened`, and panics if it does not come.
pub(super) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Runs a test, and again if it fails after more than `limit`.
///
/// Any thread and any process may stop for some seconds on a busy machine. If that is longer than a
/// time limit of the service, or than the test may be late, the test fails without a fault of
/// couponry. Such a run takes longer than this limit. So a run that fails in less time has found a
/// fault, and so has a test that fails in every run.
pub(super) fn despite_stalls(limit: Duration, mut test: impl FnMut()) {
    for run in 1.. {
        let begun = Instant::now();
        let Err(panic) = catch_unwind(AssertUnwindSafe(&mut test)) else { return };
        let took = begun.elapsed();
        if run == RUNS_MAX || took < limit {
            resume_unwind(panic);
        }
        eprintln!("run {run} failed after {took:?}; once more, because something may have stalled");
    }
}

/// Whether the long form of a test is wanted.
pub(super) fn full() -> bool {
    !cfg!(debug_assertions) || std::env::var("COUPONRY_FULL").is_ok_and(|it| it == "1")
}

/// A folder for one test. Its `data` is the data folder of the service.
pub(super) struct Data {
    folder: PathBuf,
    started: AtomicU32,
    /// The environment of every call of the binary.
    environment: Vec<(String, String)>,
    _temporary: Option<TempDir>,
}

impl Data {
    pub(super) fn new() -> Data {
        let temporary = TempDir::with_prefix("couponry-test-").expect("temporary folder");
        let folder = temporary.path().to_owned();
        let (started, environment) = (AtomicU32::new(0), Vec::new());
        Data { folder, started, environment, _temporary: Some(temporary) }
    }

    /// With the cold tier in a bucket that is reached by these variables.
    pub(super) fn on_bucket(address: &str, mut environment: Vec<(String, String)>) -> Data {
        environment.push(("COUPONRY_COLD".to_owned(), address.to_owned()));
        Data { environment, ..Data::new() }
    }

    /// From now on every call of the binary has these variables, too.
    pub(super) fn set_more(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        self.environment.extend(variables);
    }

    /// In a folder that another value removes.
    pub(super) fn within(folder: &Path) -> Data {
        let (folder, started) = (folder.to_owned(), AtomicU32::new(0));
        Data { folder, started, environment: Vec::new(), _temporary: None }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Bytes of all files of the service.
    pub(super) fn bytes(&self) -> u64 {
        fn below(folder: &Path) -> u64 {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let size = |entry: std::fs::DirEntry| match entry.metadata() {
                Ok(found) if found.is_dir() => below(&entry.path()),
                Ok(found) => found.len(),
                Err(_) => 0,
            };
            entries.map(size).sum()
        }
        below(&self.path())
    }

    /// A call of the binary on this folder, without the settings of the caller's environment.
    pub(super) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(COUPONRY);
        for (name, _) in std::env::vars_os() {
            let name_bytes = name.as_encoded_bytes();
            let ours: [&[u8]; 3] = [b"COUPONRY_", b"AWS_", b"OTEL_"];
            if ours.iter().any(|ours| name_bytes.starts_with(ours)) {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments).current_dir(&self.folder).env("COUPONRY_DATA", self.path());
        command.stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_command(self.command(arguments))
    }

    /// Runs a call that [`Data::command`] has made.
    pub(super) fn run_command(&self, mut command: Command) -> Ran {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("the binary starts");
        let _watch = Watch::over(&child);
        Ran::from(child.wait_with_output().expect("the binary runs"))
    }

    /// A token of this store, which gets keys if it has not been started yet.
    pub(super) fn token(&self, role: &str, user: &str) -> String {
        if !self.path().join("keys").exists() {
            let ran = self.run(&["key", "add", "--kind", "token"]);
            assert_eq!(ran.code, Some(0), "key add: {}", ran.stderr);
        }
        let ran = self.run(&["token", "--role", role, "--user", user]);
        assert_eq!(ran.code, Some(0), "token: {}", ran.stderr);
        ran.stdout.trim().to_owned()
    }

    pub(super) fn serve(&self) -> Server {
        self.serve_with(|_| {})
    }

    /// Starts the service and waits for its address.
    pub(super) fn serve_with(&self, more: impl FnOnce(&mut Command)) -> Server {
        let nth = self.started.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("couponry-{}-{nth}.log", unique()));
        let mut command = self.command(["serve", "--listen", "127.0.0.1:0"]);
        more(&mut command);
        command.stdout(Stdio::piped());
        command.stderr(File::create(&log).expect("log file"));
        let mut child = command.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut server =
            Server { child, address: ([0, 0, 0, 0], 0).into(), log, banner: String::new() };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The rest of the output is not needed, but reading it keeps the pipe open.
                let _ = tell.send(line);
            }
        });
        loop {
            let Ok(line) = told.recv_timeout(PATIENCE) else {
                panic!("serve says no address; it said: {}{}", server.banner, server.log());
            };
            server.banner.push_str(&line);
            server.banner.push('\n');
            if let Some((_, address)) = line.split_once("http://") {
                server.address = address.trim().parse().expect("an address in the banner");
                break;
            }
        }
        // Before that the token does not exist.
        while let Ok(line) = told.recv_timeout(PATIENCE) {
            server.banner.push_str(&line);
            server.banner.push('\n');
            if line.contains("TOKEN=") {
                break;
            }
        }
        server
    }
}

/// A name that no other test of any process uses.
pub(super) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Kills a command that does not end by itself, so that its test fails and the others run. Drop it
/// after the end of the process.
pub(super) struct Watch {
    _ended: mpsc::Sender<()>,
}

impl Watch {
    pub(super) fn over(child: &Child) -> Watch {
        let pid = Pid::from_child(child);
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            if end.recv_timeout(COMMAND_LONGEST) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("process {pid:?} has not ended for {COMMAND_LONGEST:?} and is killed");
                // Fails only if it has just ended.
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        Watch { _ended: ended }
    }
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A running service. It ends when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    log: PathBuf,
    pub(super) banner: String,
}

impl Server {
    pub(super) fn client(&self, token: &str) -> Client {
        Client::new(self.address, token)
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// `kill -9`, and the end of the process.
    pub(super) fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Sends SIGTERM, without waiting.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal, without waiting.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a signal");
    }

    /// Waits for the end of the process.
    pub(super) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of serve", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        status.expect("waited for")
    }

    /// Sends SIGTERM, and checks that the service ends with success.
    pub(super) fn stop(mut self) {
        self.terminate();
        let status = self.ended();
        assert!(status.success(), "serve ends with {status}: {}", self.log());
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// The highest resident memory, in bytes.
    pub(super) fn resident_most(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The present resident memory, in bytes.
    pub(super) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("/proc of the service");
        let line = status.lines().find_map(|line| line.strip_prefix(which)).expect(which);
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib << 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of serve at {}\n{}", self.address, self.log());
        }
        let _ = std::fs::remove_file(&self.log);
    }
}
