//! Conditional updates and serial reads: Paxos, in the steps of Cassandra.
//!
//! A round is prepared, reads at a quorum, decides, proposes, and commits. It first finishes what
//! an earlier round had accepted and not committed. A round that writes nothing proposes an empty
//! update, so that no round before it is finished after its answer.

use std::sync::Arc;
use std::time::Duration;

use cql_session::BoundValue;
use scylla::errors::{DbError, WriteType};
use scylla::statement::Consistency;
use tokio::time::{Instant, sleep};

use super::coordinator::{Coordinator, Store, WRITE_LIMIT, invalid, number, refused};
use super::messages::Question;
use super::node::Node;
use super::paxos::{Ballot, Promise, Proposal, ballot_of, later, unfinished};
use super::{Answer, Failure, How, QUORUM};
use crate::cql::{CqlStatement, Mutation, PartitionKey};

/// How long a round tries again after rounds of others.
const CONTENTION_LIMIT: Duration = Duration::from_secs(1);

/// The longest pause before it does, in milliseconds.
const PAUSE_MS: u64 = 100;

/// The level at which reads and commits of Paxos work.
const COMMIT: Consistency = Consistency::LocalQuorum;

/// What became of a proposal.
enum Proposed {
    Accepted,
    /// All replicas answered, and none accepted it.
    Refused,
    /// Some accepted it, or may have: a later round may finish it.
    Partly(usize),
}

/// What a quorum said to a prepare message.
enum Prepared {
    Promised { accepted: Option<Proposal>, committed: Option<Proposal>, lacking: Vec<usize> },
    Refused { promised: Ballot },
    Silent(usize),
}

impl Coordinator {
    pub(super) async fn change(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
    ) -> Result<Answer, Failure> {
        let key = partition(statement, values)?;
        let read = Arc::new(statement.condition_read(values).map_err(invalid)?);
        let deadline = Instant::now() + CONTENTION_LIMIT;
        self.alive(Consistency::LocalSerial, QUORUM)?;
        loop {
            let ballot = self.prepared(&key, deadline).await?;
            let current = self.rows(&read, COMMIT).await?;
            let now_s = self.cluster.with(|state| state.clock_us(self.node)) / 1_000_000;
            let decision = statement.decide(values, &current, ballot.us, now_s).map_err(invalid)?;
            let applied = decision.applied;
            let update = decision.mutation.filter(|it| applied && !it.is_empty()).map(Arc::new);
            let proposal = Proposal { ballot, update };
            match self.propose(&key, &proposal).await? {
                Proposed::Accepted => {
                    self.commit(&key, proposal).await?;
                    return Ok(Answer { rows: decision.rows, next: None });
                }
                Proposed::Refused => self.back_off().await?,
                Proposed::Partly(received) => return Err(out_of_time(received)),
            }
        }
    }

    pub(super) async fn serial_read(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
        how: &How,
    ) -> Result<Answer, Failure> {
        let key = partition(statement, values)?;
        self.alive(Consistency::LocalSerial, QUORUM)?;
        self.passed(&key).await.map_err(as_read)?;
        let how = How { consistency: COMMIT, page: how.page.clone() };
        self.read(statement, values, &how).await
    }

    /// Ends every round before this one, for good.
    async fn passed(&self, key: &Arc<PartitionKey>) -> Result<(), Failure> {
        let deadline = Instant::now() + CONTENTION_LIMIT;
        loop {
            let ballot = self.prepared(key, deadline).await?;
            match self.propose(key, &Proposal { ballot, update: None }).await? {
                Proposed::Accepted => return Ok(()),
                Proposed::Refused => self.back_off().await?,
                Proposed::Partly(received) => return Err(out_of_time(received)),
            }
        }
    }

    /// Begins a round: promised by a quorum, with no unfinished round before it, and with the last
    /// commit on all that promised.
    async fn prepared(
        &self,
        key: &Arc<PartitionKey>,
        deadline: Instant,
    ) -> Result<Ballot, Failure> {
        let mut floor = 0;
        while Instant::now() <= deadline {
            let ballot = self.cluster.with(|state| state.ballot(self.node, key, floor));
            let (accepted, committed, lacking) = match self.prepare(key, ballot).await? {
                Prepared::Promised { accepted, committed, lacking } => {
                    (accepted, committed, lacking)
                }
                Prepared::Refused { promised } => {
                    floor = promised.us;
                    self.cluster.trace().reached("paxos: overtaken while it prepares");
                    self.back_off().await?;
                    continue;
                }
                Prepared::Silent(received) => return Err(out_of_time(received)),
            };
            if let Some(update) = unfinished(accepted.as_ref(), committed.as_ref()) {
                let proposal = Proposal { ballot, update: Some(update) };
                match self.propose(key, &proposal).await? {
                    Proposed::Accepted => {
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
        Err(out_of_time(0))
    }

    async fn prepare(&self, key: &Arc<PartitionKey>, ballot: Ballot) -> Result<Prepared, Failure> {
        let asked = self.alive(Consistency::LocalSerial, QUORUM)?;
        let of = Arc::clone(key);
        let handler = move |node: &mut Node| node.acceptor(&of).promise(ballot);
        let question = Question { handler, limit: WRITE_LIMIT, hint: None, may_repeat: true };
        let replies = self
            .round(&asked, question, |replies| {
                let refused =
                    |(_, reply): &(usize, Promise)| !matches!(reply, Promise::Made { .. });
                replies.len() >= QUORUM || replies.iter().any(refused)
            })
            .await?;
        let (mut accepted, mut committed) = (None, None);
        let mut refused: Option<Ballot> = None;
        let mut made = Vec::new();
        for (node, reply) in replies {
            match reply {
                Promise::Made { accepted: its, committed: last } => {
                    made.push((node, ballot_of(last.as_ref())));
                    accepted = later(accepted, its);
                    committed = later(committed, last);
                }
                Promise::Refused { promised } => refused = refused.max(Some(promised)),
            }
        }
        if made.len() >= QUORUM {
            let last = ballot_of(committed.as_ref());
            let lacking = made.iter().filter(|(_, has)| *has < last).map(|(node, _)| *node);
            let lacking = lacking.collect();
            return Ok(Prepared::Promised { accepted, committed, lacking });
        }
        Ok(match refused {
            Some(promised) => Prepared::Refused { promised },
            None => Prepared::Silent(made.len()),
        })
    }

    async fn propose(
        &self,
        key: &Arc<PartitionKey>,
        proposal: &Proposal,
    ) -> Result<Proposed, Failure> {
        let asked = self.alive(Consistency::LocalSerial, QUORUM)?;
        let (of, it) = (Arc::clone(key), proposal.clone());
        let handler = move |node: &mut Node| node.acceptor(&of).accept(&it);
        // A replica that accepted a copy may refuse the first one when that is later: its refusal
        // would say that nothing can come of the proposal.
        let question = Question { handler, limit: WRITE_LIMIT, hint: None, may_repeat: false };
        let yes = |replies: &[(usize, bool)]| replies.iter().filter(|(_, yes)| *yes).count();
        let replies = self.round(&asked, question, |replies| yes(replies) >= QUORUM).await?;
        let accepted = yes(&replies);
        Ok(if accepted >= QUORUM {
            Proposed::Accepted
        } else if accepted == 0 && replies.len() == asked.len() {
            Proposed::Refused
        } else {
            self.cluster.trace().reached("paxos: accepted by too few");
            Proposed::Partly(accepted)
        })
    }

    async fn commit(&self, key: &Arc<PartitionKey>, proposal: Proposal) -> Result<(), Failure> {
        let Some(update) = &proposal.update else { return Ok(()) };
        let mutations: Arc<[Mutation]> = Arc::from([Mutation::clone(update)]);
        let store = Store { mutations, consistency: COMMIT, write_type: WriteType::Simple };
        let of = Arc::clone(key);
        self.store(store, move |node| node.commit(&of, &proposal)).await
    }

    /// Sends the last commit to those that promised and lack it. Whether all have it now.
    async fn catch_up(
        &self,
        key: &Arc<PartitionKey>,
        last: Proposal,
        lacking: &[usize],
    ) -> Result<bool, Failure> {
        self.cluster.trace().reached("paxos: a replica lacks the last commit");
        let of = Arc::clone(key);
        let handler = move |node: &mut Node| node.commit(&of, &last);
        let question = Question { handler, limit: WRITE_LIMIT, hint: None, may_repeat: true };
        let replies = self.round(lacking, question, |_| false).await?;
        Ok(replies.len() == lacking.len())
    }

    async fn back_off(&self) -> Result<(), Failure> {
        let ms = self.cluster.with(|state| state.rng.below(PAUSE_MS));
        sleep(Duration::from_millis(ms)).await;
        self.awake().await
    }
}

fn partition(
    statement: &CqlStatement,
    values: &[BoundValue],
) -> Result<Arc<PartitionKey>, Failure> {
    let key = statement.partition(values).map_err(invalid)?;
    key.map(Arc::new).ok_or_else(|| invalid("Paxos works in one partition"))
}

/// A round that ran out of time. It may be finished by a later one.
fn out_of_time(received: usize) -> Failure {
    refused(DbError::WriteTimeout {
        consistency: Consistency::LocalSerial,
        received: number(received),
        required: number(QUORUM),
        write_type: WriteType::Cas,
    })
}

/// The error of a round that only reads.
fn as_read(error: Failure) -> Failure {
    match error {
        Failure::Refused(DbError::WriteTimeout { received, required, .. }, text) => {
            let (consistency, data_present) = (Consistency::LocalSerial, false);
            let error = DbError::ReadTimeout { consistency, received, required, data_present };
            Failure::Refused(error, text)
        }
        other => other,
    }
}
