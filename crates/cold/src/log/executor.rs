//! Where the kernel waits for the store.

use std::sync::{Arc, LazyLock};

use delta_kernel::{KernelError, KernelResult};
use delta_kernel_default_engine::executor::TaskExecutor;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use futures::TryFutureExt;
use futures::future::BoxFuture;
use tokio::runtime::EnterGuard;

use crate::blocking::{self, BlockingPool, BlockingRunner};

/// Threads on which the kernel waits for the store. It needs at least two.
const KERNEL_THREADS: usize = 2;

static KERNEL_RUNTIME: LazyLock<Arc<TokioMultiThreadExecutor>> = LazyLock::new(|| {
    let executor = TokioMultiThreadExecutor::new_owned_runtime(Some(KERNEL_THREADS), None)
        .expect("two threads can be started");
    Arc::new(executor)
});

#[derive(Debug)]
pub(super) enum KernelExecutor {
    Own(Arc<TokioMultiThreadExecutor>),
    Runner(Arc<dyn BlockingRunner>),
}

impl KernelExecutor {
    pub(super) fn new(blocking: &BlockingPool) -> KernelExecutor {
        match &blocking.0 {
            None => KernelExecutor::Own(Arc::clone(&KERNEL_RUNTIME)),
            Some(runner) => KernelExecutor::Runner(Arc::clone(runner)),
        }
    }
}

impl TaskExecutor for KernelExecutor {
    /// A runner is in a runtime of tokio already.
    type Guard<'a> = Option<EnterGuard<'a>>;

    fn block_on<T>(&self, task: T) -> T::Output
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        match self {
            KernelExecutor::Own(runtime) => runtime.block_on(task),
            KernelExecutor::Runner(runner) => blocking::wait(&**runner, task),
        }
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match self {
            KernelExecutor::Own(runtime) => runtime.spawn(task),
            KernelExecutor::Runner(_) => drop(tokio::spawn(task)),
        }
    }

    fn spawn_blocking<T, R>(&self, task: T) -> BoxFuture<'_, KernelResult<R>>
    where
        T: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        match self {
            KernelExecutor::Own(runtime) => runtime.spawn_blocking(task),
            KernelExecutor::Runner(runner) => {
                let task = blocking::spawn_on(&**runner, task);
                Box::pin(task.map_err(KernelError::join_failure))
            }
        }
    }

    fn enter(&self) -> Option<EnterGuard<'_>> {
        match self {
            KernelExecutor::Own(runtime) => Some(runtime.enter()),
            KernelExecutor::Runner(_) => None,
        }
    }
}
