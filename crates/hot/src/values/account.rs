//! Accounts of users who sign in here.

use coupon::ids::UserId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name that they sign in with.
    pub login_id: UserId,
    /// Their name in tokens and coupons.
    pub user_id: UserId,
    /// The hash of their password, as a PHC string.
    pub password_hash: String,
}
