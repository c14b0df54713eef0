//! Stops a process before or after one of its next writes, so that every order of steps is
//! interrupted between every two of them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use cql_session::{Page, Request};
use futures::future::BoxFuture;
use scylla::errors::ExecutionError;
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

use crate::session::{Process, Tamper};
use crate::trace::Trace;

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It never does anything again.
    Kill,
    /// It does nothing for this long.
    Freeze(Duration),
}

/// Which step it is stopped at.
#[derive(Clone, Copy, Debug)]
struct Armed {
    /// Writes that it still makes.
    passes: u64,
    /// Whether the write is made.
    after: bool,
    stop: Stop,
}

/// One process, from its start to its end.
pub(crate) struct Life {
    pub(crate) process: Process,
    trace: Trace,
    dead: watch::Sender<bool>,
    armed: Mutex<Option<Armed>>,
    /// Stops that are due after a write whose answer has not come: one for each text.
    due: Mutex<BTreeMap<&'static str, Stop>>,
}

impl Life {
    pub(crate) fn new(process: Process, trace: Trace) -> Life {
        let (dead, armed, due) = (watch::Sender::new(false), Mutex::default(), Mutex::default());
        Life { process, trace, dead, armed, due }
    }

    /// Stops the process at the write after the next `passes` ones.
    pub(crate) fn stop_at(&self, passes: u64, after: bool, stop: Stop) {
        let armed = Armed { passes, after, stop };
        *self.armed.lock().expect("no holder panics") = Some(armed);
    }

    /// Lets the process go on for good.
    pub(crate) fn disarm(&self) {
        *self.armed.lock().expect("no holder panics") = None;
        self.due.lock().expect("no holder panics").clear();
    }

    /// Counts that what it had in memory is lost.
    pub(crate) fn lost_memory(&self) {
        self.trace.fault("process killed");
    }

    /// Does it now.
    pub(crate) fn stop(&self, stop: Stop) {
        match stop {
            Stop::Kill => {
                self.trace.say(self.process.name(), "is killed");
                self.end();
            }
            Stop::Freeze(long) => {
                self.trace
                    .say(self.process.name(), format!("is frozen for {} ms", long.as_millis()));
                self.process.freeze(long);
            }
        }
    }

    /// It has flushed, and ends: what it was frozen in never goes on.
    pub(crate) fn exit(&self) {
        self.trace.say(self.process.name(), "ends");
        self.end();
    }

    fn end(&self) {
        self.process.kill();
        self.dead.send_replace(true);
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Returns when the process is killed.
    pub(crate) async fn died(&self) {
        let mut dead = self.dead.subscribe();
        // The sender lives as long as `self`.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// The answer of a call of this process; `None` if it is killed before.
    pub(crate) async fn alive<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.died() => None,
            // The answer of a process that was killed at its last step is never sent.
            answer = call => (!self.is_dead()).then_some(answer),
        }
    }

    /// The stop before this write, or `None`. A stop after it is kept until its answer comes.
    fn met(&self, cql: &'static str) -> Option<Stop> {
        let mut armed = self.armed.lock().expect("no holder panics");
        let it = armed.as_mut()?;
        if it.passes > 0 {
            it.passes -= 1;
            return None;
        }
        let Armed { after, stop, .. } = armed.take()?;
        if after {
            self.due.lock().expect("no holder panics").insert(cql, stop);
            return None;
        }
        Some(stop)
    }

    fn stopped(&self, when: &str, cql: &'static str, stop: Stop) {
        let how = match stop {
            Stop::Kill => "killed",
            Stop::Freeze(_) => "frozen",
        };
        self.trace.reached(format!("{how} {when} {}", short(cql)));
        self.trace.fault("process stopped at a step");
        self.stop(stop);
    }
}

impl Tamper for Life {
    fn before(
        &self,
        request: &Request,
    ) -> BoxFuture<'static, Option<Result<Page, ExecutionError>>> {
        if is_write(request.cql)
            && let Some(stop) = self.met(request.cql)
        {
            self.stopped("before", request.cql, stop);
        }
        // A process that is stopped here sends the statement when it goes on.
        let process = self.process.clone();
        Box::pin(async move {
            process.gate().await;
            None
        })
    }

    fn after(
        &self,
        request: &Request,
        result: Result<Page, ExecutionError>,
    ) -> Result<Page, ExecutionError> {
        let due = self.due.lock().expect("no holder panics").remove(request.cql);
        if let Some(stop) = due {
            self.stopped("after", request.cql, stop);
        }
        result
    }
}

fn is_write(cql: &str) -> bool {
    !cql.starts_with("SELECT")
}

/// The name of a statement: what it does, to which table, and which of several it is.
pub(crate) fn short(cql: &str) -> String {
    let mut words = cql.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let table = match verb {
        "UPDATE" => words.next(),
        _ => words.nth(1),
    };
    let is_conditional = if cql.contains(" IF ") { ", if" } else { "" };
    let text: String = cql.split_whitespace().collect::<Vec<_>>().join(" ");
    let which = xxh3_64(text.as_bytes()) & 0xFFFF;
    format!("{verb} {}{is_conditional} #{which:04x}", table.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_statements() {
        let name = short("UPDATE coupon SET state = ? WHERE code = ? IF version = ?");
        assert!(name.starts_with("UPDATE coupon, if #"), "{name}");
        assert!(short("INSERT INTO wallet (user_id) VALUES (?)").starts_with("INSERT wallet #"));
        assert!(short("DELETE FROM lease WHERE a = ?").starts_with("DELETE lease #"));
        assert_eq!(short("DELETE FROM lease  WHERE a = ?"), short("DELETE FROM lease WHERE a = ?"));
    }
}
