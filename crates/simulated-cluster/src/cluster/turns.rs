//! Conditional updates and serial reads in the steps of ScyllaDB: `storage_proxy::cas` and
//! `paxos_response_handler` in its service/storage_proxy.cc.
//!
//! They differ from those of Cassandra in four things. A coordinator works on one update of a key at a
//! time, and the others wait in their order. Replicas read when they promise, so a round has no read
//! of its own if they agree. A refused ballot tells the coordinator nothing: it waits until its own
//! clock is ahead. Every error of an update is a time-out of type CAS, whether or not anything was
//! proposed.

use std::sync::Arc;
use std::time::Duration;

use cql_session::BoundValue;
use scylla::errors::{DbError, WriteType};
use scylla::statement::Consistency;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout_at};

use super::conditional::{
    COMMIT, CONTENTION_LIMIT, PrepareOutcome, ProposalOutcome, as_read, partition,
};
use super::coordinator::{StatementCoordinator, invalid};
use super::paxos::{PaxosBallot, PaxosProposal, ballot_of, unfinished};
use super::reads::asked;
use super::writes::WRITE_LIMIT;
use super::{CoordinatorAnswer, CoordinatorFailure, ExecutionOptions};
use crate::cql::{CqlStatement, PartitionKey, ReadAnswer, ReplicaRead};

/// How long a coordinator pauses after rounds of others, in milliseconds.
const PAUSE_MS: (u64, u64) = (25, 75);

/// The right to coordinate updates of one key at one node, and until when rounds of others may be
/// in the way: the time in the queue counts.
struct UpdateTurn {
    deadline: Instant,
    _guard: OwnedMutexGuard<()>,
}

impl StatementCoordinator {
    /// A conditional update.
    pub(super) async fn change_in_turn(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let key = partition(statement, values)?;
        let read = Arc::new(statement.condition_read(values).map_err(invalid)?);
        self.alive(key.token(), Consistency::LocalSerial)?;
        let rows = self.change_in_round(statement, values, &key, &read);
        Ok(CoordinatorAnswer { rows: rows.await.map_err(as_time_out)?, next: None })
    }

    async fn change_in_round(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
        key: &Arc<PartitionKey>,
        read: &Arc<ReplicaRead>,
    ) -> Result<Vec<Vec<u8>>, CoordinatorFailure> {
        let turn = self.turn(key).await?;
        loop {
            let (ballot, seen) = self.begun(key, read, turn.deadline).await?;
            let current = self.current(seen, read).await?;
            let now_s = self.cluster.with(|state| state.clock_us(self.node)) / 1_000_000;
            let decision = statement.decide(values, &current, ballot.us, now_s).map_err(invalid)?;
            let update = decision.mutation.filter(|it| !it.is_empty()).map(Arc::new);
            let proposal = PaxosProposal { ballot, update };
            match self.propose(key, &proposal).await? {
                ProposalOutcome::Accepted => {
                    self.commit(key, proposal).await?;
                    return Ok(decision.rows);
                }
                ProposalOutcome::Refused => self.pause_of_contention().await?,
                ProposalOutcome::Partly(received) => {
                    self.cluster.trace().reached("scylladb: timeout due to uncertainty");
                    return Err(self.out_of_time(received));
                }
            }
        }
    }

    /// A serial read: an update that changes nothing.
    pub(super) async fn read_in_turn(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
        options: &ExecutionOptions,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let key = partition(statement, values)?;
        let read = Arc::new(asked(statement, values, options)?);
        self.alive(key.token(), Consistency::LocalSerial)?;
        let rows = self.read_in_round(&key, &read).await;
        let rows = rows.map_err(as_time_out).map_err(as_read)?;
        self.answered(statement, values, &rows, options)
    }

    async fn read_in_round(
        &self,
        key: &Arc<PartitionKey>,
        read: &Arc<ReplicaRead>,
    ) -> Result<ReadAnswer, CoordinatorFailure> {
        let turn = self.turn(key).await?;
        loop {
            let (ballot, seen) = self.begun(key, read, turn.deadline).await?;
            let rows = self.current(seen, read).await?;
            match self.propose(key, &PaxosProposal { ballot, update: None }).await? {
                ProposalOutcome::Accepted => return Ok(rows),
                ProposalOutcome::Refused => self.pause_of_contention().await?,
                ProposalOutcome::Partly(received) => return Err(self.out_of_time(received)),
            }
        }
    }

    /// Waits for the updates of this key that this node began before. Those of other tables wait, too,
    /// if the key is the same: the queue is one of tokens (`get_cas_lock` in paxos_state.cc).
    async fn turn(&self, key: &PartitionKey) -> Result<UpdateTurn, CoordinatorFailure> {
        let began = Instant::now();
        let queue = self.cluster.with(|state| {
            let turns = &mut state.nodes[self.node].turns;
            Arc::clone(turns.entry(key.token()).or_default())
        });
        let guard = match Arc::clone(&queue).try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                self.cluster.trace().reached("scylladb: an update waits for one before it");
                let waited = timeout_at(began + WRITE_LIMIT, queue.lock_owned()).await;
                self.awake().await?;
                waited.map_err(|_| {
                    self.cluster.trace().reached("scylladb: an update waited in vain");
                    self.out_of_time(0)
                })?
            }
        };
        Ok(UpdateTurn { deadline: began + CONTENTION_LIMIT, _guard: guard })
    }

    /// Begins a round: promised by a quorum, with no unfinished round before it, and with the last
    /// commit on all that promised. Also the rows that these saw, if they agree.
    async fn begun(
        &self,
        key: &Arc<PartitionKey>,
        read: &Arc<ReplicaRead>,
        deadline: Instant,
    ) -> Result<(PaxosBallot, Option<ReadAnswer>), CoordinatorFailure> {
        let mut floor = 0;
        while Instant::now() <= deadline {
            let ballot = self.cluster.with(|state| state.ballot_of_clock(self.node, floor));
            let (accepted, committed, lacking, seen) =
                match self.prepare(key, ballot, Some(read)).await? {
                    PrepareOutcome::Promised { accepted, committed, lacking, seen } => {
                        (accepted, committed, lacking, seen)
                    }
                    PrepareOutcome::Refused { .. } => {
                        self.cluster.trace().reached("scylladb: a ballot is refused");
                        self.pause_of_contention().await?;
                        continue;
                    }
                    PrepareOutcome::Silent(received) => return Err(self.out_of_time(received)),
                };
            floor = ballot_of(accepted.as_ref()).us + 1;
            if let Some(update) = unfinished(accepted.as_ref(), committed.as_ref()) {
                let proposal = PaxosProposal { ballot, update: Some(update) };
                match self.propose(key, &proposal).await? {
                    ProposalOutcome::Accepted => {
                        self.cluster.trace().reached("paxos: round finished by a later one");
                        self.commit(key, proposal).await?;
                    }
                    _ => self.pause_of_contention().await?,
                }
                continue;
            }
            let has_all = match committed.filter(|_| !lacking.is_empty()) {
                Some(last) => self.catch_up(key, last, &lacking).await?,
                None => true,
            };
            if has_all {
                return Ok((ballot, seen));
            }
        }
        self.cluster.trace().reached("scylladb: contention ends without a proposal");
        Err(self.out_of_time(0))
    }

    async fn current(
        &self,
        seen: Option<ReadAnswer>,
        read: &Arc<ReplicaRead>,
    ) -> Result<ReadAnswer, CoordinatorFailure> {
        match seen {
            Some(rows) => Ok(rows),
            None => {
                self.cluster.trace().reached("scylladb: replicas promise and disagree");
                self.rows(read, COMMIT).await
            }
        }
    }

    async fn pause_of_contention(&self) -> Result<(), CoordinatorFailure> {
        let ms = self.cluster.with(|state| state.rng.between(PAUSE_MS.0, PAUSE_MS.1));
        sleep(Duration::from_millis(ms)).await;
        self.awake().await
    }
}

/// Whatever fails after a round began is a time-out of the update.
fn as_time_out(error: CoordinatorFailure) -> CoordinatorFailure {
    let CoordinatorFailure::Refused(error, text) = error else { return error };
    let write_type = WriteType::Cas;
    let error = match error {
        DbError::ReadTimeout { consistency, received, required, .. }
        | DbError::WriteTimeout { consistency, received, required, .. }
        | DbError::Unavailable { consistency, required, alive: received } => {
            DbError::WriteTimeout { consistency, received, required, write_type }
        }
        other => other,
    };
    CoordinatorFailure::Refused(error, text)
}
