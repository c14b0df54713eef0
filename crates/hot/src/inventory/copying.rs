//! Copying a store to another engine: everything that it holds, read page by page and put into the
//! target.
//!
//! *Pass*: one walk over all tables. The first fills a target in which there is nothing; every later
//! one brings what has changed since. Its *position* is kept in the target after each page, so that
//! a pass that was killed continues where it stopped.

use std::collections::BTreeMap;

use super::{
    COPIED, CopySource, Importer, Inventory, Item, ItemSum, PAGE_ITEMS, Pages, Pass, RowIs,
    RowItem, Table, Vanishing,
};
use crate::{COPIED_FACTS, Fact, Facts, HotError, Result};

const VANISHING: [Table; 2] = [Table::Accounts, Table::Replacements];

/// In place of the position when a pass has come to its end.
const COMPLETE: &str = "complete";

/// Why nothing is copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{0}")]
    Refused(&'static str),
    #[error("{0}")]
    Store(#[from] HotError),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Items read, by what they are.
    pub read: BTreeMap<&'static str, u64>,
    /// Items of the target that are gone from the source.
    pub removed: u64,
    /// Whether it went on where another had stopped.
    pub resumed: bool,
    /// Whether an earlier pass had come to its end.
    pub again: bool,
}

/// What two stores have of one sort of item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    pub what: &'static str,
    pub from: ItemSum,
    pub to: ItemSum,
}

impl Compared {
    pub fn is_same(&self) -> bool {
        self.from == self.to
    }
}

/// Walks `from` once and puts into `to` what is not there yet. `told` hears the table and how many
/// items of all have been read, after each page. An item that cannot be read ends it.
///
/// # Errors
/// [`CopyError`]: a target that has something of its own, is a copy of another store, was in use
/// since it was begun, or is filled by another process at the same time.
pub async fn copy(
    from: &dyn CopySource,
    to: &dyn Importer,
    told: impl Fn(Table, u64) + Send + Sync,
) -> Result<Copied, CopyError> {
    begin(from, to).await?;
    let mut kept = to.fact(Fact::CopyPosition).await?;
    let mut position = Position::of(kept.as_deref());
    let (again, resumed) = (position.pass == Pass::Again, position.resumed);
    let mut copied = Copied { again, resumed, ..Copied::default() };
    let mut count = 0;
    while let Some(table) = position.table {
        let page = from.page_to_copy(table, position.after.clone(), PAGE_ITEMS).await?;
        must_be_readable(&page.items)?;
        for item in &page.items {
            *copied.read.entry(item.what()).or_default() += 1;
        }
        count += page.items.len() as u64;
        // Of the page at which a pass was stopped some may be here already, in older versions.
        let pass = if position.resumed { Pass::Again } else { position.pass };
        if !page.items.is_empty() {
            put(from, to, page.items, pass).await?;
        }
        if page.next.is_none() && position.pass == Pass::Again && VANISHING.contains(&table) {
            copied.removed += remove_vanished(from, to, table).await?;
        }
        position = position.behind(table, page.next);
        let next = match position.table {
            Some(_) => position.text(),
            None => {
                to.settle().await?;
                COMPLETE.to_owned()
            }
        };
        // After the page: a pass that is killed in between puts the page once more.
        if !to.set_fact(Fact::CopyPosition, kept, Some(next.clone())).await? {
            return Err(CopyError::Refused("another copy fills the target at the same time"));
        }
        kept = Some(next);
        told(table, count);
    }
    Ok(copied)
}

/// Brings the [`COPIED_FACTS`].
///
/// # Errors
/// [`CopyError`]: the target's facts change at the same time.
pub async fn copy_facts(from: &dyn Facts, to: &dyn Facts) -> Result<(), CopyError> {
    for fact in COPIED_FACTS {
        let (seen, next) = (to.fact(fact).await?, from.fact(fact).await?);
        if seen != next && !to.set_fact(fact, seen, next).await? {
            return Err(CopyError::Refused("another copy fills the target at the same time"));
        }
    }
    Ok(())
}

/// The source may be in use. Then a day, a campaign or a batch may have been made after those were
/// copied, and what came into it arrives before it: a target that lacks it says that it is damaged.
async fn put(from: &dyn CopySource, to: &dyn Importer, items: Vec<Item>, pass: Pass) -> Result<()> {
    match to.put(items.clone(), pass).await {
        Err(HotError::Damaged(_)) => put_once_more(from, to, items).await,
        put => put,
    }
}

/// Copies days and campaigns again, then puts the page once more. They are read after the page, so
/// everything that the page needs is among them: an error after that is one.
async fn put_once_more(from: &dyn CopySource, to: &dyn Importer, items: Vec<Item>) -> Result<()> {
    // All of them may be here already, and some items of the page.
    for table in [Table::Partitions, Table::Campaigns] {
        let mut pages = Pages::to_copy(from, table);
        while let Some(items) = readable(&mut pages).await? {
            to.put(items, Pass::Again).await?;
        }
    }
    to.put(items, Pass::Again).await
}

async fn readable(pages: &mut Pages<'_>) -> Result<Option<Vec<Item>>> {
    let items = pages.next().await?;
    must_be_readable(items.as_deref().unwrap_or_default())?;
    Ok(items)
}

/// [`HotError::Damaged`] names an item that cannot be read, so that a copy leaves none out.
fn must_be_readable(items: &[Item]) -> Result<()> {
    match items.iter().find_map(Item::fault) {
        None => Ok(()),
        Some(fault) => Err(HotError::Damaged(format!("{}: {}", fault.about, fault.why))),
    }
}

/// Counts and hashes of everything on both sides; some minutes for a hundred million coupons.
pub async fn compare(
    from: &dyn CopySource,
    to: &dyn Inventory,
    told: impl Fn(Table, u64) + Send + Sync,
) -> Result<Vec<Compared>> {
    let mut compared = Vec::new();
    let mut count = 0;
    for table in COPIED {
        let mut sums: BTreeMap<&'static str, [ItemSum; 2]> = BTreeMap::new();
        for (side, mut pages) in
            [Pages::to_copy(from, table), Pages::of(to, table)].into_iter().enumerate()
        {
            while let Some(items) = readable(&mut pages).await? {
                count += items.len() as u64;
                for item in items.iter().filter(|item| !forwards(item)) {
                    sums.entry(item.what()).or_default()[side].add(item);
                }
                told(table, count);
            }
        }
        compared.extend(sums.into_iter().map(|(what, [from, to])| Compared { what, from, to }));
    }
    Ok(compared)
}

/// Forwarding rows are not compared: a cluster needs them to find a coupon that has moved, and the source
/// has none.
fn forwards(item: &Item) -> bool {
    matches!(item, Item::Row(RowItem { is: RowIs::Forwarding { .. }, .. }))
}

/// Finds out whether `to` may be filled from `from`, and writes down that it is.
async fn begin(from: &dyn CopySource, to: &dyn Importer) -> Result<(), CopyError> {
    let source = id_of(from).await?;
    let touched = to.fact(Fact::TouchedAt).await?.unwrap_or_default();
    let begun = format!("{source} {touched}");
    match to.fact(Fact::CopiedFrom).await? {
        Some(here) if here == begun => Ok(()),
        Some(here) if here.split(' ').next() == Some(&source) => Err(CopyError::Refused(
            "`serve` was started on the target since the copy was begun: it is the store now; to \
             begin anew, empty it",
        )),
        Some(_) => Err(CopyError::Refused("the target is a copy of another store")),
        None => {
            for table in [Table::Partitions, Table::Campaigns, Table::Accounts] {
                let page = to.page(table, None, 1).await?;
                if !page.items.is_empty() || page.next.is_some() {
                    let why = "the target is not empty, and not the copy of this source";
                    return Err(CopyError::Refused(why));
                }
            }
            match to.set_fact(Fact::CopiedFrom, None, Some(begun)).await? {
                true => Ok(()),
                false => Err(CopyError::Refused("another copy into the target was just begun")),
            }
        }
    }
}

/// By what a store is known to its copies.
async fn id_of(source: &dyn CopySource) -> Result<String> {
    let store = source.facts();
    if let Some(id) = store.fact(Fact::StoreId).await? {
        return Ok(id);
    }
    let id = format!("{:032x}", uuid::Uuid::now_v7().as_u128());
    // Of two who ask at once, both say the one that stands.
    store.set_fact(Fact::StoreId, None, Some(id)).await?;
    let there = store.fact(Fact::StoreId).await?;
    there.ok_or_else(|| HotError::Damaged("a setting is not there after it was set".into()))
}

async fn remove_vanished(from: &dyn CopySource, to: &dyn Importer, table: Table) -> Result<u64> {
    let (mut removed, mut pages) = (0, Pages::of(to, table));
    while let Some(items) = readable(&mut pages).await? {
        let vanishing = |item| if let Item::Vanishing(it) = item { Some(it) } else { None };
        let items: Vec<Vanishing> = items.into_iter().filter_map(vanishing).collect();
        let there = from.has(&items).await?;
        let gone = items.into_iter().zip(there);
        let gone: Vec<Vanishing> = gone.filter_map(|(it, has)| (!has).then_some(it)).collect();
        removed += gone.len() as u64;
        if !gone.is_empty() {
            to.remove(gone).await?;
        }
    }
    Ok(removed)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    pass: Pass,
    /// `None` at its end.
    table: Option<Table>,
    after: Option<String>,
    /// Whether another process has stopped here.
    resumed: bool,
}

impl Position {
    fn of(kept: Option<&str>) -> Position {
        let start = |pass| Position { pass, table: Some(COPIED[0]), after: None, resumed: false };
        let Some(text) = kept else { return start(Pass::First) };
        let mut words = text.splitn(3, ' ');
        let pass = match words.next() {
            Some("first") => Pass::First,
            _ => Pass::Again,
        };
        let word = words.next().unwrap_or_default();
        match COPIED.into_iter().find(|table| table.as_str() == word) {
            Some(table) => {
                let after = words.next().filter(|after| !after.is_empty()).map(str::to_owned);
                Position { pass, table: Some(table), after, resumed: true }
            }
            // Complete, or of another release: then all of it again.
            None => start(Pass::Again),
        }
    }

    fn behind(self, table: Table, next: Option<String>) -> Position {
        let table = match next {
            Some(_) => Some(table),
            None => COPIED.into_iter().find(|later| *later > table),
        };
        Position { pass: self.pass, table, after: next, resumed: false }
    }

    fn text(&self) -> String {
        let pass = match self.pass {
            Pass::First => "first",
            Pass::Again => "again",
        };
        let table = self.table.map_or(COMPLETE, Table::as_str);
        format!("{pass} {table} {}", self.after.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        let at = |pass, table, after: Option<&str>, resumed| Position {
            pass,
            table: Some(table),
            after: after.map(str::to_owned),
            resumed,
        };
        let rows = [
            ("nothing yet", None, at(Pass::First, Table::Partitions, None, false)),
            (
                "stopped",
                Some("first coupons 20777 3 ABC"),
                at(Pass::First, Table::Coupons, Some("20777 3 ABC"), true),
            ),
            ("before a table", Some("again claims "), at(Pass::Again, Table::Claims, None, true)),
            ("complete", Some(COMPLETE), at(Pass::Again, Table::Partitions, None, false)),
        ];
        for (name, kept, want) in rows {
            let position = Position::of(kept);
            assert_eq!(position, want, "{name}");
            if position.resumed {
                assert_eq!(Some(position.text().as_str()), kept, "{name}");
            }
        }
    }

    #[test]
    fn every_table_has_its_turn() {
        let mut position = Position::of(None);
        let mut tables = Vec::new();
        while let Some(table) = position.table {
            tables.push(table);
            position = position.behind(table, None);
        }
        assert_eq!(tables, COPIED);
    }
}
