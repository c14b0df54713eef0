//! The programs of `tests/engines` that suites in this folder start by themselves.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testengines::{Engine, not_run};

use super::data::{Data, Ran};

/// The folder of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// How a script ends where the machine cannot have its engine: there is no Go, or a download failed.
pub(super) const CANNOT: i32 = 69;

/// A script in `tests/engines`.
pub(super) struct Script {
    pub(super) name: &'static str,
    pub(super) engine: Engine,
}

impl Script {
    fn command(&self) -> Command {
        Command::new(root().join("tests/engines").join(self.name))
    }

    /// Runs one of its commands in a folder.
    pub(super) fn ran(&self, data: &Data, folder: &Path, args: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(args).current_dir(folder);
        data.run_command(command)
    }

    /// Whether it is [asked for](Engine::is_asked_for), and this machine has it. Builds it where it is missing.
    ///
    /// # Panics
    /// If the machine could have it and does not.
    pub(super) fn is_there(&self, suite: &str) -> bool {
        if !self.engine.is_asked_for(suite) {
            return false;
        }
        // However long it takes: another process may be building it.
        let fetched = self.command().arg("fetch").stdin(Stdio::null()).output();
        let fetched = Ran::from(fetched.expect("the script starts"));
        match fetched.code {
            Some(0) => true,
            Some(CANNOT) => {
                let why = fetched.stderr.trim();
                not_run(&format!("{suite}: this machine cannot have {}: {why}", self.name));
                false
            }
            _ => self.engine.is_missing(suite, &fetched.stderr),
        }
    }

    /// Starts it with a folder for its files and a port.
    pub(super) fn run(&self, folder: &Path, port: u16) -> Running {
        let mut command = self.command();
        command.arg("run").arg(folder).arg(port.to_string()).stdin(Stdio::piped());
        Running(command.spawn().expect("the engine starts"))
    }
}

/// An engine, until it is dropped.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It runs until its standard input ends.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A port on which nobody listens.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    listener.expect("a port").port()
}
