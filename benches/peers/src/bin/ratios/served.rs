//! The processes that are measured.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loadtest::wire::ServerAddress;
use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// How long an engine may take to start, with its coupons.
const START_MAX: Duration = Duration::from_secs(900);

/// A process that serves HTTP. It is stopped when this value is dropped.
pub(crate) struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(command: &mut Command) -> Result<Served, Failure> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or("stdout is piped")?;
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The rest of the output is not needed, but reading it keeps the pipe open.
                let _ = tell.send(line);
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            let line = told.recv_timeout(START_MAX)?;
            if let Some((_, address)) = line.split_once("http://") {
                let address = address.split_whitespace().next().unwrap_or_default();
                return Ok(Served { child, url: format!("http://{address}") });
            }
        }
        Err("it prints no address".into())
    }

    pub(crate) fn target(&self) -> Result<ServerAddress, Failure> {
        Ok(self.url.parse()?)
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A couponry with its own folder.
pub(crate) struct Couponry {
    pub(crate) served: Served,
    /// How long it took until it printed its address.
    pub(crate) started_in: Duration,
    pub(crate) admin: String,
    pub(crate) shop: String,
}

impl Couponry {
    pub(crate) fn start(folder: &Path) -> Result<Couponry, Failure> {
        let begun = Instant::now();
        let served = Served::start(couponry(folder).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--compact-every",
            "0",
        ]))?;
        let started_in = begun.elapsed();
        let token = |arguments: &[&str]| -> Result<String, Failure> {
            let output = couponry(folder).arg("token").args(arguments).output()?;
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        };
        let admin = token(&["--role", "admin"])?;
        let shop = token(&["--role", "shop", "--user", "shop"])?;
        Ok(Couponry { served, started_in, admin, shop })
    }
}

fn couponry(folder: &Path) -> Command {
    let mut command = Command::new(beside("couponry"));
    command.env("COUPONRY_DATA", folder);
    command
}

/// Starts a peer.
pub(crate) fn peer(arguments: &[&str]) -> Result<Served, Failure> {
    Served::start(Command::new(beside("peer")).args(arguments))
}

/// A binary in the folder of this one.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}
