//! A cluster as the source and the target of a copy.

mod exporter;
mod importer;

use async_trait::async_trait;

use super::CqlHot;
use super::bounded_join::bounded_join;
use super::session::Result;
use super::values::parsed;
use hot::HotError;
use hot::copying::{Copyable, Item, Kind, Page, Pass};

/// Items that are looked up, or deleted, at a time.
const AT_ONCE: usize = 128;

#[async_trait]
impl Copyable for CqlHot {
    async fn items(&self, kind: Kind, after: Option<String>, limit: usize) -> Result<Page> {
        let at = Position::of(after.as_deref().unwrap_or_default());
        match kind {
            Kind::Day => self.store.copied_partitions(&at, limit).await,
            Kind::Campaign => self.store.copied_campaigns(&at, limit).await,
            Kind::Account => self.store.copied_accounts(&at, limit).await,
            Kind::Coupon => self.store.copied_coupons(&at, limit).await,
            Kind::Entry => self.store.copied_entries(&at, limit).await,
            Kind::Claim => self.store.copied_claims(&at, limit).await,
            Kind::Replacement => self.store.copied_replacements(&at, limit).await,
            Kind::Rejected => self.store.copied_rejected(&at, limit).await,
            Kind::Setting => self.store.copied_settings().await,
        }
    }

    async fn put(&self, items: Vec<Item>, pass: Pass) -> Result<()> {
        self.store.put_items(items, pass).await
    }

    async fn has(&self, items: &[Item]) -> Result<Vec<bool>> {
        bounded_join(AT_ONCE, items.iter().map(|item| self.store.has_item(item))).await
    }

    async fn remove(&self, items: Vec<Item>) -> Result<()> {
        bounded_join(AT_ONCE, items.iter().map(|item| self.store.remove_item(item))).await.map(drop)
    }

    async fn settle(&self) -> Result<()> {
        self.flush().await;
        Ok(())
    }

    async fn copy_setting(&self, name: &str) -> Result<Option<String>> {
        self.store.setting(name).await
    }

    async fn set_copy_setting(&self, name: &str, value: &str) -> Result<()> {
        self.store.set(name, value).await
    }
}

/// A position: the key of the last item, with its parts separated by blanks, which no name has.
pub(super) struct Position<'a>(Vec<&'a str>);

impl<'a> Position<'a> {
    fn of(text: &'a str) -> Position<'a> {
        Position(text.split_whitespace().collect())
    }

    fn text(&self, part: usize) -> &'a str {
        self.0.get(part).copied().unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(&self, part: usize, first: T) -> Result<T> {
        match self.0.get(part) {
            None => Ok(first),
            Some(text) => text.parse().map_err(|_| {
                HotError::Damaged(format!("copy_position has {text:?}, want a number"))
            }),
        }
    }

    fn name<T>(&self, part: usize) -> Result<Option<T>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.0.get(part).map(|text| parsed("copy_position", text)).transpose()
    }
}
