//! Rows of the table `setting`: the only place that writes them. [`Txn::setting`] reads them.

use async_trait::async_trait;
use hot::{Fact, Facts};
use rusqlite::{Result as SqlResult, params};

use crate::txn::Txn;
use crate::{Result, SqliteHot};

/// A commit that only shows whether commits succeed writes this. Nobody reads its value.
pub(crate) const PROBED: &str = "probed";

pub(crate) fn set(txn: &Txn<'_>, name: &str, value: &str) -> SqlResult<()> {
    txn.run(
        "INSERT INTO setting (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![name, value],
    )
}

#[async_trait]
impl Facts for SqliteHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.readers.run(move |txn| txn.setting(fact.name())).await
    }

    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        let name = fact.name();
        let replace = move |txn: &Txn<'_>| {
            if txn.setting(name)? != seen {
                return Ok(false);
            }
            match &next {
                Some(next) => set(txn, name, next)?,
                None => txn.run("DELETE FROM setting WHERE name = ?1", [name])?,
            }
            Ok(true)
        };
        self.writer.run(replace).await
    }
}
