//! Accounts of users who sign in here.

use coupon::ids::UserId;
use coupon::time::Millis;
use hot::Account;
use rusqlite::params;

use crate::columns::parsed;
use crate::txn::Txn;

pub(crate) fn create(txn: &Txn<'_>, account: &Account, now: Millis) -> rusqlite::Result<bool> {
    let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
    let made = txn.change(
        "INSERT INTO account (login_id, user_id, password_hash, created_at) \
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (login_id) DO NOTHING",
        params![login, user, account.password_hash, now.0],
    )?;
    Ok(made == 1)
}

pub(crate) fn of_login(txn: &Txn<'_>, login_id: &UserId) -> rusqlite::Result<Option<Account>> {
    let sql = "SELECT login_id, user_id, password_hash FROM account WHERE login_id = ?1";
    txn.first(sql, [login_id.as_str()], |row| {
        let (login_id, user_id) = (parsed(row, 0)?, parsed(row, 1)?);
        Ok(Account { login_id, user_id, password_hash: row.get(2)? })
    })
}

pub(crate) fn exists(txn: &Txn<'_>, user_id: &UserId) -> rusqlite::Result<bool> {
    txn.statement("SELECT 1 FROM account WHERE user_id = ?1")?.exists([user_id.as_str()])
}

pub(crate) fn remove(txn: &Txn<'_>, user_id: &UserId) -> rusqlite::Result<bool> {
    Ok(txn.change("DELETE FROM account WHERE user_id = ?1", [user_id.as_str()])? == 1)
}
