//! Plain writes, and mutations at a quorum.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cql_session::BoundValue;
use futures::future::join_all;
use scylla::errors::{DbError, WriteType};
use scylla::statement::Consistency;

use super::coordinator::{StatementCoordinator, invalid, number, refused};
use super::messages::ReplicaRequest;
use super::node::ReplicaNode;
use super::{CoordinatorAnswer, CoordinatorFailure};
use crate::cql::{CqlStatement, Mutation, RingPart};

/// How long a coordinator waits for replicas that write.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// A mutation at a quorum.
pub(super) struct QuorumWrite {
    /// Of a partition; the replicas of the others are the same.
    pub(super) token: u64,
    pub(super) mutations: Arc<[Mutation]>,
    pub(super) consistency: Consistency,
    pub(super) write_type: WriteType,
}

impl StatementCoordinator {
    pub(super) async fn write(
        &self,
        statement: &CqlStatement,
        rows: &[Vec<BoundValue>],
        consistency: Consistency,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let (now_us, now_s) = self.cluster.with(|state| {
            let now_s = state.clock_us(self.node) / 1_000_000;
            (state.stamp(self.node), now_s)
        });
        let mutations = rows.iter().map(|values| statement.mutation(values, now_us, now_s));
        let mutations: Result<Vec<Mutation>, String> = mutations.collect();
        let nodes = self.cluster.nodes();
        let mut parts: BTreeMap<RingPart, Vec<Mutation>> = BTreeMap::new();
        for mutation in mutations.map_err(invalid)? {
            let part = RingPart::of(nodes, mutation.key().token());
            parts.entry(part).or_default().push(mutation);
        }
        // What one of them fails for does not stop the others.
        let stored = join_all(parts.into_iter().map(|(part, mutations)| async move {
            let (token, mutations) = (part.token(), Arc::from(mutations));
            let applied: Arc<[Mutation]> = Arc::clone(&mutations);
            let write_type = match rows.len() {
                1 => WriteType::Simple,
                _ => WriteType::UnloggedBatch,
            };
            let store = QuorumWrite { token, mutations, consistency, write_type };
            self.store(store, move |node| node.apply(&applied)).await
        }));
        stored.await.into_iter().collect::<Result<(), CoordinatorFailure>>()?;
        Ok(CoordinatorAnswer::default())
    }

    /// Sends a mutation to all replicas and waits for enough of them.
    pub(super) async fn store<H>(
        &self,
        store: QuorumWrite,
        handler: H,
    ) -> Result<(), CoordinatorFailure>
    where
        H: Fn(&mut ReplicaNode) + Send + Sync + 'static,
    {
        let QuorumWrite { token, mutations, consistency, write_type } = store;
        let required = self.required(consistency);
        let alive = self.alive(token, consistency)?;
        // ScyllaDB keeps no hints of conditional updates (`hints_enabled` in its storage_proxy.cc).
        let hint = (write_type != WriteType::Cas).then_some(mutations);
        if let Some(hint) = &hint {
            let replicas = self.cluster.replicas(token).into_iter();
            for node in replicas.filter(|node| !alive.contains(node)) {
                self.cluster.hint(node, hint);
            }
        }
        let question = ReplicaRequest { handler, limit: WRITE_LIMIT, hint, may_repeat: true };
        let replies = self.round(&alive, question, |replies| replies.len() >= required).await?;
        if replies.len() >= required {
            return Ok(());
        }
        let (received, required) = (number(replies.len()), number(required));
        Err(refused(DbError::WriteTimeout { consistency, received, required, write_type }))
    }
}
