//! Accounts and settings.

use coupon::time::Millis;
use hot::Account;
use hot::inventory::{COPIED_SETTINGS, Item, Page};
use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use super::Position;
use crate::Store;
use crate::values::{millis, parsed};
use cql_session::Result;

impl Store {
    pub(super) async fn page_of_accounts(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(login_id) AS at_token, login_id, user_id, password_hash, \
                   created_at FROM account WHERE token(login_id) > ? LIMIT ?";
        let (rows, next) =
            self.rows_by_token(cql, at, limit, |row: &AccountRow| row.at_token).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let (Some(user), Some(password_hash)) = (row.user_id, row.password_hash) else {
                continue;
            };
            let (login_id, user_id) =
                (parsed("login_id", &row.login_id)?, parsed("user_id", &user)?);
            let created_at = row.created_at.map_or(Millis(0), millis);
            let account = Account { login_id, user_id, password_hash };
            items.push(Item::Account { account, created_at });
        }
        Ok(Page { items, next })
    }

    pub(super) async fn page_of_settings(&self) -> Result<Page> {
        let mut items = Vec::new();
        for setting in COPIED_SETTINGS {
            if let Some(text) = self.session.setting(setting.name()).await? {
                items.push(Item::Setting { setting, value: setting.value(&text)? });
            }
        }
        Ok(Page { items, next: None })
    }
}

#[derive(DeserializeRow)]
struct AccountRow {
    at_token: i64,
    login_id: String,
    user_id: Option<String>,
    password_hash: Option<String>,
    created_at: Option<CqlTimestamp>,
}
