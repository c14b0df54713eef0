//! A seed runs in a process of its own: a panic, a leak or an endless loop is that seed's alone, and
//! nothing that another seed left behind decides.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use cql_session::CqlEngine;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use crate::report::SeedVerdict;

/// After so much processor time, in seconds, a seed counts as one that does not end. Most take half a second. CI runs
/// seeds with the processor time that its tests leave, so their own is all that says something of them.
const WORK_MAX: u64 = 180;

/// The same for one that waits for ever, and so takes none.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// The longest time between two looks at a seed's process that a busy machine explains.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// How one seed is run.
#[derive(Clone, Debug, Default)]
pub struct SeedRun {
    pub seed: u64,
    /// Which engine the nodes run; by the seed if nobody says.
    pub engine: Option<CqlEngine>,
    /// Operations of the callers.
    pub operations: u64,
    /// Only so many of them.
    pub until: Option<u64>,
    /// Whether the time line is kept.
    pub lines: bool,
    /// The bug that is planted.
    pub plant: Option<String>,
}

impl SeedRun {
    /// Which engine the nodes run: by default Cassandra in even seeds, and ScyllaDB in odd ones.
    pub fn engine(&self) -> CqlEngine {
        let by_seed = match self.seed.is_multiple_of(2) {
            true => CqlEngine::Cassandra,
            false => CqlEngine::Scylla,
        };
        self.engine.unwrap_or(by_seed)
    }

    /// The arguments after the name of the program.
    fn arguments(&self) -> Vec<String> {
        let mut all = vec!["--one".into(), self.seed.to_string()];
        all.extend(["--engine".into(), argument_of(self.engine()).to_owned()]);
        all.extend(["--operations".into(), self.operations.to_string()]);
        if let Some(until) = self.until {
            all.extend(["--until".into(), until.to_string()]);
        }
        if let Some(plant) = &self.plant {
            all.extend(["--plant".into(), plant.clone()]);
        }
        all.extend(self.lines.then(|| "--lines".into()));
        all
    }

    /// What a person types to see the seed again.
    pub fn replay(&self) -> String {
        let plant = self.plant.as_ref().map(|name| format!(" --plant {name}")).unwrap_or_default();
        let (seed, engine) = (self.seed, argument_of(self.engine()));
        format!(
            "simulate --replay {seed} --engine {engine} --operations {}{plant}",
            self.operations
        )
    }

    /// Runs the seed in a process of its own.
    pub fn verdict(&self) -> io::Result<SeedVerdict> {
        let mut child = Command::new(env::current_exe()?)
            .args(self.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (said, errors) = (drained(child.stdout.take()), drained(child.stderr.take()));
        let ended = wait(&mut child)?;
        let (said, errors) = (said.recv().unwrap_or_default(), errors.recv().unwrap_or_default());
        let last = said.lines().last().unwrap_or_default();
        Ok(SeedVerdict::parse(last).unwrap_or_else(|| {
            let why = if ended { "ended with" } else { "did not end; it said" };
            SeedVerdict::broken(self.seed, format!("the seed's process {why}: {}", tail(&errors)))
        }))
    }
}

/// How an engine is called on the command line.
fn argument_of(engine: CqlEngine) -> &'static str {
    match engine {
        CqlEngine::Cassandra => "cassandra",
        CqlEngine::Scylla => "scylladb",
    }
}

/// Reads a pipe to its end, so that the child never waits for room in it.
fn drained(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until an error is all there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

/// Ends this process when it has worked for [`WORK_MAX`].
pub fn end_in_time() {
    let limit = Rlimit { current: Some(WORK_MAX), maximum: None };
    // Without the limit a seed can take longer, and no verdict differs.
    let _ = setrlimit(Resource::Cpu, limit);
}

/// Whether it ended by itself; it is killed after [`WAIT_MAX`]. A time in which the machine stood still does not count.
fn wait(child: &mut Child) -> io::Result<bool> {
    let (mut waited, mut looked) = (Duration::ZERO, Instant::now());
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.signal() != Some(Signal::XCPU.as_raw()));
        }
        if waited > WAIT_MAX {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(pause);
        waited += looked.elapsed().min(LOOK_MAX);
        looked = Instant::now();
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(1_500);
    text.get(from..).unwrap_or(text).trim()
}

/// Runs all, some at a time, and hands each verdict to `take` in the order in which they end. Stops
/// when `take` says false.
pub fn run_all(
    runs: &[SeedRun],
    mut take: impl FnMut(&SeedRun, SeedVerdict) -> bool,
) -> io::Result<()> {
    let at_once = thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if send.send((run, run.verdict())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        for (run, verdict) in receive {
            if !take(run, verdict?) {
                next.store(runs.len(), Ordering::Relaxed);
                break;
            }
        }
        Ok(())
    })
}
