//! Work that blocks its thread: decoding, encoding, and the calls of the Delta kernel.
//!
//! It runs on the blocking threads of tokio. A [`BlockingRunner`] replaces them, so that a test may decide
//! when such work runs.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// Runs blocking work in place of the threads of tokio and of the Delta kernel.
pub trait BlockingRunner: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` on a thread that is in the current runtime of tokio. The future begins the work
    /// at its first poll, is ready when the work has ended, and panics if the work panicked.
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;

    /// Blocks the thread of a piece of work until `future` is ready, which may call this again.
    fn wait(&self, future: Pin<&mut dyn Future<Output = ()>>);
}

pub(crate) fn wait<F: Future>(runner: &dyn BlockingRunner, future: F) -> F::Output {
    let mut output = None;
    {
        let filled = pin!(async { output = Some(future.await) });
        runner.wait(filled);
    }
    output.expect("a runner waits until the future is ready")
}

/// Starts a piece of work. It ends even if nobody waits for it.
pub(crate) fn spawn_on<T: Send + 'static>(
    runner: &dyn BlockingRunner,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let (done, result) = oneshot::channel();
    let run = runner.run(Box::new(move || drop(done.send(work()))));
    tokio::spawn(async move {
        run.await;
        result.await.expect("work that ended has sent its result")
    })
}

#[derive(Clone, Debug, Default)]
pub(crate) struct BlockingPool(pub(crate) Option<Arc<dyn BlockingRunner>>);

impl BlockingPool {
    /// As tokio's `spawn_blocking`.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.0 {
            None => spawn_blocking(work),
            Some(runner) => spawn_on(&**runner, work),
        }
    }

    /// Blocks the thread of a piece of work until `future` is ready.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            None => Handle::current().block_on(future),
            Some(runner) => wait(&**runner, future),
        }
    }
}
