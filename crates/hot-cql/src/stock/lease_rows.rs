//! Rows of the table `lease`.

use coupon::campaign::MintedRun;
use cql_session::NODE_DIFFERENCE_MAX_MS;
use scylla::DeserializeRow;
use uuid::Uuid;

#[derive(Clone, Debug, Default, DeserializeRow)]
pub(crate) struct LeaseRow {
    pub(crate) cursor: Option<i64>,
    pub(crate) returned_rows: Option<i64>,
    pub(crate) kind: Option<i32>,
    pub(crate) first: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) count: Option<i64>,
    pub(crate) owner: Option<Uuid>,
    /// The seconds for which it still names its owner.
    pub(crate) owned_s: Option<i32>,
    pub(crate) done: Option<i32>,
}

impl LeaseRow {
    /// Whether a process works on it. A node whose clock is years ahead enters an owner for years, which may be dead; a
    /// node that answers may differ a little from the one that wrote.
    pub(crate) fn is_owned(&self) -> bool {
        let most = i64::from(OWNED_S) + 2 * NODE_DIFFERENCE_MAX_MS / 1_000;
        self.owned_s.is_some_and(|left| i64::from(left) <= most)
    }
}

/// How many seconds a lease names its process, unless the process renews it. A lease without an owner is taken over by
/// the next process that looks for stock.
pub(crate) const OWNED_S: i32 = 60;

pub(crate) const LEASES: &str = "SELECT cursor, returned_rows, kind, first, name, count, owner, \
                                 TTL(owner) AS owned_s, done FROM lease \
                                 WHERE campaign_id = ? AND batch_id = ?";

/// Serials that are not leased yet.
pub(crate) fn unleased(cursor: Option<i64>, run: &MintedRun) -> u64 {
    run.count.saturating_sub(cursor.unwrap_or(0).unsigned_abs())
}
