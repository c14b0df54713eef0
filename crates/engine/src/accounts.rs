//! Accounts of those who sign in here. What a password is, the front door knows.

use coupon::ids::UserId;
use coupon::refusal::Refusal;
use hot::Account;

use crate::failure::Failure;
use crate::{Caller, Engine, Role};

/// Accounts made here are called so; the form is refused from elsewhere.
pub const ACCOUNT_PREFIX: &str = "acc_";

impl Engine {
    /// Makes an account under a free login and names it.
    ///
    /// # Errors
    /// [`Failure::LoginTaken`].
    pub async fn create_account(
        &self,
        login_id: UserId,
        password_hash: String,
    ) -> Result<UserId, Failure> {
        let user_id = format!("{ACCOUNT_PREFIX}{}", uuid::Uuid::now_v7().simple());
        let user_id: UserId = user_id.parse().expect("a UUID makes a name");
        let account = Account { login_id, user_id: user_id.clone(), password_hash };
        match self.hot.create_account(account, self.now()).await? {
            true => Ok(user_id),
            false => Err(Failure::LoginTaken),
        }
    }

    /// The account behind a login.
    ///
    /// # Errors
    /// Those of the store; an unknown login is `None`.
    pub async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>, Failure> {
        Ok(self.hot.account_of_login(login_id).await?)
    }

    /// Whether a token that names `user_id` may still be used: an account made here must exist.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_known(&self, user_id: &UserId) -> Result<bool, Failure> {
        match user_id.as_str().starts_with(ACCOUNT_PREFIX) {
            true => Ok(self.hot.has_account(user_id).await?),
            false => Ok(true),
        }
    }

    /// Removes an account; its tokens are worth nothing from then on.
    ///
    /// # Errors
    /// `NotFound`, also for a user who names another.
    pub async fn remove_account(&self, caller: &Caller, user_id: &UserId) -> Result<(), Failure> {
        caller.must_be(&[Role::User, Role::Admin])?;
        let his = caller.role == Role::Admin || caller.subject == *user_id;
        match his && self.hot.remove_account(user_id).await? {
            true => Ok(()),
            false => Err(Failure::refused(Refusal::NotFound)),
        }
    }
}
