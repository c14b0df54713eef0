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
use super::fair_file_lock::FairFileLock;
use super::txn::{Seen, Txn, bound, roll_back};
use hot::HotError;

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
    /// With the moment at which each came.
    jobs: VecDeque<(Instant, Box<dyn Job>)>,
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
    health: Mutex<Health>,
}

/// How the writer fares.
#[derive(Default)]
struct Health {
    /// Since when the group under way is being written.
    busy_since: Option<Instant>,
    /// When and why the last commit failed; `None` after one that did not.
    failed: Option<(Instant, String)>,
    /// When a commit was last tried only to see whether it fails.
    probed: Option<Instant>,
}

/// Why nothing is written at the moment.
pub(super) enum Unwell {
    /// The last commit failed, for this reason: another one may succeed.
    Failing(String),
    /// No commit ends, or nobody commits.
    Stuck(String),
}

impl Shared {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begins(&self) {
        self.health().busy_since = Some(Instant::now());
    }

    fn ended(&self) {
        self.health().busy_since = None;
    }

    /// How a commit ended.
    fn committed(&self, failed: Option<String>) {
        self.health().failed = failed.map(|why| (Instant::now(), why));
    }

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
    pub(super) file_lock: FairFileLock,
    pub(super) folder: PathBuf,
    /// Below so many free bytes nothing is written.
    pub(super) free_min: u64,
    /// Counts the statements that are run.
    pub(super) statements: Arc<AtomicU64>,
}

/// Time between two commits that are tried only to see whether they fail: anybody may ask for the
/// health of the store, and as often as they like.
const PROBED_EVERY: Duration = Duration::from_secs(1);

impl Writer {
    /// Starts the thread. `timeout` is how long a caller waits for its job to begin.
    pub(super) fn start(desk: Desk, timeout: Duration) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hot-writer".into())
            .spawn(move || work(&theirs, &desk))?;
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
        queue.jobs.push_back((Instant::now(), job));
        if queue.jobs.len() >= queue.want {
            self.shared.filled.notify_one();
        }
        Ok(())
    }

    /// Accepted writes, and the commits that carried them.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.shared.writes.load(Ordering::Relaxed), self.shared.commits.load(Ordering::Relaxed))
    }

    /// Whether the writer writes, by the last commit, by the age of the oldest job that waits, and by
    /// whether its thread lives. A store that nobody writes to is well.
    pub(super) fn well(&self) -> Result<(), Unwell> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(Unwell::Stuck("the writer has stopped: restart couponry".into()));
        }
        let waiting_since = self.shared.queue().jobs.front().map(|(since, _)| *since);
        let health = self.shared.health();
        let age = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| since.elapsed());
        let (waiting, busy) = (age(waiting_since), age(health.busy_since));
        if waiting.max(busy) > self.timeout {
            let millis = waiting.max(busy).as_millis();
            return Err(Unwell::Stuck(format!("no commit has ended for {millis} ms")));
        }
        match &health.failed {
            None => Ok(()),
            Some((when, why)) => {
                let millis = when.elapsed().as_millis();
                Err(Unwell::Failing(format!("a commit failed {millis} ms ago: {why}")))
            }
        }
    }

    /// Whether it is time for a commit that only shows whether commits fail. Of many callers at a
    /// time one gets a yes.
    pub(super) fn may_probe(&self) -> bool {
        let mut health = self.shared.health();
        let is_time = health.probed.is_none_or(|at| at.elapsed() >= PROBED_EVERY);
        if is_time {
            health.probed = Some(Instant::now());
        }
        is_time
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

/// Ends the queue however the thread ends: what waits is answered, and nothing more is taken in.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        let left = std::mem::take(&mut queue.jobs);
        drop(queue);
        for (_, job) in left.into_iter().filter(|(_, job)| job.take()) {
            job.answer(Err(HotError::Unavailable("the writer has stopped".into())));
        }
    }
}

fn work(shared: &Shared, desk: &Desk) {
    let _closing = Closing(shared);
    let mut expected = 1;
    while let Some(mut group) = next_group(shared, expected) {
        expected = group.len();
        if let Err(why) = free_space(&desk.folder, desk.free_min) {
            group.retain(|job| job.take());
            group.into_iter().for_each(|job| job.answer(Err(HotError::Full(why.clone()))));
            continue;
        }
        shared.begins();
        write_group(shared, desk, group);
        shared.ended();
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
    Some(queue.jobs.drain(..size).map(|(_, job)| job).collect())
}

fn write_group(shared: &Shared, desk: &Desk, mut group: Vec<Box<dyn Job>>) {
    // Its holder releases it when this function ends, after the commit and before the answers'
    // readers can ask again.
    let entered = desk.file_lock.enter();
    group.retain(|job| job.take());
    if let Err(error) = &entered {
        let why = error.to_string();
        shared.committed(Some(why.clone()));
        return group
            .into_iter()
            .for_each(|job| job.answer(Err(HotError::Unavailable(why.clone().into()))));
    }
    // Each round sends at least one job away.
    while !group.is_empty() {
        match commit_all(shared, desk, &mut group) {
            Ok(()) => {
                drop(entered);
                // Before the answers: whoever has one finds the store writable.
                shared.committed(None);
                return group.into_iter().for_each(|job| job.answer(Ok(())));
            }
            // All was rolled back; the others are run again without it.
            Err(Ended::Job { at, error }) => {
                tracing::error!(error = %error, "a transaction failed");
                group.remove(at).answer(Err(error));
            }
            Err(Ended::All(error)) => {
                tracing::error!(error = %error, jobs = group.len(), "a commit failed");
                shared.committed(Some(error.to_string()));
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

fn commit_all(shared: &Shared, desk: &Desk, jobs: &mut [Box<dyn Job>]) -> Result<(), Ended> {
    let conn = &desk.conn;
    bound(conn, "BEGIN IMMEDIATE").map_err(|error| Ended::All(before_commit(error)))?;
    let ended = run_all(desk, jobs);
    if ended.is_err() {
        roll_back(conn);
        return ended;
    }
    shared.commits.fetch_add(1, Ordering::Relaxed);
    shared.writes.fetch_add(jobs.len() as u64, Ordering::Relaxed);
    Ok(())
}

fn run_all(desk: &Desk, jobs: &mut [Box<dyn Job>]) -> Result<(), Ended> {
    let (conn, seen) = (&desk.conn, Seen::counting(&desk.statements));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than anything here takes on a busy machine.
    const TIMEOUT: Duration = Duration::from_secs(60);

    /// A writer on a file with a constraint that only a commit looks at.
    fn writer(folder: &Path) -> Writer {
        let conn = Connection::open(folder.join("hot.db")).expect("a file");
        let tables = "PRAGMA foreign_keys = ON; CREATE TABLE one (id INTEGER PRIMARY KEY); \
                      CREATE TABLE two (id INTEGER REFERENCES one (id) \
                      DEFERRABLE INITIALLY DEFERRED)";
        conn.execute_batch(tables).expect("tables");
        let desk = Desk {
            conn,
            file_lock: FairFileLock::open(folder).expect("lock files"),
            folder: folder.to_owned(),
            free_min: 0,
            statements: Arc::default(),
        };
        Writer::start(desk, TIMEOUT).expect("a thread")
    }

    async fn insert(writer: &Writer, sql: &'static str) -> Result<(), HotError> {
        writer.run(move |txn| txn.conn.execute(sql, []).map(drop)).await
    }

    #[tokio::test]
    async fn a_commit_that_fails_is_said_until_one_succeeds() {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = writer(folder.path());
        assert!(writer.well().is_ok(), "nobody has written yet");
        for _ in 0..2 {
            let failed = insert(&writer, "INSERT INTO two VALUES (7)").await;
            assert!(matches!(failed, Err(HotError::Unknown(_))), "{failed:?}");
            let Err(Unwell::Failing(why)) = writer.well() else { panic!("it has failed") };
            assert!(why.contains("FOREIGN KEY"), "{why}");
        }
        assert!(writer.may_probe() && !writer.may_probe(), "one of those who ask");
        let one_job = insert(&writer, "INSERT INTO nowhere VALUES (7)").await;
        assert!(matches!(one_job, Err(HotError::Damaged(_))), "{one_job:?}");
        assert!(writer.well().is_err(), "that says nothing of commits");
        insert(&writer, "INSERT INTO one VALUES (7)").await.expect("a commit");
        assert!(writer.well().is_ok(), "as before");
    }

    struct Panics;

    impl Job for Panics {
        fn take(&self) -> bool {
            true
        }

        fn run(&mut self, _txn: &Txn<'_>) -> rusqlite::Result<()> {
            Ok(())
        }

        fn answer(self: Box<Self>, _ended: Result<(), HotError>) {
            panic!("the thread dies of this");
        }
    }

    #[tokio::test]
    async fn a_dead_writer_says_so_and_takes_nothing_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = writer(folder.path());
        assert!(writer.submit(Box::new(Panics)).is_ok());
        while !writer.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        assert!(matches!(writer.well(), Err(Unwell::Stuck(_))));
        let refused = insert(&writer, "INSERT INTO one VALUES (8)").await;
        assert!(matches!(refused, Err(HotError::Unavailable(_))), "{refused:?}");
    }
}
