//! Accounts of users who sign in with a password.

use coupon::ids::UserId;
use coupon::time::Millis;
use hot::Account;
use scylla::value::CqlTimestamp;

use crate::values::{instant, millis, parsed};
use crate::{Cas, CqlSession, Result, StatementProfile, WriteAttempts};

impl CqlSession {
    /// `false` if the login is taken.
    pub async fn make_account(
        &self,
        account: &Account,
        now: Millis,
        mut attempts: WriteAttempts,
    ) -> Result<bool> {
        // Before the account: a user's account is found by this row.
        let cql = "INSERT INTO account_login (user_id, login_id) VALUES (?, ?)";
        let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
        self.write(cql, (user, login)).await?;
        loop {
            if let Some(here) = attempts.looked(self.account(&account.login_id).await)? {
                return Ok(here == *account);
            }
            let cql = "INSERT INTO account (login_id, user_id, password_hash, created_at) \
                       VALUES (?, ?, ?, ?) IF NOT EXISTS";
            let values = (login, user, account.password_hash.as_str(), instant(now));
            attempts.wrote(self.change(attempts.profile(), cql, values).await).await?;
        }
    }

    /// Writes an account of another store, with a write time in microseconds.
    pub async fn put_account(&self, account: &Account, at: Millis, written_at: i64) -> Result<()> {
        let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
        // Before the account, as in `make_account`.
        let cql = "INSERT INTO account_login (user_id, login_id) VALUES (?, ?)";
        self.write(cql, (user, login)).await?;
        let cql = "INSERT INTO account (login_id, user_id, password_hash, created_at) \
                   VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
        let hash = account.password_hash.as_str();
        self.write(cql, (login, user, hash, instant(at), written_at)).await
    }

    /// Deletes what [`CqlSession::put_account`] has written with this write time or an earlier one.
    pub async fn forget_account(&self, account: &Account, written_at: i64) -> Result<()> {
        let cql = "DELETE FROM account USING TIMESTAMP ? WHERE login_id = ?";
        self.write(cql, (written_at, account.login_id.as_str())).await
    }

    pub async fn account(&self, login: &UserId) -> Result<Option<Account>> {
        let cql = "SELECT login_id, user_id, password_hash FROM account WHERE login_id = ?";
        let row: Option<(String, Option<String>, Option<String>)> =
            self.row(cql, (login.as_str(),)).await?;
        let Some((login, Some(user), Some(password_hash))) = row else { return Ok(None) };
        let (login_id, user_id) = (parsed("login_id", &login)?, parsed("user_id", &user)?);
        Ok(Some(Account { login_id, user_id, password_hash }))
    }

    pub async fn account_of(&self, user: &UserId) -> Result<Option<Account>> {
        let cql = "SELECT login_id FROM account_login WHERE user_id = ?";
        let login: Option<String> = self.value(cql, (user.as_str(),)).await?;
        let Some(login) = login else { return Ok(None) };
        let account = self.account(&parsed("login_id", &login)?).await?;
        Ok(account.filter(|account| account.user_id == *user))
    }

    /// When the account of a login was made.
    pub async fn account_made_at(&self, login: &UserId) -> Result<Option<Millis>> {
        let cql = "SELECT created_at FROM account WHERE login_id = ?";
        let at: Option<CqlTimestamp> = self.value(cql, (login.as_str(),)).await?;
        Ok(at.map(millis))
    }

    /// When the login of a user was written, in microseconds.
    pub async fn login_written(&self, user: &UserId) -> Result<Option<i64>> {
        let cql = "SELECT WRITETIME(login_id) AS written FROM account_login WHERE user_id = ?";
        self.value(cql, (user.as_str(),)).await
    }

    /// Deletes the login of a user whose account was deleted, if it was written then or earlier.
    pub async fn forget_login(&self, user: &UserId, written: i64) -> Result<()> {
        let cql = "DELETE FROM account_login USING TIMESTAMP ? WHERE user_id = ?";
        self.write(cql, (written, user.as_str())).await
    }

    /// Deletes an account, and no other of the same login and user: each has a hash of its own.
    pub async fn delete_account(
        &self,
        profile: StatementProfile,
        account: &Account,
    ) -> Result<Cas> {
        let cql = "DELETE FROM account WHERE login_id = ? IF user_id = ? AND password_hash = ?";
        let Account { login_id, user_id, password_hash } = account;
        let values = (login_id.as_str(), user_id.as_str(), password_hash.as_str());
        self.change(profile, cql, values).await
    }

    /// `false` if there is none.
    pub async fn unmake_account(&self, user: &UserId, mut attempts: WriteAttempts) -> Result<bool> {
        let mut removed = false;
        loop {
            let Some(account) = attempts.looked(self.account_of(user).await)? else {
                return Ok(removed);
            };
            let cas = self.delete_account(attempts.profile(), &account).await;
            // An unknown outcome counts as well: the next read says whether the account is gone.
            removed |= !matches!(cas, Ok(Cas::Refused));
            attempts.wrote(cas).await?;
        }
    }
}
