//! A server that a peer starts for itself: the only place that starts and ends processes.

use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// How long a server may take to end before it is killed. A checkpoint of all its memory is due.
const END_WAIT: Duration = Duration::from_secs(60);

/// Pause between two checks that a server still runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a child is asked to end.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// A normal end: its data is kept.
    Orderly(Signal),
    /// A quick end: its data is deleted anyway.
    AtOnce(Signal),
}

impl End {
    fn signal(self) -> Signal {
        match self {
            End::Orderly(signal) | End::AtOnce(signal) => signal,
        }
    }
}

/// A running server. It ends when this is dropped, and when this process is killed.
pub(crate) struct Child {
    process: Process,
    end: End,
}

impl Child {
    /// Runs `program` as `user`, with its output in the file `log`. Call it on the main thread: the
    /// child gets a signal when that thread ends.
    ///
    /// # Errors
    /// If it cannot be started. [`Child::running`] finds one that ends at once.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        user: Option<&str>,
        end: End,
        log: &Path,
    ) -> Result<Child, Failure> {
        let told = std::fs::File::create(log)?;
        let process = as_user(program, user, Some(end.signal()))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(told.try_clone()?)
            .stderr(told)
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        Ok(Child { process, end })
    }

    /// # Errors
    /// When it has ended.
    pub(crate) fn running(&mut self) -> Result<(), Failure> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the server ended: {status}").into()),
        }
    }

    /// Waits until it has ended, which it never should.
    pub(crate) async fn ended(&mut self) -> Failure {
        loop {
            if let Err(failure) = self.running() {
                return failure;
            }
            tokio::time::sleep(LOOK_EVERY * 10).await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.running().is_err() {
            return;
        }
        // It may have ended since: then the wait below returns.
        let _ = kill_process(Pid::from_child(&self.process), self.end.signal());
        let begun = Instant::now();
        while self.running().is_ok() {
            if begun.elapsed() > END_WAIT {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// A command that runs as `user` and gets the signal `parent_died` when this thread ends. `setpriv`
/// sets this up and becomes the program, so the pid is that of the program.
pub(crate) fn as_user(program: &Path, user: Option<&str>, parent_died: Option<Signal>) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    if let Some(signal) = parent_died {
        command.args(["--pdeathsig", name(signal)]);
    }
    command.arg("--").arg(program);
    command
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::INT => "INT",
        Signal::QUIT => "QUIT",
        _ => "TERM",
    }
}
