//! Accounts of people who sign in here. The front end hashes and checks passwords.

use coupon::ids::UserId;
use coupon::refusal::Refusal;
use hot::Account;

use crate::failure::{Failure, Result};
use crate::{Caller, Engine, Role};

/// The prefix of `user_id`s of accounts made here. Tokens of other issuers cannot have it.
pub const ACCOUNT_PREFIX: &str = "acc_";

impl Engine {
    /// Creates an account under a free login and returns its `user_id`.
    ///
    /// # Errors
    /// [`Failure::LoginTaken`].
    pub async fn create_account(&self, login_id: UserId, password_hash: String) -> Result<UserId> {
        let user_id = format!("{ACCOUNT_PREFIX}{}", uuid::Uuid::now_v7().simple());
        let user_id: UserId = user_id.parse().expect("a UUID makes a name");
        let account = Account { login_id, user_id: user_id.clone(), password_hash };
        match self.hot.create_account(account, self.now()).await? {
            true => Ok(user_id),
            false => Err(Failure::LoginTaken),
        }
    }

    pub async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>> {
        Ok(self.hot.account_of_login(login_id).await?)
    }

    /// Whether a token with this `user_id` may still be used: an account made here has to exist.
    pub async fn is_known(&self, user_id: &UserId) -> Result<bool> {
        match user_id.as_str().starts_with(ACCOUNT_PREFIX) {
            true => Ok(self.hot.has_account(user_id).await?),
            false => Ok(true),
        }
    }

    /// Deletes an account; its tokens stop working.
    ///
    /// # Errors
    /// `NotFound`, also for a user who names another user's account.
    pub async fn remove_account(&self, caller: &Caller, user_id: &UserId) -> Result<()> {
        caller.must_be(&[Role::User, Role::Admin])?;
        let may = caller.role == Role::Admin || caller.subject == *user_id;
        match may && self.hot.remove_account(user_id).await? {
            true => Ok(()),
            false => Err(Failure::refused(Refusal::NotFound)),
        }
    }
}
