//! Blocking work on threads beside the simulated one, of which only one ever runs.
//!
//! Invariant: while a side thread runs, the simulated thread waits for it inside a poll, so tokio's
//! paused clock stands still. A side thread that waits for a future polls it itself. If the future
//! is not ready, the side thread sleeps and the simulated thread goes on; the waker of the future is
//! that of the task which drives the side thread. So the order of all work is the order in which the
//! simulated runtime polls its tasks.
//!
//! A side thread whose task was dropped sleeps until the process ends: unwinding it would run code
//! that waits for the store.

mod thread;

use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::runtime::Handle;

use thread::{SideThread, ThreadOrder};

/// A pool of side threads. Its clones share it.
#[derive(Clone, Default)]
pub struct SideThreads {
    idle: Arc<Mutex<Vec<SideThread>>>,
}

impl SideThreads {
    /// A pool without threads: each begins when no thread is idle.
    pub fn new() -> SideThreads {
        SideThreads::default()
    }

    /// How many threads have no work.
    pub fn idle(&self) -> usize {
        self.with(|idle| idle.len())
    }

    fn take(&self) -> SideThread {
        self.with(Vec::pop).unwrap_or_else(SideThread::start)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<SideThread>) -> T) -> T {
        work(&mut self.idle.lock().expect("nothing panics with the pool in its hand"))
    }
}

impl fmt::Debug for SideThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SideThreads").field("idle", &self.idle()).finish()
    }
}

impl cold::BlockingRunner for SideThreads {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let threads = self.clone();
        Box::pin(async move {
            let mut thread = threads.take();
            let mut work = Some((work, Handle::current()));
            let ended = poll_fn(|context| {
                let waker = context.waker().clone();
                thread.go_on(match work.take() {
                    Some((work, runtime)) => ThreadOrder::Begin { work, runtime, waker },
                    None => ThreadOrder::Resume(waker),
                })
            })
            .await;
            threads.with(|idle| idle.push(thread));
            if let Err(panic) = ended {
                resume_unwind(panic);
            }
        })
    }

    fn wait(&self, future: Pin<&mut dyn Future<Output = ()>>) {
        thread::wait(future);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use cold::BlockingRunner;
    use tokio::runtime::Builder;
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    fn block_on(threads: &SideThreads, future: impl Future<Output = ()>) {
        threads.wait(pin!(future));
    }

    fn note(log: &Log, what: impl Into<String>) {
        log.lock().unwrap().push(what.into());
    }

    fn panics() {
        panic!("as planned");
    }

    /// Four pieces of work that sleep, talk to a task and wait inside of waiting.
    async fn run() -> (Vec<String>, usize) {
        let (threads, log, began) = (SideThreads::new(), Log::default(), Instant::now());
        let (orders, mut received) = mpsc::channel::<u64>(1);
        let teller = log.clone();
        let listening = tokio::spawn(async move {
            while let Some(number) = received.recv().await {
                note(&teller, format!("heard {number} at {}", began.elapsed().as_millis()));
                sleep(Duration::from_millis(5)).await;
            }
        });
        let tasks: Vec<_> = (0..4u64)
            .map(|number| {
                let (side, log, orders) = (threads.clone(), log.clone(), orders.clone());
                let work = move || {
                    note(&log, format!("{number} begins"));
                    block_on(&side, sleep(Duration::from_millis(10 * (4 - number))));
                    block_on(&side, async {
                        sleep(Duration::from_millis(1)).await;
                        block_on(&side, sleep(Duration::from_millis(3)));
                        orders.send(number).await.unwrap();
                    });
                    note(&log, format!("{number} ends at {}", began.elapsed().as_millis()));
                };
                tokio::spawn(threads.run(Box::new(work)))
            })
            .collect();
        drop(orders);
        for task in tasks {
            task.await.unwrap();
        }
        listening.await.unwrap();
        let lines = log.lock().unwrap().clone();
        (lines, threads.idle())
    }

    #[test]
    fn one_order_of_work() {
        let fresh = || {
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(run())
        };
        let (first, threads) = fresh();
        assert_eq!(first.len(), 12, "{first:?}");
        assert_eq!(first[..4], ["0 begins", "1 begins", "2 begins", "3 begins"]);
        assert!(first[4].starts_with("3 ends"), "{first:?}");
        assert!(first[5].starts_with("heard 3"), "{first:?}");
        assert_eq!(threads, 4);
        for _ in 0..20 {
            assert_eq!(fresh().0, first);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_during_a_wait_inside_of_a_wait_is_not_lost() {
        let threads = SideThreads::new();
        let (wake, mut woken) = mpsc::channel::<()>(1);
        let side = threads.clone();
        let work = move || {
            let mut waited = false;
            block_on(&side, async {
                let both = async {
                    if !waited {
                        waited = true;
                        block_on(&side, sleep(Duration::from_millis(20)));
                    }
                };
                // The channel is polled first, and its message comes during the inner wait.
                futures::future::join(woken.recv(), both).await;
            });
        };
        let task = tokio::spawn(threads.run(Box::new(work)));
        sleep(Duration::from_millis(10)).await;
        wake.send(()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_passed_on_and_the_thread_is_used_again() {
        let threads = SideThreads::new();
        let panicked = tokio::spawn(threads.run(Box::new(panics))).await;
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(threads.idle(), 1);
        threads.run(Box::new(|| ())).await;
        assert_eq!(threads.idle(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_task_leaves_its_thread_asleep() {
        let threads = SideThreads::new();
        let side = threads.clone();
        let work = move || block_on(&side, std::future::pending());
        let task = tokio::spawn(threads.run(Box::new(work)));
        sleep(Duration::from_millis(1)).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        threads.run(Box::new(|| ())).await;
        assert_eq!(threads.idle(), 1);
    }
}
