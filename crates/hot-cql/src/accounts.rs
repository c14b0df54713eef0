//! Accounts of users who sign in with a password, and settings.

use async_trait::async_trait;
use coupon::ids::UserId;
use coupon::time::Millis;
use tokio::time::Instant;

use super::values::{instant, parsed};
use super::{CqlHot, Store};
use cql_session::{Cas, Result};
use hot::settings::LONG_CODES;
use hot::{Account, Fact, Facts, HotError};

/// How long a setting that was absent is taken to be absent.
pub(super) const SETTINGS_KNOWN: std::time::Duration = std::time::Duration::from_secs(1);

#[async_trait]
impl Facts for CqlHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.store.setting(fact.name()).await
    }

    /// If the outcome of the write is unknown, the value afterwards decides.
    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        let store = &self.store;
        let mut attempts = store.attempts("a setting");
        let mut sent = false;
        loop {
            let present = attempts.looked(store.setting(fact.name()).await)?;
            if sent && present == next {
                return Ok(true);
            }
            if present != seen {
                return Ok(false);
            }
            let cql = "UPDATE setting SET value = ? WHERE name = ? IF value = ?";
            let values = (next.as_deref(), fact.name(), seen.as_deref());
            sent = true;
            if attempts.wrote(store.session.change(attempts.profile(), cql, values).await).await? {
                return Ok(true);
            }
        }
    }
}

impl Store {
    pub(super) async fn make_account(&self, account: &Account, now: Millis) -> Result<bool> {
        let cql = "INSERT INTO account_login (user_id, login_id) VALUES (?, ?)";
        let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
        self.session.write(cql, (user, login)).await?;
        let mut attempts = self.attempts("a new account");
        loop {
            if let Some(here) = attempts.looked(self.account(&account.login_id).await)? {
                return Ok(here == *account);
            }
            let cql = "INSERT INTO account (login_id, user_id, password_hash, created_at) \
                       VALUES (?, ?, ?, ?) IF NOT EXISTS";
            let values = (login, user, account.password_hash.as_str(), instant(now));
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    pub(super) async fn account(&self, login: &UserId) -> Result<Option<Account>> {
        let cql = "SELECT login_id, user_id, password_hash FROM account WHERE login_id = ?";
        let row: Option<(String, Option<String>, Option<String>)> =
            self.session.row(cql, (login.as_str(),)).await?;
        let Some((login, Some(user), Some(password_hash))) = row else { return Ok(None) };
        let (login_id, user_id) = (parsed("login_id", &login)?, parsed("user_id", &user)?);
        Ok(Some(Account { login_id, user_id, password_hash }))
    }

    pub(super) async fn account_of(&self, user: &UserId) -> Result<Option<Account>> {
        let cql = "SELECT login_id FROM account_login WHERE user_id = ?";
        let login: Option<String> = self.session.value(cql, (user.as_str(),)).await?;
        let Some(login) = login else { return Ok(None) };
        let account = self.account(&parsed("login_id", &login)?).await?;
        Ok(account.filter(|account| account.user_id == *user))
    }

    pub(super) async fn unmake_account(&self, user: &UserId) -> Result<bool> {
        let mut attempts = self.attempts("an account's end");
        let mut removed = false;
        loop {
            let Some(account) = attempts.looked(self.account_of(user).await)? else {
                return Ok(removed);
            };
            let cql = "DELETE FROM account WHERE login_id = ? IF user_id = ?";
            let cas = self
                .session
                .change(attempts.profile(), cql, (account.login_id.as_str(), user.as_str()))
                .await;
            removed |= !matches!(cas, Ok(Cas::Refused));
            attempts.wrote(cas).await?;
        }
    }

    pub(super) async fn setting(&self, name: &str) -> Result<Option<String>> {
        self.session.value("SELECT value FROM setting WHERE name = ?", (name,)).await
    }

    pub(super) async fn setting_number(&self, name: &str) -> Result<Option<u64>> {
        let text = self.setting(name).await?;
        text.map(|text| text.parse().map_err(|why| HotError::Damaged(format!("{name}: {why}"))))
            .transpose()
    }

    pub(super) async fn set(&self, name: &str, value: &str) -> Result<()> {
        let cql = "INSERT INTO setting (name, value) VALUES (?, ?)";
        self.session.write(cql, (name, value)).await
    }

    /// Replaces a number by what `next` returns for it; `None` leaves it.
    pub(super) async fn change_number(
        &self,
        name: &str,
        next: impl Fn(Option<u64>) -> Option<u64> + Send,
    ) -> Result<()> {
        let mut attempts = self.attempts("a setting");
        let mut wanted = None;
        loop {
            let present = attempts.looked(self.setting_number(name).await)?;
            if wanted.is_some() && present == wanted {
                return Ok(());
            }
            let Some(new) = next(present) else { return Ok(()) };
            let cql = "UPDATE setting SET value = ? WHERE name = ? IF value = ?";
            let values = (new.to_string(), name, present.map(|number| number.to_string()));
            wanted = Some(new);
            if attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await? {
                return Ok(());
            }
        }
    }

    /// Whether there are foreign codes of 16 or more characters. A process that was frozen reads it
    /// again before it uses what it knew.
    pub(super) async fn long_codes(&self) -> Result<bool> {
        let known = self.long_codes.lock().ok().and_then(|known| *known);
        match known {
            Some((true, _)) => return Ok(true),
            Some((false, since)) if since.elapsed() < SETTINGS_KNOWN => return Ok(false),
            Some(_) | None => {}
        }
        let since = Instant::now();
        let are = self.setting(LONG_CODES).await?.is_some();
        if let Ok(mut known) = self.long_codes.lock() {
            *known = Some((are, since));
        }
        Ok(are)
    }

    pub(super) async fn announce_long(&self) -> Result<()> {
        self.set(LONG_CODES, "yes").await?;
        // Until then another process may refuse such a code without a read. This process waits also
        // if the setting was there already: the process that wrote it may still be waiting.
        tokio::time::sleep(SETTINGS_KNOWN).await;
        if let Ok(mut known) = self.long_codes.lock() {
            *known = Some((true, Instant::now()));
        }
        Ok(())
    }
}
