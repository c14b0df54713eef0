//! Facts about the store, and whether there are long codes: settings that every process knows in time.

use async_trait::async_trait;
use tokio::time::Instant;

use super::{CqlHot, Store};
use cql_session::Result;
use hot::settings::LONG_CODES;
use hot::{Fact, Facts};

/// How long a setting that was absent is taken to be absent.
pub(super) const SETTINGS_KNOWN: std::time::Duration = std::time::Duration::from_secs(1);

#[async_trait]
impl Facts for CqlHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.store.session.setting(fact.name()).await
    }

    /// If the outcome of the write is unknown, the value afterwards decides.
    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        let attempts = self.store.attempts("a setting");
        self.store.session.replace_setting(attempts, fact.name(), seen, next).await
    }
}

impl Store {
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
        let are = self.session.setting(LONG_CODES).await?.is_some();
        if let Ok(mut known) = self.long_codes.lock() {
            *known = Some((are, since));
        }
        Ok(are)
    }

    /// Raises a setting that is a number, and never lowers it.
    pub(super) async fn raise_setting(&self, name: &str, to: u64) -> Result<()> {
        let raised = |here: Option<u64>| here.is_none_or(|here| here < to).then_some(to);
        self.session.change_number(self.attempts("a setting"), name, raised).await
    }

    pub(super) async fn announce_long(&self) -> Result<()> {
        self.session.set(LONG_CODES, "yes").await?;
        // Until then another process may refuse such a code without a read. This process waits also
        // if the setting was there already: the process that wrote it may still be waiting.
        tokio::time::sleep(SETTINGS_KNOWN).await;
        if let Ok(mut known) = self.long_codes.lock() {
            *known = Some((true, Instant::now()));
        }
        Ok(())
    }
}
