//! Facts about the store, and numbers that only rise: settings.

use async_trait::async_trait;
use coupon::time::Millis;

use super::{CqlHot, CqlStore};
use cql_session::Result;
use hot::audit::AuditEntry;
use hot::records::Carried;
use hot::{Fact, Facts};
use uuid::Uuid;

#[async_trait]
impl Facts for CqlHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.store.session.setting(fact.as_str()).await
    }

    /// If the outcome of the write is unknown, the value afterwards decides.
    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        // A machine with a wrong clock must not make the others wait for a day: see `hot::clock`.
        self.store.may_write()?;
        let attempts = self.store.attempts("a setting");
        self.store.session.replace_setting(attempts, fact.as_str(), seen, next).await
    }

    /// The row carries the entry until it is in the audit. The next replacement enters the entry first, and so does
    /// a reader of the audit.
    async fn set_audited_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: String,
        entry: AuditEntry,
    ) -> Result<bool> {
        let store = &self.store;
        store.may_write()?;
        if store.log.get().is_none() {
            return self.set_fact(fact, seen, Some(next)).await;
        }
        let told_at = Millis(store.session.now_ms());
        let carried = Carried::of_entry(Uuid::now_v7(), told_at, &entry).to_text()?;
        let (name, next) = (fact.as_str(), (next.as_str(), carried.as_str()));
        let replaced = loop {
            store.enter_carried_of(fact).await?;
            let attempts = store.attempts("a setting");
            let loaded = store.session.load_setting(attempts, name, seen.as_deref(), next).await?;
            if let Some(replaced) = loaded {
                break replaced;
            }
        };
        if replaced && let Err(error) = store.enter_carried_of(fact).await {
            tracing::warn!(%error, "the audit gets an entry later");
        }
        Ok(replaced)
    }
}

impl CqlStore {
    pub(super) async fn enter_carried_of(&self, fact: Fact) -> Result<()> {
        let Some(log) = self.log.get() else { return Ok(()) };
        let Some(text) = self.session.carried_by(fact.as_str()).await? else { return Ok(()) };
        let carried = Carried::parse(&text)?;
        if let Some(entry) = carried.entry()? {
            // Before it is unloaded: after a crash the same entry is written again.
            log.happened(carried.attempt, carried.told_at, &entry).await?;
        }
        self.session.unload_setting(fact.as_str(), &text).await
    }

    /// Raises a setting that is a number, and never lowers it.
    pub(super) async fn raise_setting(&self, name: &str, to: u64) -> Result<()> {
        let raised = |here: Option<u64>| here.is_none_or(|here| here < to).then_some(to);
        self.session.change_number(self.attempts("a setting"), name, raised).await
    }
}
