//! Facts about the store, and numbers that only rise: settings.

use async_trait::async_trait;

use super::{CqlHot, Store};
use cql_session::Result;
use hot::{Fact, Facts};

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
    /// Raises a setting that is a number, and never lowers it.
    pub(super) async fn raise_setting(&self, name: &str, to: u64) -> Result<()> {
        let raised = |here: Option<u64>| here.is_none_or(|here| here < to).then_some(to);
        self.session.change_number(self.attempts("a setting"), name, raised).await
    }
}
