//! A store in front of another one: it hands out small pages, and gives up after so many writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hot::HotError;
use hot::copying::{Copyable, Item, Kind, Page, Pass};

pub(crate) struct Stops {
    inner: Arc<dyn Copyable>,
    page: usize,
    left: AtomicUsize,
}

impl Stops {
    /// Pages of `page` items at most.
    pub(crate) fn never(inner: Arc<dyn Copyable>, page: usize) -> Stops {
        Stops { inner, page, left: usize::MAX.into() }
    }

    /// Writes `writes` times, and then no more.
    pub(crate) fn after(inner: Arc<dyn Copyable>, writes: usize) -> Stops {
        Stops { inner, page: usize::MAX, left: writes.into() }
    }

    fn writes(&self) -> Result<(), HotError> {
        let taken =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_| HotError::Unavailable("stopped here".into()))
    }
}

#[async_trait]
impl Copyable for Stops {
    async fn items(
        &self,
        kind: Kind,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page, HotError> {
        self.inner.items(kind, after, limit.min(self.page)).await
    }

    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<(), HotError> {
        self.writes()?;
        self.inner.put(items, pass).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<bool>, HotError> {
        self.inner.has(items).await
    }

    async fn remove(&self, items: Vec<Item>) -> Result<(), HotError> {
        self.writes()?;
        self.inner.remove(items).await
    }

    async fn settle(&self) -> Result<(), HotError> {
        self.inner.settle().await
    }

    async fn copy_setting(&self, name: &str) -> Result<Option<String>, HotError> {
        self.inner.copy_setting(name).await
    }

    async fn set_copy_setting(&self, name: &str, value: &str) -> Result<(), HotError> {
        self.writes()?;
        self.inner.set_copy_setting(name, value).await
    }
}
