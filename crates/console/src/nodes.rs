//! The nodes of the cluster on which the store is, as they say of themselves.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// For how long an answer is shown again: whoever looks often asks no node more often.
const KEPT: Duration = Duration::from_secs(5);

/// Asks every node, or says why that is not possible. Takes as long as the slowest one.
pub type ReadNodes = dyn Fn() -> BoxFuture<'static, Result<Vec<NodeInfo>, String>> + Send + Sync;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// `host:port`.
    pub address: String,
    pub datacenter: String,
    /// What it says, or why it says nothing.
    pub answer: Result<NodeAnswer, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAnswer {
    pub version: String,
    /// How far the clock of this machine is ahead of its clock, in milliseconds; negative when it is behind.
    pub clock_ahead_ms: i64,
}

type NodesAnswer = Result<Vec<NodeInfo>, String>;

pub(crate) struct NodeCache {
    read: Box<ReadNodes>,
    last: Mutex<Option<(Instant, NodesAnswer)>>,
}

impl NodeCache {
    pub(crate) fn new(read: Box<ReadNodes>) -> NodeCache {
        NodeCache { read, last: Mutex::default() }
    }

    /// What they say. Those who ask meanwhile wait for the same answer.
    pub(crate) async fn all(&self) -> NodesAnswer {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < KEPT
        {
            return found.clone();
        }
        let found = (self.read)().await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}
