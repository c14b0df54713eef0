//! The one writer: a thread that commits a group of waiting changes with one sync.
//!
//! *Job*: one caller's transaction body; it may be run more than once, since a group in which one
//! job fails is rolled back and run again without it. A caller is answered after the
//! commit is durable, never before. *Gathering*: before a group begins, the writer waits at most
//! [`GATHER`] for as many jobs as the last group had, since those callers are about to ask again;
//! without it groups alternate between one job and all others.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::{at_commit, before_commit, caught};
use super::turnstile::Turnstile;
use super::txn::{Seen, Txn, bound, roll_back};
use crate::HotError;

/// Longest wait for a group to fill. Measured: longer gains nothing, shorter splits groups.
const GATHER: Duration = Duration::from_micros(300);

/// Most jobs of one commit, so that the first of them does not wait for thousands.
const GROUP_MAX: usize = 512;

/// Most jobs waiting; past it callers are told to come back later.
pub(super) const WAITING_MAX: usize = 2_048;

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const ABANDONED: u8 = 2;

/// One caller's transaction, as the writer sees it.
trait Job: Send {
    /// Whether the caller still waits. From then on it will be answered by the writer alone.
    fn take(&self) -> bool;
    fn run(&mut self, txn: &Txn<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, ended: Result<(), HotError>);
}

struct Task<T, F> {
    body: F,
    claimed: Arc<AtomicU8>,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, HotError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&Txn<'_>) -> rusqlite::Result<T> + Send,
{
    fn take(&self) -> bool {
        let claim =
            self.claimed.compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire);
        claim.is_ok()
    }

    fn run(&mut self, txn: &Txn<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.body)(txn)?);
        Ok(())
    }

    fn answer(self: Box<Self>, ended: Result<(), HotError>) {
        let answer = match (ended, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err(HotError::Unavailable("the writer skipped a job".into())),
            (Err(error), _) => Err(error),
        };
        // A caller that has gone away does not want to know.
        let _ = self.reply.send(answer);
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    /// The writer sleeps until there are so many jobs.
    want: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    writes: AtomicU64,
    commits: AtomicU64,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends transactions to the writer thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    timeout: Duration,
    thread: Option<JoinHandle<()>>,
}

/// What the writer thread works with.
pub(super) struct Desk {
    pub(super) conn: Connection,
    pub(super) turnstile: Turnstile,
    pub(super) folder: PathBuf,
    /// Below so many free bytes nothing is written.
    pub(super) free_min: u64,
}

impl Writer {
    /// Starts the thread. `timeout` is how long a caller waits for its job to begin.
    pub(super) fn start(desk: Desk, timeout: Duration) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hot-writer".into())
            .spawn(move || work(&theirs, desk))?;
        Ok(Writer { shared, timeout, thread: Some(thread) })
    }

    /// Runs `body` in a transaction and returns when that is durable.
    ///
    /// # Errors
    /// `Overloaded` and `Full` before it began, `Unavailable` when it did not begin in time,
    /// `Unknown` when its commit did not end.
    pub(super) async fn run<T, F>(&self, body: F) -> Result<T, HotError>
    where
        T: Send + 'static,
        F: FnMut(&Txn<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, mut answer) = oneshot::channel();
        let claimed = Arc::new(AtomicU8::new(WAITING));
        self.submit(Box::new(Task { body, claimed: Arc::clone(&claimed), result: None, reply }))?;
        if let Ok(answer) = tokio::time::timeout(self.timeout, &mut answer).await {
            return answered(answer);
        }
        let gave_up =
            claimed.compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        if gave_up.is_ok() {
            let waited = format!("no turn to write within {} ms", self.timeout.as_millis());
            return Err(HotError::Unavailable(waited.into()));
        }
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answered(answer),
            Err(_) => Err(HotError::Unknown("the commit has not ended in time".into())),
        }
    }

    fn submit(&self, job: Box<dyn Job>) -> Result<(), HotError> {
        let mut queue = self.shared.queue();
        if queue.closed {
            return Err(HotError::Unavailable("the store is closed".into()));
        }
        if queue.jobs.len() >= WAITING_MAX {
            return Err(HotError::Overloaded { waiting: queue.jobs.len() });
        }
        queue.jobs.push_back(job);
        if queue.jobs.len() >= queue.want {
            self.shared.filled.notify_one();
        }
        Ok(())
    }

    /// Accepted writes, and the commits that carried them.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.shared.writes.load(Ordering::Relaxed), self.shared.commits.load(Ordering::Relaxed))
    }

    /// Jobs waiting now.
    pub(super) fn waiting(&self) -> u64 {
        self.shared.queue().jobs.len() as u64
    }
}

impl Drop for Writer {
    /// Ends when every job that was taken in has been answered.
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been reported by its own hook.
            let _ = thread.join();
        }
    }
}

fn answered<T>(
    answer: Result<Result<T, HotError>, oneshot::error::RecvError>,
) -> Result<T, HotError> {
    // The sender goes away unused only if the thread died in the middle of a group.
    answer.unwrap_or_else(|_| Err(HotError::Unknown("the writer stopped".into())))
}

fn work(shared: &Shared, mut desk: Desk) {
    let mut expected = 1;
    while let Some(mut group) = next_group(shared, expected) {
        expected = group.len();
        if let Err(why) = free_space(&desk.folder, desk.free_min) {
            group.retain(|job| job.take());
            group.into_iter().for_each(|job| job.answer(Err(HotError::Full(why.clone()))));
            continue;
        }
        write_group(shared, &mut desk, group);
    }
}

/// Waits for a job, then for `expected` of them, then takes all there are.
fn next_group(shared: &Shared, expected: usize) -> Option<Vec<Box<dyn Job>>> {
    let mut queue = shared.queue();
    queue.want = 1;
    while queue.jobs.is_empty() {
        if queue.closed {
            return None;
        }
        queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
    queue.want = expected.min(GROUP_MAX);
    let until = Instant::now() + GATHER;
    while queue.jobs.len() < queue.want {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        queue = match shared.filled.wait_timeout(queue, left) {
            Ok((queue, _)) => queue,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
    let size = queue.jobs.len().min(GROUP_MAX);
    Some(queue.jobs.drain(..size).collect())
}

fn write_group(shared: &Shared, desk: &mut Desk, mut group: Vec<Box<dyn Job>>) {
    // Its holder releases it when this function ends, after the commit and before the answers'
    // readers can ask again.
    let entered = desk.turnstile.enter();
    group.retain(|job| job.take());
    if let Err(error) = &entered {
        let why = error.to_string();
        return group
            .into_iter()
            .for_each(|job| job.answer(Err(HotError::Unavailable(why.clone().into()))));
    }
    // Each round sends at least one job away.
    while !group.is_empty() {
        match commit_all(shared, &desk.conn, &mut group) {
            Ok(()) => {
                drop(entered);
                return group.into_iter().for_each(|job| job.answer(Ok(())));
            }
            // All was rolled back; the others are run again without it.
            Err(Ended::Job { at, error }) => {
                tracing::error!(error = %error, "a transaction failed");
                group.remove(at).answer(Err(error));
            }
            Err(Ended::All(error)) => {
                tracing::error!(error = %error, jobs = group.len(), "a commit failed");
                return group.into_iter().for_each(|job| job.answer(Err(again(&error))));
            }
        }
    }
}

/// How a group did not end well. All of it was rolled back.
enum Ended {
    /// One job cannot be done; it says nothing about the others.
    Job { at: usize, error: HotError },
    /// Nobody's job can be done at the moment.
    All(HotError),
}

impl Ended {
    fn of_job(at: usize, error: rusqlite::Error) -> Ended {
        match before_commit(error) {
            error @ (HotError::Damaged(_) | HotError::Cold(_)) => Ended::Job { at, error },
            error => Ended::All(error),
        }
    }
}

fn commit_all(shared: &Shared, conn: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), Ended> {
    bound(conn, "BEGIN IMMEDIATE").map_err(|error| Ended::All(before_commit(error)))?;
    let ended = run_all(conn, jobs);
    if ended.is_err() {
        roll_back(conn);
        return ended;
    }
    shared.commits.fetch_add(1, Ordering::Relaxed);
    shared.writes.fetch_add(jobs.len() as u64, Ordering::Relaxed);
    Ok(())
}

fn run_all(conn: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), Ended> {
    let seen = Seen::default();
    let txn = Txn::new(conn, &seen);
    for (at, job) in jobs.iter_mut().enumerate() {
        caught(|| job.run(&txn)).map_err(|error| Ended::of_job(at, error))?;
    }
    txn.flush().map_err(|error| Ended::All(before_commit(error)))?;
    bound(conn, "COMMIT").map_err(|error| Ended::All(at_commit(error)))
}

/// The same error once more, for the next caller of the group.
fn again(error: &HotError) -> HotError {
    let text = error.to_string();
    match error {
        HotError::Unavailable(_) => HotError::Unavailable(text.into()),
        HotError::Overloaded { waiting } => HotError::Overloaded { waiting: *waiting },
        HotError::Full(why) => HotError::Full(why.clone()),
        HotError::Unknown(_) => HotError::Unknown(text.into()),
        HotError::Cold(_) => HotError::Cold(text.into()),
        HotError::Damaged(why) => HotError::Damaged(why.clone()),
    }
}

/// With less nothing can be committed, whatever was set: the pages of one small group.
const FREE_LEAST: u64 = 64 << 10;

/// Whether there is room to write, and if not, a sentence that says so.
pub(super) fn free_space(folder: &Path, free_min: u64) -> Result<(), String> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(format!("{} is mounted read-only", folder.display()));
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < free_min.max(FREE_LEAST) {
        let mib = |bytes: u64| bytes >> 20;
        return Err(format!(
            "{} has {} MiB free, couponry writes from {} MiB on",
            folder.display(),
            mib(free),
            mib(free_min)
        ));
    }
    Ok(())
}
