//! Accounts of users who sign in here.

use async_trait::async_trait;
use coupon::ids::UserId;
use coupon::time::Millis;
use hot::{Account, Accounts};
use rusqlite::params;

use crate::columns::parsed;
use crate::txn::Txn;
use crate::{Result, SqliteHot};

#[async_trait]
impl Accounts for SqliteHot {
    async fn create_account(&self, account: Account, now: Millis) -> Result<bool> {
        self.must_have_room().await?;
        let sql = "INSERT INTO account (login_id, user_id, password_hash, created_at) \
                   VALUES (?1, ?2, ?3, ?4) ON CONFLICT (login_id) DO NOTHING";
        let create = move |txn: &Txn<'_>| {
            let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
            Ok(txn.change(sql, params![login, user, account.password_hash, now.0])? == 1)
        };
        self.writer.run(create).await
    }

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>> {
        let login_id = login_id.clone();
        let sql = "SELECT login_id, user_id, password_hash FROM account WHERE login_id = ?1";
        let read = move |txn: &Txn<'_>| {
            txn.first(sql, [login_id.as_str()], |row| {
                let (login_id, user_id) = (parsed(row, 0)?, parsed(row, 1)?);
                Ok(Account { login_id, user_id, password_hash: row.get(2)? })
            })
        };
        self.readers.run(read).await
    }

    async fn has_account(&self, user_id: &UserId) -> Result<bool> {
        let sql = "SELECT 1 FROM account WHERE user_id = ?1";
        self.readers.point(|txn| txn.statement(sql)?.exists([user_id.as_str()])).await
    }

    async fn remove_account(&self, user_id: &UserId) -> Result<bool> {
        let (sql, user_id) = ("DELETE FROM account WHERE user_id = ?1", user_id.clone());
        self.writer.run(move |txn| Ok(txn.change(sql, [user_id.as_str()])? == 1)).await
    }
}
