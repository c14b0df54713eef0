//! Index rows: what a cluster has in place of indexes.

use coupon::code::Code;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};

coupon::words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum IndexRowKind {
        /// What a user may hold.
        Wallet = "wallet",
        /// What may expire on a day.
        Expiring = "expiring",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    pub kind: IndexRowKind,
    pub code: Code,
    /// Where it says that the coupon is.
    pub day: Day,
    /// Until when it says that the coupon works.
    pub expires_at: Millis,
    /// Whose it says that it is, in a wallet.
    pub user: Option<UserId>,
    /// What the store tells coupons of one expiry apart by. Only the store reads it.
    pub tie: i64,
    /// When it was written, in microseconds: what is deleted is this index row, and none after it.
    pub written_at: i64,
}
