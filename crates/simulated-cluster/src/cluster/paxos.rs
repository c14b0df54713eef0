//! What one replica remembers of Paxos in one partition.

use std::sync::Arc;

use crate::cql::Mutation;

/// The number of a round. Its microseconds are the timestamp of the cells that the round writes, so
/// no two rounds of a partition may have the same: a replica refuses the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PaxosBallot {
    pub(super) us: i64,
    /// Tells apart rounds that begin in one microsecond.
    pub(super) number: u64,
}

/// What a round wants to write: nothing, if it only reads or its condition did not hold.
#[derive(Clone, Debug)]
pub(super) struct PaxosProposal {
    pub(super) ballot: PaxosBallot,
    pub(super) update: Option<Arc<Mutation>>,
}

/// The state of a partition on one replica.
#[derive(Clone, Debug, Default)]
pub(super) struct PaxosAcceptor {
    pub(super) promised: PaxosBallot,
    pub(super) accepted: Option<PaxosProposal>,
    pub(super) committed: Option<PaxosProposal>,
}

/// The answer to a prepare message.
#[derive(Clone, Debug)]
pub(super) enum PaxosPromise {
    Made { accepted: Option<PaxosProposal>, committed: Option<PaxosProposal> },
    Refused { promised: PaxosBallot },
}

impl PaxosAcceptor {
    pub(super) fn promise(&mut self, ballot: PaxosBallot) -> PaxosPromise {
        if !self.allows(ballot) {
            return PaxosPromise::Refused { promised: self.promised };
        }
        self.promised = ballot;
        PaxosPromise::Made { accepted: self.accepted.clone(), committed: self.committed.clone() }
    }

    pub(super) fn accept(&mut self, proposal: &PaxosProposal) -> bool {
        let allowed = self.allows(proposal.ballot);
        if allowed {
            self.promised = proposal.ballot;
            self.accepted = Some(proposal.clone());
        }
        allowed
    }

    pub(super) fn commit(&mut self, proposal: &PaxosProposal) {
        if ballot_of(self.committed.as_ref()) < proposal.ballot {
            self.committed = Some(proposal.clone());
        }
        if ballot_of(self.accepted.as_ref()) <= proposal.ballot {
            self.accepted = None;
        }
    }

    fn allows(&self, ballot: PaxosBallot) -> bool {
        ballot == self.promised || ballot.us > self.promised.us
    }
}

/// The ballot of a proposal; that before all rounds if there is none.
pub(super) fn ballot_of(proposal: Option<&PaxosProposal>) -> PaxosBallot {
    proposal.map(|proposal| proposal.ballot).unwrap_or_default()
}

/// The later of two proposals.
pub(super) fn later(
    one: Option<PaxosProposal>,
    other: Option<PaxosProposal>,
) -> Option<PaxosProposal> {
    if ballot_of(one.as_ref()) >= ballot_of(other.as_ref()) { one } else { other }
}

/// What was accepted and has to be finished before another round may go on. One that writes nothing
/// has not.
pub(super) fn unfinished(
    accepted: Option<&PaxosProposal>,
    committed: Option<&PaxosProposal>,
) -> Option<Arc<Mutation>> {
    let accepted = accepted.filter(|accepted| accepted.ballot > ballot_of(committed))?;
    accepted.update.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(us: i64, number: u64) -> PaxosProposal {
        PaxosProposal { ballot: PaxosBallot { us, number }, update: None }
    }

    #[test]
    fn a_promise_holds_against_earlier_and_equal_times() {
        let mut acceptor = PaxosAcceptor::default();
        let ballot = PaxosBallot { us: 5, number: 1 };
        assert!(matches!(acceptor.promise(ballot), PaxosPromise::Made { .. }));
        assert!(
            matches!(acceptor.promise(ballot), PaxosPromise::Made { .. }),
            "the same once more"
        );
        let refused = acceptor.promise(PaxosBallot { us: 5, number: 2 });
        assert!(matches!(refused, PaxosPromise::Refused { promised } if promised == ballot));
        assert!(!acceptor.accept(&empty(4, 9)));
        assert!(acceptor.accept(&empty(5, 1)) && acceptor.accept(&empty(6, 0)));
        assert!(!acceptor.accept(&empty(5, 1)), "promised to a later round");
    }

    #[test]
    fn a_commit_ends_the_rounds_before_it() {
        let mut acceptor = PaxosAcceptor::default();
        assert!(acceptor.accept(&empty(5, 1)));
        acceptor.commit(&empty(4, 1));
        assert!(acceptor.accepted.is_some(), "a later round is still open");
        acceptor.commit(&empty(6, 1));
        assert!(acceptor.accepted.is_none());
        acceptor.commit(&empty(4, 1));
        assert_eq!(ballot_of(acceptor.committed.as_ref()).us, 6);
    }
}
