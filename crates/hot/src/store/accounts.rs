//! Accounts of users who sign in with a password.

use async_trait::async_trait;
use coupon::ids::UserId;
use coupon::time::Millis;

use crate::{Account, Result};

#[async_trait]
pub trait Accounts {
    /// Creates an account; `false` if the login is taken.
    async fn create_account(&self, account: Account, now: Millis) -> Result<bool>;

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>>;

    async fn has_account(&self, user_id: &UserId) -> Result<bool>;

    /// Deletes an account; `false` if there is none.
    async fn remove_account(&self, user_id: &UserId) -> Result<bool>;
}
