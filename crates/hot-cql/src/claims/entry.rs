//! One entry of a claim, as the type `claim_entry` stores it.

use coupon::ids::OperationId;
use hot::protocol::ClaimIntent;
use scylla::value::CqlDate;
use scylla::{DeserializeValue, SerializeValue};
use uuid::Uuid;

/// The type `claim_entry`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub(crate) struct EntryValue {
    pub(crate) expiry_day: CqlDate,
    pub(crate) code: String,
    pub(crate) reference: Option<String>,
    /// 0 in an entry that was copied from another store, whose event is certain.
    pub(crate) sequence: i32,
    pub(crate) issue: Option<i32>,
    pub(crate) operation: Uuid,
    pub(crate) version: i64,
}

impl EntryValue {
    pub(crate) fn intent(&self) -> ClaimIntent {
        ClaimIntent {
            sequence: usize::try_from(self.sequence).unwrap_or(0),
            operation: OperationId(self.operation.as_u128()),
            version: self.version.unsigned_abs(),
        }
    }
}
