//! Rows of the table `setting`: the only place that writes them. [`Txn::setting`] reads them.

use async_trait::async_trait;
use hot::audit::AuditEntry;
use hot::{Fact, Facts};
use rusqlite::{Result as SqlResult, params};
use uuid::Uuid;

use crate::txn::Txn;
use crate::{Result, SqliteHot};

/// A commit that is made for its own sake writes this. Nobody reads its value.
const PROBED: &str = "probed";

pub(crate) fn set(txn: &Txn<'_>, name: &str, value: &str) -> SqlResult<()> {
    txn.run(
        "INSERT INTO setting (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![name, value],
    )
}

/// Changes something that nobody reads. The same value again would not be written: SQLite compares.
pub(crate) fn probe(txn: &Txn<'_>) -> SqlResult<()> {
    set(txn, PROBED, &Uuid::new_v4().to_string())
}

/// Replaces a fact that still reads `seen`. Returns whether it did.
fn replace(
    txn: &Txn<'_>,
    fact: Fact,
    seen: &Option<String>,
    next: Option<&str>,
) -> SqlResult<bool> {
    let name = fact.as_str();
    if txn.setting(name)? != *seen {
        return Ok(false);
    }
    match next {
        Some(next) => set(txn, name, next)?,
        None => txn.run("DELETE FROM setting WHERE name = ?1", [name])?,
    }
    Ok(true)
}

#[async_trait]
impl Facts for SqliteHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.readers.run(move |txn| txn.setting(fact.as_str())).await
    }

    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        self.writer.run(move |txn| replace(txn, fact, &seen, next.as_deref())).await
    }

    async fn set_audited_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: String,
        entry: AuditEntry,
    ) -> Result<bool> {
        let write = move |txn: &Txn<'_>| {
            let is_replaced = replace(txn, fact, &seen, Some(&next))?;
            if is_replaced {
                txn.audit(&entry.act, &entry.event)?;
            }
            Ok(is_replaced)
        };
        self.writer.run(write).await
    }
}
