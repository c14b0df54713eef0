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

use crate::session::SimulatedSession;
use planted::Planted;
use request::Value;
use statements::Which;

/// The process that has the plants of [`How::One`].
const ONE: &str = "process 0";

/// Statements, and what happens to them. The first rule of a plant that knows a statement decides.
type Rule = (Which, Does);

/// A planted bug.
pub(crate) struct Plant {
    pub(crate) name: &'static str,
    /// The sentence that it breaks; of a control, why it must not be found.
    pub(crate) breaks: &'static str,
    how: How,
}

/// Who has it.
enum How {
    /// Every process.
    All(&'static [Rule]),
    /// One process; the others do what they should.
    One(&'static [Rule]),
    /// Every process, at its object store.
    Bucket(bucket::Tampers),
}

/// What happens to a statement. Values are counted from 0, in the order of the markers.
enum Does {
    /// It is sent as it is.
    Send,
    /// It is answered as if it were done.
    Lose,
    /// The same, and so many seconds later it is done; never if the process was killed by then.
    Late(u64, &'static Does),
    /// It waits so many milliseconds.
    Wait(u64, &'static Does),
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
    Set(usize, Value, &'static Does),
    /// It is sent, and its answer is changed.
    Say(Say),
    /// The process always gets the first answer to this text with these values, until it sends a
    /// statement with the text `until`.
    Stale { when: When, until: &'static str },
    /// Remembers some of the values as a row, under the value `key`.
    Note { key: usize, row: &'static [usize], then: &'static Does },
    /// Is answered with the row that was remembered under this value; what happens if none was.
    Recall(usize, &'static Does),
    /// The answer has the first cell of that row in this column.
    RecallCell(usize, &'static str),
    /// Changes the answer once after something was remembered under this value.
    Once(usize, Say),
    /// Sends the text before it, with so many of its first values, and remembers the answer.
    ReadFirst(&'static str, usize),
    /// Is answered once with what was remembered under so many of its first values.
    Kept(usize),
    /// If it was applied, another text is sent with some of its values: from one, up to another.
    Then(&'static str, usize, usize),
}

/// How an answer is changed.
#[derive(Clone, Copy)]
enum Say {
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
    /// The clock of the process.
    OwnClock,
}

/// Which answers are remembered.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// Those without rows.
    Empty,
    /// Those whose first cell is null or missing.
    Null,
}

impl Plant {
    /// The session of a process with this bug in front of it.
    pub(crate) fn over(&self, session: Arc<SimulatedSession>) -> Arc<dyn CqlCluster> {
        let rules = match self.how {
            How::All(rules) => rules,
            How::One(rules) if session.process().name() == ONE => rules,
            How::One(_) | How::Bucket(_) => return session,
        };
        let (process, trace) = (session.process().clone(), session.trace().clone());
        Arc::new(Planted::new(session, process, trace, (self.name, rules)))
    }

    /// The object store of a process with this bug in front of it.
    pub(crate) fn over_bucket(&self, store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        match self.how {
            How::Bucket(tampers) => Arc::new(bucket::Planted::new(store, tampers)),
            How::All(_) | How::One(_) => store,
        }
    }
}

/// The plant of this name, or the control.
pub(crate) fn of(name: &str) -> Option<&'static Plant> {
    table::all().find(|plant| plant.name == name)
}

/// All names and sentences.
pub(crate) fn listed() -> &'static [(&'static str, &'static str)] {
    static LISTED: LazyLock<Vec<(&str, &str)>> =
        LazyLock::new(|| table::all().map(|plant| (plant.name, plant.breaks)).collect());
    &LISTED
}
