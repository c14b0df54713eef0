//! What happened in one seed: lines with their times, faults, and the states that were reached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// One line of the time line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// Milliseconds since the seed began.
    pub at_ms: u64,
    /// A process, a node, a caller.
    pub who: String,
    /// What it did, or what was done to it.
    pub what: String,
}

/// The log of one seed. Its clones share it.
#[derive(Clone)]
pub struct Trace(Arc<SharedTrace>);

struct SharedTrace {
    keeps_lines: bool,
    began: Instant,
    inner: Mutex<TraceRecords>,
}

#[derive(Default)]
struct TraceRecords {
    lines: Vec<TraceLine>,
    reached: BTreeMap<String, u64>,
    faults: BTreeMap<&'static str, u64>,
    statements: u64,
}

impl Trace {
    /// A log that begins now. Without lines it keeps only counts.
    pub fn new(keeps_lines: bool) -> Trace {
        let (began, inner) = (Instant::now(), Mutex::default());
        Trace(Arc::new(SharedTrace { keeps_lines, began, inner }))
    }

    /// Whether lines are kept: build a long text only then.
    pub fn on(&self) -> bool {
        self.0.keeps_lines
    }

    /// Adds a line.
    pub fn say(&self, who: impl Into<String>, what: impl Into<String>) {
        if self.0.keeps_lines {
            let at_ms = self.at_ms();
            self.with(|inner| {
                inner.lines.push(TraceLine { at_ms, who: who.into(), what: what.into() })
            });
        }
    }

    /// Counts a state that was reached.
    pub fn reached(&self, state: impl Into<String>) {
        self.with(|inner| *inner.reached.entry(state.into()).or_default() += 1);
    }

    /// Counts a fault.
    pub fn fault(&self, kind: &'static str) {
        self.with(|inner| *inner.faults.entry(kind).or_default() += 1);
    }

    /// Counts a statement that a process sent.
    pub fn statement(&self) {
        self.with(|inner| inner.statements += 1);
    }

    /// Milliseconds since the seed began.
    pub fn at_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// All lines in their order.
    pub fn lines(&self) -> Vec<TraceLine> {
        self.with(|inner| inner.lines.clone())
    }

    /// Each state that was reached, and how often.
    pub fn states(&self) -> BTreeMap<String, u64> {
        self.with(|inner| inner.reached.clone())
    }

    /// Each kind of fault, and how often there was one.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.with(|inner| inner.faults.clone())
    }

    /// How many statements processes have sent.
    pub fn statements(&self) -> u64 {
        self.with(|inner| inner.statements)
    }

    fn with<T>(&self, work: impl FnOnce(&mut TraceRecords) -> T) -> T {
        work(&mut self.0.inner.lock().expect("nothing panics with the log in its hand"))
    }
}
