//! Real S3 servers for test suites, and a [`Proxy`] in front of one that fails some of the requests.
//!
//! Only this crate runs the script `tests/engines/s3`, which starts them. Its `--help` says how to
//! start one by hand. A server has its own port and folder. It holds a pipe from the process that
//! started it, so it ends when that process ends, in any way.

mod proxy;

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use proxy::{Fault, Proxy};
use testengines::{Engine, this_suite};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/engines/s3");

/// The bucket that each server has.
pub const BUCKET: &str = "shop";

/// Much longer than a start takes: moto takes 2 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longest time of one request at the start.
const ANSWER_MAX: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many ports are tried if another process takes the port before the server does.
const TRIES_MAX: usize = 3;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// versitygw: objects are files in its folder.
    Versitygw,
    /// The same without metadata, which lets several writers create one object.
    VersitygwUnsafe,
    /// moto: in memory.
    Moto,
}

impl Kind {
    /// The servers that are safe to write to.
    pub const SAFE: [Kind; 2] = [Kind::Versitygw, Kind::Moto];
}

impl fmt::Display for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Kind::Versitygw => "versitygw",
            Kind::VersitygwUnsafe => "versitygw-nometa",
            Kind::Moto => "moto",
        })
    }
}

/// A running server with the bucket [`BUCKET`].
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    folder: PathBuf,
    /// The process id of the server, which the script has started.
    pid: u32,
    script: Child,
}

impl Server {
    /// Starts a server in its own folder and returns when it answers. `None` if nobody
    /// [asks](Engine::is_asked_for) for one: a printed line says so.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(kind: Kind) -> Option<Server> {
        let suite = this_suite();
        if !Engine::S3.is_asked_for(&suite) {
            return None;
        }
        // The script removes it, because a value shared by all tests of a process is never dropped.
        let folder = tempfile::TempDir::with_prefix("couponry-s3-").expect("a folder").keep();
        Some(Server::start_in(kind, &folder, &suite))
    }

    fn start_in(kind: Kind, folder: &Path, suite: &str) -> Server {
        for _ in 0..TRIES_MAX {
            fs::create_dir_all(folder.join(BUCKET)).expect("a folder for the bucket");
            let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
            let address = free.expect("a free port");
            let mut script = Command::new(SCRIPT)
                .args(["run", &kind.to_string(), &address.port().to_string()])
                .arg(folder)
                .env("COUPONRY_S3_REMOVE", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("{SCRIPT}: {error}"));
            let mut line = String::new();
            let says = script.stdout.take().expect("a pipe");
            // Empty if the script has ended.
            let _ = BufReader::new(says).read_line(&mut line);
            let pid = line.trim_end().strip_prefix("pid ").and_then(|it| it.parse().ok());
            let Some(pid) = pid else {
                let ended = script.wait().expect("an end");
                Engine::S3.is_missing(suite, &format!("{SCRIPT} run {kind} ended with {ended}"));
            };
            let folder = folder.to_owned();
            let mut server = Server { address, folder, pid, script };
            if server.answers(kind) {
                return server;
            }
        }
        panic!("{kind} does not answer");
    }

    /// Waits for the server, and makes the bucket if that is not a folder.
    fn answers(&mut self, kind: Kind) -> bool {
        let begun = Instant::now();
        // The server ends if another process has the port.
        while begun.elapsed() < PATIENCE && self.runs() {
            let asked = match kind {
                Kind::Moto => self.says("PUT", &format!("/{BUCKET}")),
                // It refuses requests without a signature, which is an answer.
                _ => self.says("GET", "/"),
            };
            if asked.is_some_and(|said| said.starts_with("HTTP/1.1 ")) {
                return true;
            }
            sleep(LOOK_EVERY);
        }
        false
    }

    fn runs(&self) -> bool {
        let asked = Command::new("kill").args(["-0", &self.pid.to_string()]).output();
        asked.is_ok_and(|it| it.status.success())
    }

    fn says(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        Some(said)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder in which versitygw has the objects of [`BUCKET`].
    pub fn bucket(&self) -> PathBuf {
        self.folder.join(BUCKET)
    }

    /// Makes it hang: it keeps its connections and answers nothing.
    ///
    /// # Panics
    /// If it has ended.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Resumes it.
    ///
    /// # Panics
    /// If it has ended.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid.to_string()]).status();
        assert!(sent.is_ok_and(|it| it.success()), "kill {signal} {}", self.pid);
    }

    /// The variables with which a process finds it.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its input ends, and so it ends the server. Only the wait could fail.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// The variables with which a process finds a server, or a proxy in front of it.
pub(crate) fn environment(address: SocketAddr) -> Vec<(String, String)> {
    [
        ("AWS_ACCESS_KEY_ID", "couponry".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "couponry-secret".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
