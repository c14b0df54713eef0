//! Messages between nodes: each may be lost, late or repeated, and waits while its receiver is
//! frozen.
//!
//! A message that arrives in time is handled by the task of its sender. Only the others get a task,
//! since most messages of most seeds arrive in time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::coordinator::StatementCoordinator;
use super::node::ReplicaNode;
use super::weather::within;
use super::{CoordinatorFailure, NodeReach, SimulatedCluster};
use crate::cql::Mutation;

/// The time of a message that is not late, and of its answer.
const PROMPT: Duration = Duration::from_millis(1);

/// What replicas are asked, and how long for.
pub(super) struct ReplicaRequest<H> {
    pub(super) handler: H,
    pub(super) limit: Duration,
    /// What a replica without an acknowledgement is sent later.
    pub(super) hint: Option<Arc<[Mutation]>>,
    /// Whether the network may deliver it twice.
    pub(super) may_repeat: bool,
}

/// A message to one node.
struct ReplicaMessage<H, T> {
    cluster: SimulatedCluster,
    from: usize,
    to: usize,
    handler: Arc<H>,
    replies: UnboundedSender<(usize, T)>,
    hint: Option<Arc<[Mutation]>>,
    may_repeat: bool,
}

impl<H, T> Clone for ReplicaMessage<H, T> {
    fn clone(&self) -> Self {
        ReplicaMessage {
            cluster: self.cluster.clone(),
            from: self.from,
            to: self.to,
            handler: Arc::clone(&self.handler),
            replies: self.replies.clone(),
            hint: self.hint.clone(),
            may_repeat: self.may_repeat,
        }
    }
}

impl<H, T> ReplicaMessage<H, T>
where
    H: Fn(&mut ReplicaNode) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    /// Sends it on its way. `true`: it arrives in time, and the sender itself handles it.
    fn sent(&self) -> bool {
        if self.from == self.to {
            return true;
        }
        let (out, back, copy) = self.cluster.with(|state| {
            let (weather, rng) = (&state.weather, &mut state.rng);
            let (out, back) = (weather.delay(rng), weather.delay(rng));
            let copy = self.may_repeat && rng.chance(weather.twice);
            let copy = copy.then(|| within(weather.late_ms, rng));
            (out, back, copy)
        });
        if let Some(late) = copy {
            self.cluster.trace().fault("message repeated");
            // Nobody waits for the answer to a copy: a replica that accepted the first may refuse
            // the second.
            self.clone().spawn(late, None);
        }
        match (out, back) {
            (Some(0), Some(0)) => return true,
            (None, _) => self.is_lost(),
            (Some(out), back) => {
                let fault = if back.is_some() { "message late" } else { "answer lost" };
                self.cluster.trace().fault(fault);
                self.clone().spawn(out, back);
            }
        }
        false
    }

    fn is_lost(&self) {
        self.cluster.trace().fault("message lost");
        if let Some(hint) = &self.hint {
            self.cluster.hint(self.to, hint);
        }
    }

    fn spawn(self, out: u64, back: Option<u64>) {
        let in_flight = self.cluster.in_flight();
        tokio::spawn(async move {
            self.deliver(out, back).await;
            drop(in_flight);
        });
    }

    async fn deliver(self, out: u64, back: Option<u64>) {
        self.cluster.pause(out).await;
        if self.cluster.thawed(self.from, self.to).await == NodeReach::Gone {
            return self.is_lost();
        }
        let reply = self.cluster.with(|state| (self.handler)(&mut state.nodes[self.to]));
        let Some(back) = back else {
            if let Some(hint) = &self.hint {
                self.cluster.hint(self.to, hint);
            }
            return;
        };
        self.cluster.pause(back).await;
        if self.cluster.with(|state| state.reach(self.to, self.from)) != NodeReach::Gone {
            // The coordinator may have answered by now.
            self.replies.send((self.to, reply)).ok();
        }
    }
}

impl StatementCoordinator {
    /// Asks the nodes `to` and waits until their answers are `enough`, all have answered, or the
    /// time is over. What is still on its way arrives later.
    pub(super) async fn round<T, H>(
        &self,
        to: &[usize],
        question: ReplicaRequest<H>,
        enough: impl Fn(&[(usize, T)]) -> bool + Send,
    ) -> Result<Vec<(usize, T)>, CoordinatorFailure>
    where
        H: Fn(&mut ReplicaNode) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let ReplicaRequest { handler, limit, hint, may_repeat } = question;
        let at_once = self.cluster.with(|state| {
            if !state.is_calm() {
                state.are_equal = false;
                return None;
            }
            Some(to.iter().map(|node| (*node, handler(&mut state.nodes[*node]))).collect())
        });
        if let Some(replies) = at_once {
            return Ok(replies);
        }
        let deadline = Instant::now() + limit;
        let handler = Arc::new(handler);
        let (replies, receiver) = unbounded_channel();
        let letters: Vec<_> = to
            .iter()
            .map(|&to| ReplicaMessage {
                cluster: self.cluster.clone(),
                from: self.node,
                to,
                handler: Arc::clone(&handler),
                replies: replies.clone(),
                hint: hint.clone(),
                may_repeat,
            })
            .filter(ReplicaMessage::sent)
            .collect();
        drop(replies);
        let replies = self.prompt(letters).await?;
        self.rest(replies, receiver, to.len(), deadline, enough).await
    }

    /// Handles what arrives in time.
    async fn prompt<T, H>(
        &self,
        letters: Vec<ReplicaMessage<H, T>>,
    ) -> Result<Vec<(usize, T)>, CoordinatorFailure>
    where
        H: Fn(&mut ReplicaNode) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        if letters.iter().any(|letter| letter.to != self.node) {
            sleep(PROMPT).await;
        }
        self.awake().await?;
        let mut replies = Vec::with_capacity(letters.len());
        for letter in letters {
            let reply = self.cluster.with(|state| match state.reach(self.node, letter.to) {
                NodeReach::Ready => Ok((letter.handler)(&mut state.nodes[letter.to])),
                other => Err(other),
            });
            match reply {
                Ok(reply) => replies.push((letter.to, reply)),
                Err(NodeReach::Gone) => letter.is_lost(),
                Err(_) => letter.spawn(0, Some(0)),
            }
        }
        Ok(replies)
    }

    async fn rest<T>(
        &self,
        mut replies: Vec<(usize, T)>,
        mut receiver: UnboundedReceiver<(usize, T)>,
        asked: usize,
        deadline: Instant,
        enough: impl Fn(&[(usize, T)]) -> bool + Send,
    ) -> Result<Vec<(usize, T)>, CoordinatorFailure>
    where
        T: Send + 'static,
    {
        while replies.len() < asked && !enough(&replies) {
            match timeout_at(deadline, receiver.recv()).await {
                Ok(Some(reply)) => replies.push(reply),
                // The coordinator does not know that nothing comes any more.
                Ok(None) => {
                    sleep_until(deadline).await;
                    self.awake().await?;
                    break;
                }
                Err(_) => break,
            }
            self.awake().await?;
        }
        Ok(replies)
    }
}

impl SimulatedCluster {
    /// Keeps mutations for a node that did not acknowledge them, or forgets them.
    pub(super) fn hint(&self, to: usize, mutations: &Arc<[Mutation]>) {
        let later = self.with(|state| {
            let hinted = state.rng.chance(state.weather.hinted);
            hinted.then(|| {
                state.nodes[to].hints.push(Arc::clone(mutations));
                within(state.weather.hint_ms, &mut state.rng)
            })
        });
        if let Some(later) = later {
            self.deliver_hints(to, later);
        }
    }

    /// Delivers after a while what was kept for a node. If it is down, what is kept stays there.
    pub(super) fn deliver_hints(&self, to: usize, later: u64) {
        let (cluster, in_flight) = (self.clone(), self.in_flight());
        tokio::spawn(async move {
            cluster.pause(later).await;
            if cluster.thawed(to, to).await == NodeReach::Ready {
                cluster.with(|state| {
                    let node = &mut state.nodes[to];
                    for mutations in std::mem::take(&mut node.hints) {
                        node.apply(&mutations);
                    }
                });
            }
            drop(in_flight);
        });
    }

    /// Waits, or not at all once the faults end.
    pub(super) async fn pause(&self, ms: u64) {
        if ms == 0 || self.with(|state| state.hurries) {
            return;
        }
        tokio::select! {
            biased;
            () = sleep(Duration::from_millis(ms)) => {}
            () = self.hurry().notified() => {}
        }
    }

    /// Waits until a node is not frozen any more, and says whether a message from `from` arrives.
    pub(super) async fn thawed(&self, from: usize, to: usize) -> NodeReach {
        loop {
            match self.with(|state| state.reach(from, to)) {
                NodeReach::Frozen(until) => tokio::select! {
                    biased;
                    () = sleep_until(until) => {}
                    () = self.changed().notified() => {}
                },
                other => return other,
            }
        }
    }
}
