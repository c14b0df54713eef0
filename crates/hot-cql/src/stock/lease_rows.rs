//! Rows of the table `lease`.

use coupon::campaign::MintedRun;
use scylla::DeserializeRow;
use uuid::Uuid;

#[derive(Clone, Debug, DeserializeRow)]
pub(crate) struct LeaseRow {
    pub(crate) cursor: Option<i64>,
    pub(crate) returned_rows: Option<i64>,
    pub(crate) kind: Option<i32>,
    pub(crate) first: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) count: Option<i64>,
    pub(crate) owner: Option<Uuid>,
    pub(crate) done: Option<i32>,
}

pub(crate) const LEASES: &str = "SELECT cursor, returned_rows, kind, first, name, count, owner, \
                                 done FROM lease WHERE campaign_id = ? AND batch_id = ?";

/// Serials that are not leased yet.
pub(crate) fn unleased(cursor: Option<i64>, run: &MintedRun) -> u64 {
    run.count.saturating_sub(cursor.unwrap_or(0).unsigned_abs())
}
