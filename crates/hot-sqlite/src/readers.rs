//! A few connections that read, each for one caller at a time.
//!
//! *Point read*: a few rows by their keys. The caller's own thread does it, since the way to
//! another thread and back takes several times as long as a read of pages in memory. While most
//! point reads are slow, they wait for the disk, and the runtime goes on without the threads that
//! read. Any longer read runs on a thread of the readers from the start: those that tokio lends to
//! blocking work are everybody's, and name servers or passwords could hold all of them.
//!
//! A read transaction stays open until something was committed: as long as the header of the log's
//! index is the same, the next read goes on in it and locks nothing. An open one keeps the log from
//! being copied and restarted, also by other processes. So the checkpointer ends them before each
//! checkpoint, and none stays open while the log is long enough to be restarted.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hot::HotError;
use parking_lot::{Mutex, MutexGuard};
use router::KeyRing;
use rusqlite::{Connection, Result as SqlResult};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::Semaphore;

use crate::failure::{before_commit, caught};
use crate::log_index::{LOG_PAGES, LogHeader, LogIndex};
use crate::schema::{OpenError, open_reader};
use crate::txn::{CachedRows, Txn, bound, roll_back};

/// More connections than usual machines have cores: one long list does not stop the look-ups.
const READERS: usize = 8;

/// A point read that waits longer, and does not compute, waits for the disk or for a processor.
const SLOW: Duration = Duration::from_micros(500);

/// Slow reads, less the fast ones in between, from which on it is the disk: on a busy machine one
/// read in a hundred waits for a processor.
const SLOW_MIN: u32 = 4;

/// Most slow reads that are counted, so that a few fast reads make up for them.
const SLOW_MAX: u32 = 8;

pub(crate) struct ReaderPool {
    /// One more for each slow read, one less for each fast one; 0 to [`SLOW_MAX`].
    slow: AtomicU32,
    idle: IdleReaders,
    permits: Arc<Semaphore>,
    reads: AtomicU64,
    threads: ReaderThreads,
}

/// The threads of the readers, one for each connection that reads. They end when they are idle.
struct ReaderThreads(Option<Runtime>);

impl ReaderThreads {
    fn start() -> io::Result<ReaderThreads> {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.thread_name("hot-reader").max_blocking_threads(READERS).build()?;
        Ok(ReaderThreads(Some(runtime)))
    }

    fn handle(&self) -> Result<&Handle, HotError> {
        self.0.as_ref().map(Runtime::handle).ok_or_else(closed)
    }
}

impl Drop for ReaderThreads {
    /// Waits for no read, so that a store may be closed within a runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The connections with which nobody reads at the moment.
#[derive(Clone)]
pub(crate) struct IdleReaders(Arc<Mutex<Vec<ReadConnection>>>);

struct ReadConnection {
    conn: Connection,
    seen: CachedRows,
    log_index: Arc<LogIndex>,
    stays_open: Cell<Option<OpenRead>>,
}

/// What the statements of a read see.
#[derive(Clone, Copy, PartialEq)]
enum ReadSnapshot {
    /// The same state.
    One,
    /// Each the last one, or all that of a read transaction that stayed open.
    Any,
}

/// A read transaction that the next read may go on in.
#[derive(Clone, Copy)]
struct OpenRead {
    /// Read before it began: it sees this commit or a later one.
    header: LogHeader,
    are_terms_checked: bool,
}

impl ReaderPool {
    pub(crate) fn open(
        path: &Path,
        statements: &Arc<AtomicU64>,
        keys: &KeyRing,
    ) -> Result<ReaderPool, OpenError> {
        let conns = (0..READERS).map(|_| open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        let log_index = Arc::new(LogIndex::of(path));
        let reader = |conn| ReadConnection {
            conn,
            seen: CachedRows::of_reader(statements, keys),
            log_index: Arc::clone(&log_index),
            stays_open: Cell::new(None),
        };
        let idle = Arc::new(Mutex::new(conns.into_iter().map(reader).collect()));
        let threads = ReaderThreads::start();
        let file_error = |source| OpenError::File { folder: path.display().to_string(), source };
        Ok(ReaderPool {
            slow: AtomicU32::new(0),
            idle: IdleReaders(idle),
            permits: Arc::new(Semaphore::new(READERS)),
            reads: AtomicU64::new(0),
            threads: threads.map_err(file_error)?,
        })
    }

    /// Runs `body`, a point read, in one read transaction, on this thread.
    pub(crate) async fn point<T>(
        &self,
        body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
    ) -> Result<T, HotError> {
        self.timed(ReadSnapshot::One, body).await
    }

    /// The same for statements that need not see the same state. Most writes do one first, which ends
    /// what stayed open: to begin another read transaction would gain nothing.
    pub(crate) async fn apart<T>(
        &self,
        body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
    ) -> Result<T, HotError> {
        self.timed(ReadSnapshot::Any, body).await
    }

    /// Runs a point read on this thread, and notes whether it was slow.
    async fn timed<T>(
        &self,
        snapshot: ReadSnapshot,
        body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
    ) -> Result<T, HotError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        let slow = self.slow.load(Ordering::Relaxed);
        // To ask for the time that this thread has computed is a system call: not while reads are fast.
        let computed_before = (slow > 0).then(computed);
        let begun = Instant::now();
        let read = || self.idle.read(snapshot, body);
        // With one thread alone, nobody goes on meanwhile.
        let has_threads = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
        let result = match self.wait_for_the_disk() && has_threads() {
            true => tokio::task::block_in_place(read),
            false => read(),
        };
        let took = begun.elapsed();
        // The time that the thread computed says nothing about the disk.
        let computed = |before| computed().saturating_sub(before);
        let has_waited = took > SLOW
            && computed_before.is_none_or(|before| took.saturating_sub(computed(before)) > SLOW);
        let now = if has_waited { SLOW_MAX.min(slow + 1) } else { slow.saturating_sub(1) };
        if now != slow {
            // Of two reads at once one is not counted, which changes little.
            self.slow.store(now, Ordering::Relaxed);
        }
        result
    }

    /// Runs `body` in one read transaction, on a thread of the readers.
    pub(crate) async fn run<T, F>(&self, body: F) -> Result<T, HotError>
    where
        T: Send + 'static,
        F: FnOnce(&Txn<'_>) -> SqlResult<T> + Send + 'static,
    {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let idle = self.idle.clone();
        let read = self.threads.handle()?.spawn_blocking(move || {
            // It is given back after the connection, also if the caller is gone by then.
            let _permit = permit;
            idle.read(ReadSnapshot::One, body)
        });
        read.await.unwrap_or_else(|panic| Err(HotError::Unavailable(Box::new(panic))))
    }

    /// Whether point reads wait for the disk at the moment.
    pub(crate) fn wait_for_the_disk(&self) -> bool {
        self.slow.load(Ordering::Relaxed) >= SLOW_MIN
    }

    pub(crate) fn idle(&self) -> IdleReaders {
        self.idle.clone()
    }

    pub(crate) fn count(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// The processor time that this thread has used so far.
fn computed() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn closed() -> HotError {
    HotError::Unavailable("the store is closed".into())
}

impl IdleReaders {
    /// Ends the read transactions that stay open.
    pub(crate) fn end(&self) {
        self.held().iter().for_each(ReadConnection::end);
    }

    /// Runs `body` on a connection that is idle. The caller must have a permit.
    fn read<T>(
        &self,
        snapshot: ReadSnapshot,
        body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
    ) -> Result<T, HotError> {
        // There is a connection for each permit.
        let reader = self.held().pop();
        let reader = reader.ok_or_else(|| HotError::Unavailable("no reader is idle".into()))?;
        let result = reader.read(snapshot, body);
        self.held().push(reader);
        result
    }

    fn held(&self) -> MutexGuard<'_, Vec<ReadConnection>> {
        self.0.lock()
    }
}

impl ReadConnection {
    fn read<T>(
        &self,
        snapshot: ReadSnapshot,
        body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
    ) -> Result<T, HotError> {
        let header = self.log_index.header();
        let goes_on = self.stays_open.take().filter(|open| Some(open.header) == header);
        if goes_on.is_none() {
            self.end();
            if snapshot == ReadSnapshot::One {
                bound(&self.conn, "BEGIN").map_err(before_commit)?;
            }
        }
        let are_terms_checked = goes_on.is_some_and(|open| open.are_terms_checked);
        let txn = Txn::of_reader(&self.conn, &self.seen, are_terms_checked);
        let result = caught(|| body(&txn));
        let may_stay = result.is_ok() && !self.conn.is_autocommit();
        match header.filter(|header| may_stay && header.pages() < LOG_PAGES) {
            Some(header) => {
                let are_terms_checked = txn.are_terms_checked();
                self.stays_open.set(Some(OpenRead { header, are_terms_checked }));
            }
            None => self.end(),
        }
        result.map_err(before_commit)
    }

    /// Nothing was written. Its end lets the log be reset.
    fn end(&self) {
        self.stays_open.set(None);
        roll_back(&self.conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readers of an empty file that take every read for slow, or none.
    fn readers(folder: &Path, slow: bool) -> ReaderPool {
        let path = folder.join("hot.db");
        Connection::open(&path).expect("a file");
        let readers =
            ReaderPool::open(&path, &Arc::default(), &Vec::new().into()).expect("readers");
        readers.slow.store(if slow { SLOW_MAX } else { 0 }, Ordering::Relaxed);
        readers
    }

    async fn one(readers: &ReaderPool) -> i64 {
        let one = readers.point(|txn| txn.conn.query_row("SELECT 1", [], |row| row.get(0))).await;
        one.expect("a row")
    }

    #[tokio::test]
    async fn open_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hot.db");
        let other = Connection::open(&path).expect("a file");
        let wal =
            "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = off;
            CREATE TABLE t (n, filler)";
        other.execute_batch(wal).expect("a table");
        let readers =
            ReaderPool::open(&path, &Arc::default(), &Vec::new().into()).expect("readers");
        let commit = |bytes: i64| {
            let sql = "INSERT INTO t VALUES (1, zeroblob(?1))";
            other.execute(sql, [bytes]).expect("a commit");
        };
        let idle = readers.idle();
        let open = || idle.held().iter().filter(|reader| !reader.conn.is_autocommit()).count();
        let cases = [
            ("an empty log's first read", 0, false, 1),
            ("nothing was committed", 0, false, 1),
            ("another process committed", 1, false, 1),
            ("before a checkpoint", 0, true, 1),
            ("the log is long", LOG_PAGES * 4_096, false, 0),
        ];
        let mut rows = 0;
        for (name, bytes, ends, stay_open) in cases {
            if ends {
                idle.end();
                assert_eq!(open(), 0, "{name}");
            }
            if bytes > 0 {
                commit(bytes);
                rows += 1;
            }
            let sql = "SELECT count(*) FROM t";
            let apart = readers.apart(|txn| txn.one::<i64>(sql, [])).await;
            assert_eq!(apart.expect("a count"), rows, "{name}, apart");
            let count = readers.point(|txn| txn.one::<i64>(sql, [])).await;
            assert_eq!(count.expect("a count"), rows, "{name}");
            assert_eq!(open(), stay_open, "{name}");
        }
        commit(1);
        let apart = readers.apart(|txn| txn.one::<i64>("SELECT count(*) FROM t", [])).await;
        assert_eq!((apart.expect("a count"), open()), (rows + 1, 0), "none begins apart");
        let failed = readers.point(|txn| txn.one::<i64>("SELECT n FROM t WHERE n > 1", [])).await;
        assert!(failed.is_err() && open() == 0, "a read that failed");
    }

    #[tokio::test]
    async fn one_thread() {
        for slow in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            assert_eq!(one(&readers(folder.path(), slow)).await, 1, "slow: {slow}");
        }
    }

    /// Passwords, downloads or look-ups of names may hold all threads that tokio lends.
    #[test]
    fn reads_go_on_while_all_other_threads_are_stuck() {
        const LENT: usize = 512;
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).max_blocking_threads(LENT).enable_time().build();
        let runtime = runtime.expect("a runtime");
        let (free, stuck) = std::sync::mpsc::channel::<()>();
        let stuck = Arc::new(Mutex::new(stuck));
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let readers = Arc::new(readers(folder.path(), false));
            for _ in 0..LENT {
                let stuck = Arc::clone(&stuck);
                tokio::task::spawn_blocking(move || stuck.lock().recv().ok());
            }
            let one =
                |txn: &Txn<'_>| txn.conn.query_row("SELECT 1", [], |row| row.get::<_, i64>(0));
            let mut reads = tokio::task::JoinSet::new();
            for _ in 0..2 * READERS {
                let readers = Arc::clone(&readers);
                reads.spawn(async move { readers.run(one).await });
            }
            while let Some(read) = next(&mut reads).await {
                assert_eq!(read.expect("no panic").expect("read"), 1);
            }
        });
        drop(free);
    }

    /// The next task that ends, if it does so within the time of a test.
    async fn next<T: 'static>(
        tasks: &mut tokio::task::JoinSet<T>,
    ) -> Option<Result<T, tokio::task::JoinError>> {
        let next = tokio::time::timeout(Duration::from_secs(60), tasks.join_next()).await;
        next.expect("reads wait for nobody else's threads")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn slow_reads_leave_the_runtime_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let readers = Arc::new(readers(folder.path(), false));
        let its = Arc::clone(&readers);
        let slow = tokio::spawn(async move {
            for _ in 0..SLOW_MIN {
                let slept = its.point(|_| {
                    std::thread::sleep(2 * SLOW);
                    Ok(())
                });
                let slept = slept.await;
                slept.expect("read");
            }
        });
        slow.await.expect("no panic");
        assert_eq!(readers.slow.load(Ordering::Relaxed), SLOW_MIN);
        // The only thread of the runtime waits for something that only another task can bring.
        let (bring, brought) = std::sync::mpsc::channel();
        let its = Arc::clone(&readers);
        let waits = tokio::spawn(async move {
            its.point(move |_| {
                let brought = brought.recv_timeout(Duration::from_secs(180));
                Ok(brought.is_ok())
            })
            .await
        });
        let other = tokio::spawn(async move { bring.send(()) });
        assert!(waits.await.expect("no panic").expect("read"), "the other task went on");
        other.await.expect("no panic").expect("somebody listened");
        // On a busy machine, some of these reads are slow as well.
        for _ in 0..100_000 {
            if !readers.wait_for_the_disk() {
                return;
            }
            one(&readers).await;
        }
        panic!("fast reads do not make up for slow ones");
    }
}
