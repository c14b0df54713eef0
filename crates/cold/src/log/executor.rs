//! Where the kernel waits for the store.

use std::sync::LazyLock;

use delta_kernel::{KernelError, KernelResult};
use delta_kernel_default_engine::executor::TaskExecutor;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use futures::TryFutureExt;
use futures::future::BoxFuture;
use tokio::runtime::EnterGuard;

use crate::blocking::{self, BlockingPool};

/// Threads on which the kernel waits for the store. It needs at least two.
const KERNEL_THREADS: usize = 2;

static KERNEL_RUNTIME: LazyLock<TokioMultiThreadExecutor> = LazyLock::new(|| {
    TokioMultiThreadExecutor::new_owned_runtime(Some(KERNEL_THREADS), None)
        .expect("two threads can be started")
});

/// Waits on the runner of the pool, or else on a runtime of its own.
#[derive(Debug)]
pub(super) struct KernelExecutor(pub(super) BlockingPool);

impl TaskExecutor for KernelExecutor {
    /// A runner is in a runtime of tokio already.
    type Guard<'a> = Option<EnterGuard<'a>>;

    fn block_on<T>(&self, task: T) -> T::Output
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        match &self.0.0 {
            None => KERNEL_RUNTIME.block_on(task),
            Some(runner) => blocking::wait(&**runner, task),
        }
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match &self.0.0 {
            None => KERNEL_RUNTIME.spawn(task),
            Some(_) => drop(tokio::spawn(task)),
        }
    }

    fn spawn_blocking<T, R>(&self, task: T) -> BoxFuture<'_, KernelResult<R>>
    where
        T: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        match &self.0.0 {
            None => KERNEL_RUNTIME.spawn_blocking(task),
            Some(runner) => {
                let task = blocking::spawn_on(&**runner, task);
                Box::pin(task.map_err(KernelError::join_failure))
            }
        }
    }

    fn enter(&self) -> Option<EnterGuard<'_>> {
        match &self.0.0 {
            None => Some(KERNEL_RUNTIME.enter()),
            Some(_) => None,
        }
    }
}
