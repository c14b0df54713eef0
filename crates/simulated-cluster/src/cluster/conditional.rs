//! Conditional updates and serial reads: Paxos, in the steps of Cassandra.
//!
//! A round is prepared, reads at a quorum, decides, proposes, and commits. It first finishes what
//! an earlier round had accepted and not committed. A round that writes nothing proposes an empty
//! update, so that no round before it is finished after its answer.

use std::sync::Arc;
use std::time::Duration;

use cql_session::{BoundValue, CqlEngine};
use scylla::errors::{DbError, WriteType};
use scylla::statement::Consistency;
use tokio::time::{Instant, sleep};

use super::coordinator::{StatementCoordinator, invalid, number, refused};
use super::messages::ReplicaRequest;
use super::node::ReplicaNode;
use super::paxos::{PaxosBallot, PaxosPromise, PaxosProposal, ballot_of, later, unfinished};
use super::writes::{QuorumWrite, WRITE_LIMIT};
use super::{CoordinatorAnswer, CoordinatorFailure, ExecutionOptions};
use crate::cql::{CqlStatement, Mutation, PartitionKey, ReadAnswer, ReplicaRead};

/// How long a round tries again after rounds of others.
pub(super) const CONTENTION_LIMIT: Duration = Duration::from_secs(1);

/// The longest pause before it does, in milliseconds.
const PAUSE_MS: u64 = 100;

/// The level at which reads and commits of Paxos work.
pub(super) const COMMIT: Consistency = Consistency::LocalQuorum;

/// What became of a proposal.
pub(super) enum ProposalOutcome {
    Accepted,
    /// All replicas answered, and none accepted it.
    Refused,
    /// Some accepted it, or may have: a later round may finish it.
    Partly(usize),
}

/// What a quorum said to a prepare message.
pub(super) enum PrepareOutcome {
    Promised {
        accepted: Option<PaxosProposal>,
        committed: Option<PaxosProposal>,
        lacking: Vec<usize>,
        /// What those that promised read meanwhile, if they were asked to and agree.
        seen: Option<ReadAnswer>,
    },
    Refused {
        promised: PaxosBallot,
    },
    Silent(usize),
}

impl StatementCoordinator {
    pub(super) async fn change(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let key = partition(statement, values)?;
        let read = Arc::new(statement.condition_read(values).map_err(invalid)?);
        let deadline = Instant::now() + CONTENTION_LIMIT;
        self.alive(key.token(), Consistency::LocalSerial)?;
        loop {
            let ballot = self.prepared(&key, deadline).await?;
            let current = self.rows(&read, COMMIT).await?;
            let now_s = self.cluster.with(|state| state.clock_us(self.node)) / 1_000_000;
            let decision = statement.decide(values, &current, ballot.us, now_s).map_err(invalid)?;
            let applied = decision.applied;
            let update = decision.mutation.filter(|it| applied && !it.is_empty()).map(Arc::new);
            let proposal = PaxosProposal { ballot, update };
            match self.propose(&key, &proposal).await? {
                ProposalOutcome::Accepted => {
                    self.commit(&key, proposal).await?;
                    return Ok(CoordinatorAnswer { rows: decision.rows, next: None });
                }
                ProposalOutcome::Refused => self.back_off().await?,
                ProposalOutcome::Partly(received) => return Err(self.out_of_time(received)),
            }
        }
    }

    pub(super) async fn serial_read(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
        options: &ExecutionOptions,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let key = partition(statement, values)?;
        self.alive(key.token(), Consistency::LocalSerial)?;
        self.passed(&key).await.map_err(as_read)?;
        let options = ExecutionOptions { consistency: COMMIT, page: options.page.clone() };
        self.read(statement, values, &options).await
    }

    /// Ends every round before this one, for good.
    async fn passed(&self, key: &Arc<PartitionKey>) -> Result<(), CoordinatorFailure> {
        let deadline = Instant::now() + CONTENTION_LIMIT;
        loop {
            let ballot = self.prepared(key, deadline).await?;
            match self.propose(key, &PaxosProposal { ballot, update: None }).await? {
                ProposalOutcome::Accepted => return Ok(()),
                ProposalOutcome::Refused => self.back_off().await?,
                ProposalOutcome::Partly(received) => return Err(self.out_of_time(received)),
            }
        }
    }

    /// Begins a round: promised by a quorum, with no unfinished round before it, and with the last
    /// commit on all that promised.
    async fn prepared(
        &self,
        key: &Arc<PartitionKey>,
        deadline: Instant,
    ) -> Result<PaxosBallot, CoordinatorFailure> {
        let mut floor = 0;
        while Instant::now() <= deadline {
            let ballot = self.cluster.with(|state| state.ballot(self.node, key, floor));
            let (accepted, committed, lacking) = match self.prepare(key, ballot, None).await? {
                PrepareOutcome::Promised { accepted, committed, lacking, .. } => {
                    (accepted, committed, lacking)
                }
                PrepareOutcome::Refused { promised } => {
                    floor = promised.us;
                    self.cluster.trace().reached("paxos: overtaken while it prepares");
                    self.back_off().await?;
                    continue;
                }
                PrepareOutcome::Silent(received) => return Err(self.out_of_time(received)),
            };
            if let Some(update) = unfinished(accepted.as_ref(), committed.as_ref()) {
                let proposal = PaxosProposal { ballot, update: Some(update) };
                match self.propose(key, &proposal).await? {
                    ProposalOutcome::Accepted => {
                        self.cluster.trace().reached("paxos: round finished by a later one");
                        self.commit(key, proposal).await?;
                    }
                    _ => self.back_off().await?,
                }
                continue;
            }
            match committed {
                Some(last) if !lacking.is_empty() => {
                    if self.catch_up(key, last, &lacking).await? {
                        return Ok(ballot);
                    }
                    self.back_off().await?;
                }
                _ => return Ok(ballot),
            }
        }
        Err(self.out_of_time(0))
    }

    /// Asks for promises, and with `read` for the rows at that moment.
    pub(super) async fn prepare(
        &self,
        key: &Arc<PartitionKey>,
        ballot: PaxosBallot,
        read: Option<&Arc<ReplicaRead>>,
    ) -> Result<PrepareOutcome, CoordinatorFailure> {
        let (asked, quorum) = (self.alive(key.token(), Consistency::LocalSerial)?, self.quorum());
        let (of, read) = (Arc::clone(key), read.cloned());
        let handler = move |node: &mut ReplicaNode| {
            let rows = read.as_ref().map(|read| node.data.read(read));
            (node.acceptor(&of).promise(ballot), rows)
        };
        let question = ReplicaRequest { handler, limit: WRITE_LIMIT, hint: None, may_repeat: true };
        let replies = self
            .round(&asked, question, |replies| {
                let refused = |(_, (reply, _)): &(usize, (PaxosPromise, _))| {
                    !matches!(reply, PaxosPromise::Made { .. })
                };
                replies.len() >= quorum || replies.iter().any(refused)
            })
            .await?;
        let (mut accepted, mut committed) = (None, None);
        let mut refused: Option<PaxosBallot> = None;
        let (mut made, mut rows) = (Vec::new(), Vec::new());
        for (node, (reply, read)) in replies {
            match reply {
                PaxosPromise::Made { accepted: its, committed: last } => {
                    made.push((node, ballot_of(last.as_ref())));
                    rows.extend(read);
                    accepted = later(accepted, its);
                    committed = later(committed, last);
                }
                PaxosPromise::Refused { promised } => refused = refused.max(Some(promised)),
            }
        }
        if made.len() >= quorum {
            let last = ballot_of(committed.as_ref());
            let lacking = made.iter().filter(|(_, has)| *has < last).map(|(node, _)| *node);
            let lacking = lacking.collect();
            let agree = rows.len() == made.len() && rows.windows(2).all(|two| two[0] == two[1]);
            let seen = rows.pop().filter(|_| agree);
            return Ok(PrepareOutcome::Promised { accepted, committed, lacking, seen });
        }
        Ok(match refused {
            Some(promised) => PrepareOutcome::Refused { promised },
            None => PrepareOutcome::Silent(made.len()),
        })
    }

    pub(super) async fn propose(
        &self,
        key: &Arc<PartitionKey>,
        proposal: &PaxosProposal,
    ) -> Result<ProposalOutcome, CoordinatorFailure> {
        let (asked, quorum) = (self.alive(key.token(), Consistency::LocalSerial)?, self.quorum());
        let (of, it) = (Arc::clone(key), proposal.clone());
        let handler = move |node: &mut ReplicaNode| node.acceptor(&of).accept(&it);
        // A replica that accepted a copy may refuse the first one when that is later: its refusal
        // would say that nothing can come of the proposal.
        let question =
            ReplicaRequest { handler, limit: WRITE_LIMIT, hint: None, may_repeat: false };
        let yes = |replies: &[(usize, bool)]| replies.iter().filter(|(_, yes)| *yes).count();
        let replies = self.round(&asked, question, |replies| yes(replies) >= quorum).await?;
        let accepted = yes(&replies);
        Ok(if accepted >= quorum {
            ProposalOutcome::Accepted
        } else if accepted == 0 && replies.len() == asked.len() {
            ProposalOutcome::Refused
        } else {
            self.cluster.trace().reached("paxos: accepted by too few");
            ProposalOutcome::Partly(accepted)
        })
    }

    pub(super) async fn commit(
        &self,
        key: &Arc<PartitionKey>,
        proposal: PaxosProposal,
    ) -> Result<(), CoordinatorFailure> {
        let Some(update) = &proposal.update else { return Ok(()) };
        let mutations: Arc<[Mutation]> = Arc::from([Mutation::clone(update)]);
        let write_type = match self.cluster.engine() {
            CqlEngine::Cassandra => WriteType::Simple,
            CqlEngine::Scylla => WriteType::Cas,
        };
        let (token, consistency) = (key.token(), COMMIT);
        let store = QuorumWrite { token, mutations, consistency, write_type };
        let of = Arc::clone(key);
        self.store(store, move |node| node.commit(&of, &proposal)).await
    }

    /// Sends the last commit to those that promised and lack it. Whether all have it now.
    pub(super) async fn catch_up(
        &self,
        key: &Arc<PartitionKey>,
        last: PaxosProposal,
        lacking: &[usize],
    ) -> Result<bool, CoordinatorFailure> {
        self.cluster.trace().reached("paxos: a replica lacks the last commit");
        let of = Arc::clone(key);
        let handler = move |node: &mut ReplicaNode| node.commit(&of, &last);
        let question = ReplicaRequest { handler, limit: WRITE_LIMIT, hint: None, may_repeat: true };
        let replies = self.round(lacking, question, |_| false).await?;
        Ok(replies.len() == lacking.len())
    }

    /// A round that ran out of time. It may be finished by a later one.
    pub(super) fn out_of_time(&self, received: usize) -> CoordinatorFailure {
        refused(DbError::WriteTimeout {
            consistency: Consistency::LocalSerial,
            received: number(received),
            required: number(self.quorum()),
            write_type: WriteType::Cas,
        })
    }

    async fn back_off(&self) -> Result<(), CoordinatorFailure> {
        let ms = self.cluster.with(|state| state.rng.below(PAUSE_MS));
        sleep(Duration::from_millis(ms)).await;
        self.awake().await
    }
}

pub(super) fn partition(
    statement: &CqlStatement,
    values: &[BoundValue],
) -> Result<Arc<PartitionKey>, CoordinatorFailure> {
    let key = statement.partition(values).map_err(invalid)?;
    key.map(Arc::new).ok_or_else(|| invalid("Paxos works in one partition"))
}

/// The error of a round that only reads.
pub(super) fn as_read(error: CoordinatorFailure) -> CoordinatorFailure {
    match error {
        CoordinatorFailure::Refused(DbError::WriteTimeout { received, required, .. }, text) => {
            let (consistency, data_present) = (Consistency::LocalSerial, false);
            let error = DbError::ReadTimeout { consistency, received, required, data_present };
            CoordinatorFailure::Refused(error, text)
        }
        other => other,
    }
}
