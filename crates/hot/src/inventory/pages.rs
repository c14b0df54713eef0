//! The walk over a table of a store, page by page.

use super::{CopySource, Inventory, Item, Page, Table};
use crate::Result;

/// Items of one page: some 500 KiB.
pub const PAGE_ITEMS: usize = 2_000;

/// The pages of a table, one after the other. Memory for one of them.
pub struct Pages<'a> {
    store: Store<'a>,
    of: Table,
    /// Where the next page begins; `None` behind the last one.
    from: Option<Option<String>>,
}

enum Store<'a> {
    AsStored(&'a dyn Inventory),
    ToCopy(&'a dyn CopySource),
}

impl<'a> Pages<'a> {
    /// As [`Inventory::page`] gives them.
    pub fn of(store: &'a dyn Inventory, of: Table) -> Pages<'a> {
        Pages { store: Store::AsStored(store), of, from: Some(None) }
    }

    /// As [`CopySource::page_to_copy`] gives them.
    pub fn to_copy(source: &'a dyn CopySource, of: Table) -> Pages<'a> {
        Pages { store: Store::ToCopy(source), of, from: Some(None) }
    }

    /// The items of the next page, perhaps none; `None` behind the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>> {
        let Some(after) = self.from.take() else { return Ok(None) };
        let Page { items, next } = match self.store {
            Store::AsStored(store) => store.page(self.of, after, PAGE_ITEMS).await?,
            Store::ToCopy(source) => source.page_to_copy(self.of, after, PAGE_ITEMS).await?,
        };
        self.from = next.map(Some);
        Ok(Some(items))
    }
}

/// All items of a table as they are stored. Memory for all of them.
pub async fn all(store: &dyn Inventory, of: Table) -> Result<Vec<Item>> {
    let (mut all, mut pages) = (Vec::new(), Pages::of(store, of));
    while let Some(items) = pages.next().await? {
        all.extend(items);
    }
    Ok(all)
}
