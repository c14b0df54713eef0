//! Which node a statement is sent to, and which after it.

use std::collections::VecDeque;

use cql_session::{BoundValue, StatementProfile};

use super::{SimulatedSession, node_id};
use crate::cql::CqlStatement;

impl SimulatedSession {
    /// The nodes in the order in which they are tried: those that the driver is connected to. A
    /// conditional update begins at the first replica of its partition, so that all processes begin
    /// at the same one; the rest begin anywhere.
    pub(super) fn plan(
        &self,
        profile: StatementProfile,
        statement: &CqlStatement,
        values: &[BoundValue],
    ) -> VecDeque<usize> {
        let first = match statement.partition(values) {
            Ok(Some(key)) => key.token(),
            _ => 0,
        };
        let allowed = self.allowed.lock().expect("nothing panics with them in its hand").clone();
        let may_be_asked = |node: &usize| {
            let is_allowed = allowed.as_ref().is_none_or(|nodes| nodes.contains(&node_id(*node)));
            is_allowed && self.cluster.is_connected(*node)
        };
        let replicas = self.cluster.replicas(first);
        let mut others: Vec<usize> = (0..self.cluster.nodes())
            .filter(|it| !replicas.contains(it) && may_be_asked(it))
            .collect();
        let mut plan: VecDeque<usize> = replicas.into_iter().filter(may_be_asked).collect();
        match profile {
            StatementProfile::Serial | StatementProfile::Change => {}
            StatementProfile::Again if plan.is_empty() => {}
            StatementProfile::Again => plan.rotate_left(1),
            StatementProfile::Read | StatementProfile::Write | StatementProfile::Bulk => {
                let mut rng = self.rng.lock().expect("nothing panics with it in its hand");
                rng.shuffle(plan.make_contiguous());
                rng.shuffle(&mut others);
            }
        }
        plan.extend(others);
        plan
    }
}
