//! A few connections that read, each for one caller at a time.
//!
//! *Point read*: a few rows by their keys. The caller's own thread does it, since the way to
//! another thread and back takes several times as long as a read of pages in memory. While most
//! point reads are slow, they wait for the disk, and the runtime goes on without the threads that
//! read. Any longer read runs on a thread of the readers from the start: those that tokio lends to
//! blocking work are everybody's, and name servers or passwords could hold all of them.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hot::HotError;
use router::KeyRing;
use rusqlite::{Connection, Result as SqlResult};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::Semaphore;

use crate::failure::{before_commit, caught};
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
    idle: Arc<Mutex<Vec<ReadConnection>>>,
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

struct ReadConnection {
    conn: Connection,
    seen: CachedRows,
}

impl ReaderPool {
    pub(crate) fn open(
        path: &Path,
        statements: &Arc<AtomicU64>,
        keys: &KeyRing,
    ) -> Result<ReaderPool, OpenError> {
        let one = |_| {
            let seen = CachedRows::of_reader(statements, keys);
            Ok::<_, OpenError>(ReadConnection { conn: open_reader(path)?, seen })
        };
        let idle = (0..READERS).map(one).collect::<Result<Vec<_>, _>>()?;
        let threads = ReaderThreads::start();
        let file_error = |source| OpenError::File { folder: path.display().to_string(), source };
        Ok(ReaderPool {
            slow: AtomicU32::new(0),
            idle: Arc::new(Mutex::new(idle)),
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
        self.timed(|reader| in_transaction(reader, body)).await
    }

    /// The same without a read transaction, for statements that need not see the same state.
    pub(crate) async fn apart<T>(
        &self,
        body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
    ) -> Result<T, HotError> {
        let read = |reader: &ReadConnection| {
            let txn = Txn::after_others(&reader.conn, &reader.seen);
            caught(|| body(&txn)).map_err(before_commit)
        };
        self.timed(read).await
    }

    /// Runs a point read on this thread, and notes whether it was slow.
    async fn timed<T>(
        &self,
        read: impl FnOnce(&ReadConnection) -> Result<T, HotError>,
    ) -> Result<T, HotError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        let slow = self.slow.load(Ordering::Relaxed);
        // To ask for the time that this thread has computed is a system call: not while reads are fast.
        let computed_before = (slow > 0).then(computed);
        let begun = Instant::now();
        let read = || on_idle(&self.idle, read);
        let result = match self.wait_for_the_disk() && can_go_on_without_us() {
            true => tokio::task::block_in_place(read),
            false => read(),
        };
        let took = begun.elapsed();
        // The time that the thread computed says nothing about the disk.
        let computed = |before| computed().saturating_sub(before);
        let has_waited = took > SLOW
            && computed_before.is_none_or(|before| took.saturating_sub(computed(before)) > SLOW);
        let now = match has_waited {
            true => SLOW_MAX.min(slow + 1),
            false => slow.saturating_sub(1),
        };
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
        let idle = Arc::clone(&self.idle);
        let read = self.threads.handle()?.spawn_blocking(move || {
            // It is given back after the connection, also if the caller is gone by then.
            let _permit = permit;
            on_idle(&idle, |reader| in_transaction(reader, body))
        });
        read.await.unwrap_or_else(|panic| Err(HotError::Unavailable(Box::new(panic))))
    }

    /// Whether point reads wait for the disk at the moment.
    pub(crate) fn wait_for_the_disk(&self) -> bool {
        self.slow.load(Ordering::Relaxed) >= SLOW_MIN
    }

    pub(crate) fn count(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// The processor time that this thread has used so far.
fn computed() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn can_go_on_without_us() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread
}

fn closed() -> HotError {
    HotError::Unavailable("the store is closed".into())
}

/// Runs `read` on a connection that is idle. The caller must have a permit.
fn on_idle<T>(
    idle: &Mutex<Vec<ReadConnection>>,
    read: impl FnOnce(&ReadConnection) -> Result<T, HotError>,
) -> Result<T, HotError> {
    let pop = || idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    // There is a connection for each permit.
    let reader = pop().ok_or_else(|| HotError::Unavailable("no reader is idle".into()))?;
    let result = read(&reader);
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    result
}

fn in_transaction<T>(
    ReadConnection { conn, seen }: &ReadConnection,
    body: impl FnOnce(&Txn<'_>) -> SqlResult<T>,
) -> Result<T, HotError> {
    bound(conn, "BEGIN").map_err(before_commit)?;
    let result = caught(|| body(&Txn::after_others(conn, seen)));
    // Nothing was written. Its end lets the log be reset.
    roll_back(conn);
    result.map_err(before_commit)
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
                tokio::task::spawn_blocking(move || {
                    stuck.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
                });
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
