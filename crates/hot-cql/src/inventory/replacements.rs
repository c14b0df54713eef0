//! Replacements.

use hot::inventory::{Item, Page, ReplacementItem};
use scylla::DeserializeRow;

use super::Position;
use crate::Store;
use crate::values::parsed;
use cql_session::Result;

impl Store {
    pub(super) async fn page_of_replacements(
        &self,
        at: &Position<'_>,
        limit: usize,
    ) -> Result<Page> {
        let cql = "SELECT token(replaced) AS at_token, replaced, user_id, issue FROM replacement \
                   WHERE token(replaced) > ? LIMIT ?";
        let (rows, next) =
            self.rows_by_token(cql, at, limit, |row: &ReplacementRow| row.at_token).await?;
        let items = rows.into_iter().map(|row| {
            Ok(Item::Replacement(ReplacementItem {
                replaced: parsed("replaced", &row.replaced)?,
                user: row.user_id.unwrap_or_default(),
                issue: row.issue.map(i64::from),
            }))
        });
        Ok(Page { items: items.collect::<Result<Vec<Item>>>()?, next })
    }
}

#[derive(DeserializeRow)]
struct ReplacementRow {
    at_token: i64,
    replaced: String,
    user_id: Option<String>,
    issue: Option<i32>,
}
