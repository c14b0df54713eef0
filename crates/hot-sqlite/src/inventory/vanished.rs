//! Whether what was copied is still in the source.

use hot::inventory::Vanishing;
use rusqlite::{Result as SqlResult, params};

use crate::columns::signed;
use crate::txn::Txn;

pub(super) fn has(txn: &Txn<'_>, item: &Vanishing) -> SqlResult<bool> {
    match item {
        Vanishing::Account { account, .. } => {
            let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
            txn.statement("SELECT 1 FROM account WHERE login_id = ?1 AND user_id = ?2")?
                .exists([login, user])
        }
        Vanishing::Replacement(it) => txn
            .statement("SELECT 1 FROM replacement WHERE replaced = ?1")?
            .exists([it.replaced.as_str()]),
        Vanishing::Rejected { campaign, batch, line, .. } => match txn.batch(campaign, batch)? {
            Some((_, number)) => txn
                .statement("SELECT 1 FROM rejected_line WHERE batch = ?1 AND line = ?2")?
                .exists(params![number, signed(line.line)]),
            None => Ok(false),
        },
    }
}
