//! Items that can vanish from the source of a copy: accounts, replacements and rejected lines.

use hot::inventory::Item;
use rusqlite::params;

use crate::columns::signed;
use crate::txn::Txn;

pub(super) fn has(txn: &Txn<'_>, item: &Item) -> rusqlite::Result<bool> {
    match item {
        Item::Account { account, .. } => {
            let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
            txn.statement("SELECT 1 FROM account WHERE login_id = ?1 AND user_id = ?2")?
                .exists([login, user])
        }
        Item::Replacement(it) => txn
            .statement("SELECT 1 FROM replacement WHERE replaced = ?1")?
            .exists([it.replaced.as_str()]),
        Item::Rejected { campaign, batch, line, .. } => match txn.batch(campaign, batch)? {
            Some((_, number)) => txn
                .statement("SELECT 1 FROM rejected_line WHERE batch = ?1 AND line = ?2")?
                .exists(params![number, signed(line.line)]),
            None => Ok(false),
        },
        Item::Partition(_)
        | Item::Campaign(_)
        | Item::Row(_)
        | Item::Entry(_)
        | Item::Claim(_)
        | Item::Setting { .. }
        | Item::IndexRow(_)
        | Item::Unreadable(_) => Ok(true),
    }
}
