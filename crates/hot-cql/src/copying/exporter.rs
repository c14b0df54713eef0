//! A cluster as the source of a copy: one file for each kind of items.

mod campaigns;
mod claims;
mod coupons;
mod directory;
mod partitions;
mod rejected;
mod replacements;

use coupon::time::Millis;
use hot::Account;
use hot::copying::{Item, Page, SETTINGS};
use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use super::Position;
use crate::Store;
use crate::session::{Result, StatementProfile};
use crate::values::{millis, parsed, signed};
use replacements::ReplacementRow;

/// Rows that are read at a time.
const AT_ONCE: usize = 128;

/// A row of a table that is read in the order of its tokens.
trait ByToken {
    fn token(&self) -> i64;
}

/// The rows of a page, and where the next one begins. Two keys may have one token: the last token
/// of a full page is left to the next page, so that no key is skipped.
fn by_token<R: ByToken>(mut rows: Vec<R>, limit: usize) -> (Vec<R>, Option<String>) {
    if rows.len() < limit {
        return (rows, None);
    }
    let last = rows.last().map_or(i64::MAX, ByToken::token);
    let whole = rows.iter().take_while(|row| row.token() != last).count();
    if whole > 0 {
        rows.truncate(whole);
    }
    let next = rows.last().map(|row| row.token().to_string());
    (rows, next)
}

/// For a `LIMIT`: at least two, so that a page has one more token than the last one.
fn limit_of(limit: usize) -> i32 {
    i32::try_from(limit.max(2)).unwrap_or(i32::MAX)
}

impl Store {
    pub(crate) async fn copied_accounts(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(login_id) AS at_token, login_id, user_id, password_hash, \
                   created_at FROM account WHERE token(login_id) > ? LIMIT ?";
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<AccountRow> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit.max(2));
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

    pub(crate) async fn copied_settings(&self) -> Result<Page> {
        let mut items = Vec::new();
        for setting in SETTINGS {
            if let Some(text) = self.setting(setting.name()).await? {
                items.push(Item::Setting { setting, value: setting.value(&text)? });
            }
        }
        Ok(Page { items, next: None })
    }

    /// For kinds of items that are deleted.
    pub(crate) async fn has_item(&self, item: &Item) -> Result<bool> {
        match item {
            Item::Account { account, .. } => {
                let here = self.account(&account.login_id).await?;
                Ok(here.is_some_and(|here| here.user_id == account.user_id))
            }
            Item::Replacement(it) => {
                let cql = "SELECT token(replaced) AS at_token, replaced, campaign_id, user_id, \
                           reference, issue FROM replacement WHERE replaced = ?";
                let row: Option<ReplacementRow> =
                    self.session.row(StatementProfile::Read, cql, (it.replaced.as_str(),)).await?;
                match row {
                    Some(row) => self.was_replaced(&row).await,
                    None => Ok(false),
                }
            }
            Item::Rejected { campaign, batch, line, .. } => {
                let cql = "SELECT line FROM rejected_line \
                           WHERE campaign_id = ? AND batch_id = ? AND line = ?";
                let values = (campaign.as_str(), batch.as_str(), signed(line.line));
                let row: Option<(i64,)> =
                    self.session.row(StatementProfile::Read, cql, values).await?;
                Ok(row.is_some())
            }
            Item::Day(_)
            | Item::Campaign(_)
            | Item::Coupon { .. }
            | Item::ArchivedMarker { .. }
            | Item::Entry(_)
            | Item::Claim(_)
            | Item::Setting { .. } => Ok(true),
        }
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

impl ByToken for AccountRow {
    fn token(&self) -> i64 {
        self.at_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(i64);

    impl ByToken for Row {
        fn token(&self) -> i64 {
            self.0
        }
    }

    #[test]
    fn no_key_is_passed_over() {
        let rows = [
            ("nothing", vec![], 2, vec![], None),
            ("the end", vec![1, 2], 3, vec![1, 2], None),
            ("a full page", vec![1, 2, 3], 3, vec![1, 2], Some("2")),
            ("two of one token at its end", vec![1, 2, 2], 3, vec![1], Some("1")),
            ("all of one token", vec![2, 2], 2, vec![2, 2], Some("2")),
        ];
        for (name, tokens, limit, want, next) in rows {
            let page = tokens.into_iter().map(Row).collect();
            let (kept, from) = by_token::<Row>(page, limit);
            assert_eq!(kept.iter().map(|row| row.0).collect::<Vec<_>>(), want, "{name}");
            assert_eq!(from.as_deref(), next, "{name}");
        }
    }
}
