//! The queue of jobs between callers and the writer thread.
//!
//! *Gathering*: before a group begins, the writer waits at most [`GATHER`] for as many jobs as the
//! last group had, since their callers are about to ask again. Without it groups alternate between
//! one job and all others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hot::HotError;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::health::WriterHealth;
use rusqlite::Result as SqlResult;

use crate::txn::Txn;

/// Longest wait for a group to fill. Measured: longer gains nothing, shorter splits groups.
const GATHER: Duration = Duration::from_micros(300);

/// Most jobs of one commit, so that the first of them does not wait for thousands.
const GROUP_MAX: usize = 512;

/// One caller's transaction, as the writer sees it.
pub(super) trait WriteJob: Send {
    /// Whether the caller still waits. If so, the writer must answer it from now on.
    fn take(&self) -> bool;
    fn run(&mut self, txn: &Txn<'_>) -> SqlResult<()>;
    fn answer(self: Box<Self>, ended: Result<(), HotError>);
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

pub(super) struct WriteTask<T, F> {
    pub(super) body: F,
    pub(super) claim: JobClaim,
    pub(super) result: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, HotError>>,
}

/// Either the writer takes a job, or its caller abandons it: whoever is first.
#[derive(Clone, Default)]
pub(super) struct JobClaim(Arc<AtomicBool>);

impl JobClaim {
    /// Claims the job. Whether nobody had: then nobody else ever will. Each side calls it once.
    pub(super) fn claims(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl<T, F> WriteJob for WriteTask<T, F>
where
    T: Send,
    F: FnMut(&Txn<'_>) -> SqlResult<T> + Send,
{
    fn take(&self) -> bool {
        self.claim.claims()
    }

    fn run(&mut self, txn: &Txn<'_>) -> SqlResult<()> {
        self.result = Some((self.body)(txn)?);
        Ok(())
    }

    fn answer(self: Box<Self>, ended: Result<(), HotError>) {
        let answer = match (ended, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err(HotError::Unavailable("the writer skipped a job".into())),
            (Err(error), _) => Err(error),
        };
        // The caller may be gone.
        let _ = self.reply.send(answer);
    }
}

#[derive(Default)]
pub(super) struct JobQueue {
    /// Each with the moment at which it came.
    pub(super) jobs: VecDeque<(Instant, Box<dyn WriteJob>)>,
    /// The writer sleeps until there are this many jobs.
    pub(super) want: usize,
    pub(super) closed: bool,
}

#[derive(Default)]
pub(super) struct WriterState {
    queue: Mutex<JobQueue>,
    pub(super) filled: Condvar,
    pub(super) writes: AtomicU64,
    pub(super) commits: AtomicU64,
    /// Microseconds that these took to become durable.
    pub(super) sync_micros: AtomicU64,
    pub(super) busy_micros: Arc<AtomicU64>,
    health: Mutex<WriterHealth>,
}

impl WriterState {
    pub(super) fn health(&self) -> MutexGuard<'_, WriterHealth> {
        self.health.lock()
    }

    pub(super) fn ended(&self) {
        if let Some(since) = self.health().busy_since.take() {
            self.busy_micros.fetch_add(micros(since.elapsed()), Ordering::Relaxed);
        }
    }

    pub(super) fn committed(&self, failed: Option<String>) {
        self.health().failed = failed.map(|why| (Instant::now(), why));
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, JobQueue> {
        self.queue.lock()
    }
}

/// When the writer thread ends, also by a panic, closes the queue and answers the jobs in it.
pub(super) struct QueueCloser<'a>(pub(super) &'a WriterState);

impl Drop for QueueCloser<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        let left = std::mem::take(&mut queue.jobs);
        // Before the answers: a caller that wakes may submit again at once.
        drop(queue);
        for (_, job) in left.into_iter().filter(|(_, job)| job.take()) {
            job.answer(Err(HotError::Unavailable("the writer has stopped".into())));
        }
    }
}

/// Waits for a job, then for `expected` jobs. `None` when the queue is closed and empty.
pub(super) fn next_group(shared: &WriterState, expected: usize) -> Option<Vec<Box<dyn WriteJob>>> {
    let mut queue = shared.queue();
    queue.want = 1;
    while queue.jobs.is_empty() {
        if queue.closed {
            return None;
        }
        shared.filled.wait(&mut queue);
    }
    queue.want = expected.min(GROUP_MAX);
    let until = Instant::now() + GATHER;
    while queue.jobs.len() < queue.want {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        shared.filled.wait_for(&mut queue, left);
    }
    let size = queue.jobs.len().min(GROUP_MAX);
    Some(queue.jobs.drain(..size).map(|(_, job)| job).collect())
}
