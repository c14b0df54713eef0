//! The store as the source and the target of a copy.

mod exporter;
mod importer;
mod vanished;

use async_trait::async_trait;
use hot::HotError;
use hot::copying::{Copyable, Item, Kind, Page, Pass};

use crate::txn::Txn;
use crate::{SqliteHot, settings};

#[async_trait]
impl Copyable for SqliteHot {
    async fn items(
        &self,
        kind: Kind,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page, HotError> {
        self.readers.run(move |txn| exporter::page(txn, kind, after.as_deref(), limit)).await
    }

    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<(), HotError> {
        let put =
            move |txn: &Txn<'_>| items.iter().try_for_each(|item| importer::put(txn, item, pass));
        self.writer.run(put).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<bool>, HotError> {
        let items = items.to_vec();
        self.readers
            .run(move |txn| items.iter().map(|item| vanished::has(txn, item)).collect())
            .await
    }

    async fn remove(&self, items: Vec<Item>) -> Result<(), HotError> {
        self.writer
            .run(move |txn| items.iter().try_for_each(|item| vanished::remove(txn, item)))
            .await
    }

    async fn settle(&self) -> Result<(), HotError> {
        self.writer.run(importer::settle).await
    }

    async fn copy_setting(&self, name: &str) -> Result<Option<String>, HotError> {
        let name = name.to_owned();
        self.readers.run(move |txn| txn.setting(&name)).await
    }

    async fn set_copy_setting(&self, name: &str, value: &str) -> Result<(), HotError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.writer.run(move |txn| settings::set(txn, &name, &value)).await
    }
}
