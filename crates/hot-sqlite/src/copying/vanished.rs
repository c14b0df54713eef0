//! Items of a copy that can vanish from the source: accounts, replacements and rejected lines.

use hot::copying::Item;
use rusqlite::params;

use super::importer::batch_here;
use crate::numbers::signed;
use crate::txn::Txn;

/// Whether this store has an item.
pub(super) fn has(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<bool> {
    match item {
        Item::Account { account, .. } => txn
            .statement("SELECT 1 FROM account WHERE login_id = ?1 AND user_id = ?2")?
            .exists(params![account.login_id.as_str(), account.user_id.as_str()]),
        Item::Replacement(it) => txn
            .statement("SELECT 1 FROM replacement WHERE replaced = ?1")?
            .exists([it.replaced.as_str()]),
        Item::Rejected { campaign, batch, line, .. } => {
            let (_, number) = batch_here(txn, campaign, batch)?;
            txn.statement("SELECT 1 FROM rejected_line WHERE batch = ?1 AND line = ?2")?
                .exists(params![number, signed(line.line)])
        }
        Item::Day(_)
        | Item::Campaign(_)
        | Item::Coupon { .. }
        | Item::ArchivedMarker { .. }
        | Item::Entry(_)
        | Item::Claim(_)
        | Item::Setting { .. } => Ok(true),
    }
}

pub(super) fn remove(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<()> {
    match item {
        Item::Account { account, .. } => txn
            .statement("DELETE FROM account WHERE login_id = ?1 AND user_id = ?2")?
            .execute(params![account.login_id.as_str(), account.user_id.as_str()]),
        Item::Replacement(it) => txn
            .statement("DELETE FROM replacement WHERE replaced = ?1")?
            .execute([it.replaced.as_str()]),
        Item::Rejected { campaign, batch, line, .. } => {
            let (_, number) = batch_here(txn, campaign, batch)?;
            txn.statement("DELETE FROM rejected_line WHERE batch = ?1 AND line = ?2")?
                .execute(params![number, signed(line.line)])
        }
        Item::Day(_)
        | Item::Campaign(_)
        | Item::Coupon { .. }
        | Item::ArchivedMarker { .. }
        | Item::Entry(_)
        | Item::Claim(_)
        | Item::Setting { .. } => Ok(0),
    }
    .map(drop)
}
