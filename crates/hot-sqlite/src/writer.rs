//! The one writer of a process: a thread that commits a group of waiting jobs with one sync.
//!
//! A caller is answered after its commit is durable, never before. *Job*: one caller's transaction
//! body. It may run more than once: if one job of a group fails, the group is rolled back and runs
//! again without it.

mod group;
mod health;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hot::{Gauge, HotError};
use tokio::sync::oneshot;

use crate::txn::Txn;
use group::work;
pub(crate) use group::{WriterContext, free_space};
pub(crate) use health::WriterTrouble;
use queue::{JobClaim, WriteJob, WriteTask, WriterState, micros};

/// Most jobs that wait; a caller beyond it gets `Overloaded`.
pub(crate) const WAITING_MAX: usize = 2_048;

pub(crate) struct GroupWriter {
    shared: Arc<WriterState>,
    timeout: Duration,
    thread: Option<JoinHandle<()>>,
}

impl GroupWriter {
    /// Starts the thread. `timeout` is how long a caller waits for its job to begin.
    pub(crate) fn start(desk: WriterContext, timeout: Duration) -> std::io::Result<GroupWriter> {
        let shared = Arc::new(WriterState::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hot-writer".into())
            .spawn(move || work(&theirs, &desk))?;
        Ok(GroupWriter { shared, timeout, thread: Some(thread) })
    }

    /// Runs `body` in a transaction and returns when that is durable.
    ///
    /// # Errors
    /// `Overloaded` and `Full` before it began, `Unavailable` when it did not begin in time,
    /// `Unknown` when its commit did not end.
    pub(crate) async fn run<T, F>(&self, body: F) -> Result<T, HotError>
    where
        T: Send + 'static,
        F: FnMut(&Txn<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, mut answer) = oneshot::channel();
        let claim = JobClaim::default();
        let task = WriteTask { body, claim: claim.clone(), result: None, reply };
        self.submit(Box::new(task))?;
        if let Ok(answer) = tokio::time::timeout(self.timeout, &mut answer).await {
            return answered(answer);
        }
        // Only a job that the writer has not taken is certain not to be written.
        if claim.claims() {
            let waited = format!("no turn to write within {} ms", self.timeout.as_millis());
            return Err(HotError::Unavailable(waited.into()));
        }
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answered(answer),
            Err(_) => Err(HotError::Unknown("the commit has not ended in time".into())),
        }
    }

    fn submit(&self, job: Box<dyn WriteJob>) -> Result<(), HotError> {
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

    /// Microseconds in which it wrote, so far.
    pub(crate) fn busy(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.busy_micros)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::Relaxed)
    }

    pub(crate) fn show(&self, gauge: &mut Gauge) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        gauge.writes = self.writes();
        gauge.commits = count(&self.shared.commits);
        gauge.sync_micros = count(&self.shared.sync_micros);
        gauge.waiting = self.shared.queue().jobs.len() as u64;
        gauge.oldest_waiting_micros = micros(self.oldest_waiting());
    }

    fn oldest_waiting(&self) -> Duration {
        let since = self.shared.queue().jobs.front().map(|(since, _)| *since);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether the writer writes, by its last commit, the age of the oldest job that waits, and
    /// whether its thread lives. A writer without jobs is well.
    pub(crate) fn well(&self) -> Result<(), WriterTrouble> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(WriterTrouble::Stuck("the writer has stopped: restart couponry".into()));
        }
        let waiting = self.oldest_waiting();
        self.shared.health().well(waiting, self.timeout)
    }

    pub(crate) fn may_probe(&self) -> bool {
        self.shared.health().may_probe()
    }
}

impl Drop for GroupWriter {
    /// Returns when every job that was taken in has been answered.
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // Its hook has reported a panic of the writer.
            let _ = thread.join();
        }
    }
}

fn answered<T>(
    answer: Result<Result<T, HotError>, oneshot::error::RecvError>,
) -> Result<T, HotError> {
    // The sender is dropped without an answer only if the thread died in the middle of a group.
    answer.unwrap_or_else(|_| Err(HotError::Unknown("the writer stopped".into())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Connection;

    use super::health::PROBED_EVERY;
    use super::*;
    use crate::fair_file_lock::FairFileLock;
    use crate::schema::SCHEMA_VERSION;

    /// Longer than anything here takes on a busy machine.
    const TIMEOUT: Duration = Duration::from_secs(300);

    /// A writer on a file with a constraint that only a commit looks at.
    fn writer(folder: &Path) -> GroupWriter {
        let conn = Connection::open(folder.join("hot.db")).expect("a file");
        let tables = "PRAGMA foreign_keys = ON; CREATE TABLE one (id INTEGER PRIMARY KEY); \
                      CREATE TABLE two (id INTEGER REFERENCES one (id) \
                      DEFERRABLE INITIALLY DEFERRED)";
        conn.execute_batch(tables).expect("tables");
        conn.pragma_update(None, "user_version", SCHEMA_VERSION).expect("a version");
        let desk = WriterContext {
            conn,
            file_lock: FairFileLock::open(folder).expect("lock files"),
            folder: folder.to_owned(),
            free_min: 0,
            tells: false,
            statements: Arc::default(),
            keys: Vec::new().into(),
        };
        GroupWriter::start(desk, TIMEOUT).expect("a thread")
    }

    async fn insert(writer: &GroupWriter, sql: &'static str) -> Result<(), HotError> {
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
            let Err(WriterTrouble::Failing(why)) = writer.well() else { panic!("it has failed") };
            assert!(why.contains("FOREIGN KEY"), "{why}");
        }
        let asked = Instant::now();
        assert!(writer.may_probe(), "the first one who asks");
        assert!(!writer.may_probe() || asked.elapsed() >= PROBED_EVERY, "and no other for a while");
        let one_job = insert(&writer, "INSERT INTO nowhere VALUES (7)").await;
        assert!(matches!(one_job, Err(HotError::Damaged(_))), "{one_job:?}");
        assert!(writer.well().is_err(), "that says nothing of commits");
        insert(&writer, "INSERT INTO one VALUES (7)").await.expect("a commit");
        assert!(writer.well().is_ok(), "as before");
    }

    struct Panics;

    impl WriteJob for Panics {
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
        assert!(matches!(writer.well(), Err(WriterTrouble::Stuck(_))));
        let refused = insert(&writer, "INSERT INTO one VALUES (8)").await;
        assert!(matches!(refused, Err(HotError::Unavailable(_))), "{refused:?}");
    }
}
