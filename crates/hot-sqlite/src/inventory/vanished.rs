//! Items that can vanish from the source of a copy: accounts, replacements and rejected lines.

use hot::inventory::Item;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::importer::batch_here;
use crate::columns::signed;
use crate::txn::Txn;

/// The row of an item, as a part of a statement and its values; `None` of an item that stays.
fn row_of(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<Option<(&'static str, Vec<Value>)>> {
    Ok(Some(match item {
        Item::Account { account, .. } => (
            "FROM account WHERE login_id = ?1 AND user_id = ?2",
            vec![account.login_id.to_string().into(), account.user_id.to_string().into()],
        ),
        Item::Replacement(it) => {
            ("FROM replacement WHERE replaced = ?1", vec![it.replaced.to_string().into()])
        }
        Item::Rejected { campaign, batch, line, .. } => {
            let (_, number) = batch_here(txn, campaign, batch)?;
            (
                "FROM rejected_line WHERE batch = ?1 AND line = ?2",
                vec![number.into(), signed(line.line).into()],
            )
        }
        Item::Partition(_)
        | Item::Campaign(_)
        | Item::Row(_)
        | Item::Entry(_)
        | Item::Claim(_)
        | Item::Setting { .. }
        | Item::IndexRow(_)
        | Item::Unreadable(_) => return Ok(None),
    }))
}

pub(super) fn has(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<bool> {
    match row_of(txn, item)? {
        Some((row, values)) => {
            txn.statement(&format!("SELECT 1 {row}"))?.exists(params_from_iter(values))
        }
        None => Ok(true),
    }
}

pub(super) fn remove(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<()> {
    if let Some((row, values)) = row_of(txn, item)? {
        txn.statement(&format!("DELETE {row}"))?.execute(params_from_iter(values))?;
    }
    Ok(())
}
