//! Planted bugs: each breaks one sentence of the protocols of the cluster, at the session or at the
//! object store of a process. No line of the product is changed. The simulator has to find each of
//! them, and none of the controls.
//!
//! A plant is a row of a table in `table`: a name, the sentence that it breaks, and what happens to
//! which statements. `statements` says which these are, `planted` and `bucket` do it.

mod bucket;
mod planted;
mod request;
mod rows;
mod statements;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use cql_session::{CqlCluster, StatementProfile};
use object_store::ObjectStore;

use planted::PlantedCluster;
use request::SubstituteValue;
use simulated_cluster::session::SimulatedSession;
use statements::StatementPattern;

/// The process that has the plants of [`BugScope::One`].
const ONE: &str = "process 0";

/// Statements, and what happens to them. The first rule of a plant that knows a statement decides.
type PlantRule = (StatementPattern, RuleEffect);

/// A planted bug.
pub(crate) struct PlantedBug {
    pub(crate) name: &'static str,
    /// The sentence that it breaks; of a control, why it must not be found.
    pub(crate) breaks: &'static str,
    scope: BugScope,
}

/// Who has it.
enum BugScope {
    /// Every process.
    All(&'static [PlantRule]),
    /// One process; the others do what they should.
    One(&'static [PlantRule]),
    /// Every process, at its object store.
    Bucket(bucket::BucketBug),
    /// Every process, at the clocks of the nodes.
    Clock(ClockBug),
}

/// What a process does with the clocks of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockBug {
    /// It takes its own for theirs.
    IsItsOwn,
    /// It sends statements to nodes whose clock is far from the others.
    AvoidsNobody,
}

/// What happens to a statement. Values are counted from 0, in the order of the markers.
enum RuleEffect {
    /// It is sent as it is.
    Send,
    /// It is answered as if it were done.
    Lose,
    /// It fails for 90 of 200 seconds.
    Away,
    /// The same, and so many seconds later it is done; never if the process was killed by then.
    Late(u64, &'static RuleEffect),
    /// It waits so many milliseconds.
    Wait(u64, &'static RuleEffect),
    /// This part of its text is not sent, nor the values that are bound in it.
    Strip(&'static str),
    /// The same with the rest of the text, from this part on.
    Cut(&'static str),
    /// A conditional update without this part is a plain write.
    Plain(&'static str),
    /// It is sent with another profile.
    As(StatementProfile),
    /// If its condition does not hold, it is sent again with a condition that holds.
    Blind,
    /// Another value is bound.
    Set(usize, SubstituteValue, &'static RuleEffect),
    /// It is sent, and its answer is changed.
    Say(AnswerChange),
    /// The process always gets the first answer to this text with these values, until it sends a
    /// statement with the text `until`.
    Stale { when: AnswerFilter, until: &'static str },
    /// Remembers some of the values as a row, under the value `key`.
    Note { key: usize, row: &'static [usize], then: &'static RuleEffect },
    /// Is answered with the row that was remembered under this value; what happens if none was.
    Recall(usize, &'static RuleEffect),
    /// The answer has the first cell of that row in this column.
    RecallCell(usize, &'static str),
    /// Changes the answer once after something was remembered under this value.
    Once(usize, AnswerChange),
    /// Sends the text before it, with so many of its first values, and remembers the answer.
    ReadFirst(&'static str, usize),
    /// Is answered once with what was remembered under so many of its first values.
    Kept(usize),
    /// If it was applied, another text is sent with some of its values: from one, up to another.
    Then(&'static str, usize, usize),
}

/// How an answer is changed.
#[derive(Clone, Copy)]
enum AnswerChange {
    /// There are no rows.
    Nothing,
    /// It was applied.
    Applied,
    /// It was refused.
    Refused,
    /// It was applied, if the answer is an error.
    AppliedIfUnknown,
    /// It was refused, if the answer is an error.
    RefusedIfUnknown,
    /// It was done, if the answer of a plain write is an error.
    DoneIfUnknown,
    /// If it is an error, it is that of the same update, sent a second time.
    AgainIfUnknown,
    /// These columns are null.
    Nulls(&'static [&'static str]),
}

/// Which answers are remembered.
#[derive(Clone, Copy)]
enum AnswerFilter {
    Always,
    /// Those without rows.
    Empty,
    /// Those whose first cell is null or missing.
    Null,
}

impl PlantedBug {
    /// The session of a process with this bug in front of it.
    pub(crate) fn over(&self, session: Arc<SimulatedSession>) -> Arc<dyn CqlCluster> {
        let (rules, clock): (&[PlantRule], _) = match self.scope {
            BugScope::All(rules) => (rules, None),
            BugScope::One(rules) if session.process().name() == ONE => (rules, None),
            BugScope::Clock(bug) => (&[], Some(bug)),
            BugScope::One(_) | BugScope::Bucket(_) => return session,
        };
        let (process, trace) = (session.process().clone(), session.trace().clone());
        Arc::new(PlantedCluster::new(session, process, trace, (self.name, rules), clock))
    }

    /// The object store of a process with this bug in front of it.
    pub(crate) fn over_bucket(&self, store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        match self.scope {
            BugScope::Bucket(bug) => Arc::new(bucket::PlantedBucket::new(store, bug)),
            BugScope::All(_) | BugScope::One(_) | BugScope::Clock(_) => store,
        }
    }
}

/// The plant of this name, or the control.
pub(crate) fn of(name: &str) -> Option<&'static PlantedBug> {
    table::all().find(|plant| plant.name == name)
}

/// All names and sentences.
pub(crate) fn listed() -> &'static [(&'static str, &'static str)] {
    static LISTED: LazyLock<Vec<(&str, &str)>> =
        LazyLock::new(|| table::all().map(|plant| (plant.name, plant.breaks)).collect());
    &LISTED
}
