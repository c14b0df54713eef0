//! A source that gives small pages, and a target that gives up after so many writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hot::audit::AuditEntry;
use hot::inventory::{
    CopySource, Importer, Inventory, Item, OrderEntry, Page, Pass, Table, Vanishing,
};
use hot::{Fact, Facts, HotError};

/// Pages of so many items at most.
pub(crate) struct SmallPages {
    pub(crate) inner: Arc<dyn CopySource>,
    pub(crate) items: usize,
}

#[async_trait]
impl CopySource for SmallPages {
    fn facts(&self) -> &dyn Facts {
        self.inner.facts()
    }

    async fn page_to_copy(
        &self,
        of: Table,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page, HotError> {
        self.inner.page_to_copy(of, after, limit.min(self.items)).await
    }

    async fn has(&self, items: &[Vanishing]) -> Result<Vec<bool>, HotError> {
        self.inner.has(items).await
    }

    async fn orders(
        &self,
        after: Option<OrderEntry>,
        limit: usize,
    ) -> Result<Vec<OrderEntry>, HotError> {
        self.inner.orders(after, limit.min(self.items)).await
    }
}

pub(crate) struct StoppingTarget {
    inner: Arc<dyn Importer>,
    left: AtomicUsize,
}

impl StoppingTarget {
    /// Writes `writes` times, and then no more.
    pub(crate) fn after(inner: Arc<dyn Importer>, writes: usize) -> StoppingTarget {
        StoppingTarget { inner, left: writes.into() }
    }

    fn writes(&self) -> Result<(), HotError> {
        let taken =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_| HotError::Unavailable("stopped here".into()))
    }
}

#[async_trait]
impl Facts for StoppingTarget {
    async fn fact(&self, fact: Fact) -> Result<Option<String>, HotError> {
        self.inner.fact(fact).await
    }

    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool, HotError> {
        self.writes()?;
        self.inner.set_fact(fact, seen, next).await
    }

    async fn set_audited_fact(
        &self,
        _: Fact,
        _: Option<String>,
        _: String,
        _: AuditEntry,
    ) -> Result<bool, HotError> {
        unreachable!("a copy changes nothing that the audit tells of")
    }
}

#[async_trait]
impl Inventory for StoppingTarget {
    async fn page(&self, of: Table, after: Option<String>, limit: usize) -> Result<Page, HotError> {
        self.inner.page(of, after, limit).await
    }
}

#[async_trait]
impl Importer for StoppingTarget {
    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<(), HotError> {
        self.writes()?;
        self.inner.put(items, pass).await
    }

    async fn remove(&self, items: Vec<Vanishing>) -> Result<(), HotError> {
        self.writes()?;
        self.inner.remove(items).await
    }

    async fn settle(&self) -> Result<(), HotError> {
        self.inner.settle().await
    }
}
