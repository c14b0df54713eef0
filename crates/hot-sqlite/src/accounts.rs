//! Accounts of those who sign in here, and settings.

use coupon::ids::UserId;
use coupon::time::Millis;
use rusqlite::{OptionalExtension, params};

use super::rows;
use super::txn::Txn;
use hot::Account;

pub(super) fn create(txn: &Txn<'_>, account: &Account, now: Millis) -> rusqlite::Result<bool> {
    let made = txn
        .statement(
            "INSERT INTO account (login_id, user_id, password_hash, created_at) \
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT (login_id) DO NOTHING",
        )?
        .execute(params![
            account.login_id.as_str(),
            account.user_id.as_str(),
            account.password_hash,
            now.0
        ])?;
    Ok(made == 1)
}

pub(super) fn of_login(txn: &Txn<'_>, login_id: &UserId) -> rusqlite::Result<Option<Account>> {
    txn.statement("SELECT login_id, user_id, password_hash FROM account WHERE login_id = ?1")?
        .query_row([login_id.as_str()], |row| {
            Ok(Account {
                login_id: rows::parsed(row, 0)?,
                user_id: rows::parsed(row, 1)?,
                password_hash: row.get(2)?,
            })
        })
        .optional()
}

pub(super) fn exists(txn: &Txn<'_>, user_id: &UserId) -> rusqlite::Result<bool> {
    txn.statement("SELECT 1 FROM account WHERE user_id = ?1")?.exists([user_id.as_str()])
}

pub(super) fn remove(txn: &Txn<'_>, user_id: &UserId) -> rusqlite::Result<bool> {
    let removed =
        txn.statement("DELETE FROM account WHERE user_id = ?1")?.execute([user_id.as_str()])?;
    Ok(removed == 1)
}

pub(super) fn set(txn: &Txn<'_>, name: &str, value: &str) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO setting (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![name, value])?;
    Ok(())
}

/// Sets a setting that still reads `seen`, `None` for none; whether it did.
pub(super) fn replace(
    txn: &Txn<'_>,
    name: &str,
    seen: Option<&str>,
    next: Option<&str>,
) -> rusqlite::Result<bool> {
    if setting(txn, name)?.as_deref() != seen {
        return Ok(false);
    }
    match next {
        Some(next) => set(txn, name, next)?,
        None => {
            txn.statement("DELETE FROM setting WHERE name = ?1")?.execute([name])?;
        }
    }
    Ok(true)
}

pub(super) fn setting(txn: &Txn<'_>, name: &str) -> rusqlite::Result<Option<String>> {
    txn.statement("SELECT value FROM setting WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}
