//! The gate: with it a test stops a process before a statement that writes.

use std::sync::Arc;

use futures::future::BoxFuture;

/// Called with the text of each statement that writes, before it is sent; the statement waits for
/// it. For tests that stop a process at a step, for ever or for a while.
#[derive(Clone)]
pub struct Gate(pub(super) Arc<dyn Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync>);

impl Gate {
    /// A gate that waits for what `opens` returns.
    pub fn new(
        opens: impl Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Gate {
        Gate(Arc::new(opens))
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}
