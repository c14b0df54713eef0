//! Erasures.

use coupon::calendar::format_instant;
use coupon::time::Millis;
use engine::ErasureRecord;
use serde::Serialize;
use utoipa::ToSchema;

use crate::closed;

/// A person who is forgotten, and how far that is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureBody {
    /// Its name, by which it is read.
    erasure_id: String,
    /// Later erasures have higher numbers.
    number: u64,
    /// The name that the person has now.
    name: String,
    /// What is done at the moment, or waits.
    #[schema(value_type = closed::ErasureState)]
    state: &'static str,
    /// Who asked for it, `role:name`.
    actor: String,
    /// Why.
    reason: String,
    /// When it was asked for.
    asked_at: String,
    /// Since when no call by the old name finds anything. Null: not yet.
    found_at: Option<String>,
    /// Since when nothing in the hot store has the old name, which is a new person from then on. Null: not yet.
    settled_at: Option<String>,
    /// Since when the files of the hot store have no byte of it. Null: not yet.
    overwritten_at: Option<String>,
    /// Since when the files of the cold tier do not have it. Null: not yet.
    archived_at: Option<String>,
    /// Since when the server does not know the old name. Null: not yet.
    finished_at: Option<String>,
}

impl From<&ErasureRecord> for ErasureBody {
    fn from(record: &ErasureRecord) -> ErasureBody {
        let at = |at: Option<i64>| at.map(|at| format_instant(Millis(at)));
        ErasureBody {
            erasure_id: record.id.clone(),
            number: record.number,
            name: record.name.clone(),
            state: record.state().as_str(),
            actor: record.by.clone(),
            reason: record.reason.clone(),
            asked_at: format_instant(Millis(record.asked_at)),
            found_at: at(record.found_at),
            settled_at: at(record.settled_at),
            overwritten_at: at(record.overwritten_at),
            archived_at: at(record.archived_at),
            finished_at: at(record.finished_at),
        }
    }
}
