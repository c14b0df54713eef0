//! Saved queries: SQL with a name, as one short list that all processes share.
//!
//! The list is one fact of the store, as the list of staff is. Nothing here runs SQL: `couponry-history` does, which
//! refuses whatever writes.

use coupon::refusal::Refusal;
use hot::Fact;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::{Caller, Deed, DeedKind, Engine, HotError, Role, given};

/// Most saved queries: with the longest text of each the list has 200 KiB, and each change writes all of it.
pub const QUERIES_MAX: usize = 50;

/// Longest SQL, in bytes.
pub const QUERY_BYTES_MAX: usize = 4_000;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 80;

/// How often the list is read again because another process was changing it.
const TRIES: u32 = 16;

/// One query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQuery {
    /// Its name in addresses; another one for each query that was ever saved.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The SQL.
    pub sql: String,
    /// Who saved it, as the audit names them.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub saved_at: i64,
}

impl Engine {
    /// All saved queries, in the order of their names. One read.
    ///
    /// # Errors
    /// Those of the store; damaged, if what it has is no such list.
    pub async fn queries(&self) -> Result<Vec<SavedQuery>, Failure> {
        read(self.hot.fact(Fact::Queries).await?.as_deref())
    }

    /// Saves a query under a name, in the place of the one that has the name already.
    ///
    /// # Errors
    /// `Forbidden` unless an operator or an admin asks; `Invalid` for a name or an SQL that is empty or too long, or
    /// if there are too many.
    pub async fn save_query(
        &self,
        caller: &Caller,
        name: &str,
        sql: &str,
    ) -> Result<SavedQuery, Failure> {
        caller.must_be(&[Role::Operator, Role::Admin])?;
        let (name, sql) = (name.trim(), sql.trim());
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            let detail = format!("has 1 to {NAME_CHARS_MAX} characters");
            return Err(Failure::invalid("name", detail));
        }
        if sql.is_empty() || sql.len() > QUERY_BYTES_MAX {
            let detail = format!("has 1 to {QUERY_BYTES_MAX} bytes");
            return Err(Failure::invalid("sql", detail));
        }
        let saved = SavedQuery {
            id: uuid::Uuid::new_v4().simple().to_string(),
            name: name.to_owned(),
            sql: sql.to_owned(),
            by: caller.to_string(),
            saved_at: self.now().0,
        };
        let changed = self.change_queries(|queries| {
            queries.retain(|query| query.name != saved.name);
            if queries.len() >= QUERIES_MAX {
                let detail = format!("there are {QUERIES_MAX} queries, which is the most");
                return Err(Failure::invalid("name", detail));
            }
            queries.push(saved.clone());
            queries.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(())
        });
        changed.await?;
        let changes = vec![given("name", name), given("sql", sql)];
        self.record(caller, Deed::of_store(DeedKind::QuerySaved, changes)).await?;
        Ok(saved)
    }

    /// Enters that somebody runs a query, before its answer: `name` is that of a saved one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn query_runs(
        &self,
        caller: &Caller,
        name: Option<&str>,
        sql: &str,
    ) -> Result<(), Failure> {
        let mut changes = Vec::from_iter(name.map(|name| given("name", name)));
        changes.push(given("sql", sql));
        self.record(caller, Deed::of_store(DeedKind::QueryRun, changes)).await
    }

    /// Deletes a saved query.
    ///
    /// # Errors
    /// `Forbidden` unless an operator or an admin asks; `NotFound`.
    pub async fn delete_query(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        caller.must_be(&[Role::Operator, Role::Admin])?;
        let mut name = None;
        let changed = self.change_queries(|queries| {
            let at = queries.iter().position(|query| query.id == id);
            let at = at.ok_or_else(|| Failure::refused(Refusal::NotFound))?;
            name = Some(queries.remove(at).name);
            Ok(())
        });
        changed.await?;
        let changes = name.map(|name| given("name", name)).into_iter().collect();
        self.record(caller, Deed::of_store(DeedKind::QueryDeleted, changes)).await
    }

    async fn change_queries(
        &self,
        mut change: impl FnMut(&mut Vec<SavedQuery>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let seen = self.hot.fact(Fact::Queries).await?;
            let mut queries = read(seen.as_deref())?;
            change(&mut queries)?;
            let next = serde_json::to_string(&queries).map_err(damaged)?;
            if self.hot.set_fact(Fact::Queries, seen, Some(next)).await? {
                return Ok(());
            }
        }
        let why = "others change the list of queries at the moment";
        Err(Failure::Store(HotError::Unavailable(why.into())))
    }
}

fn read(text: Option<&str>) -> Result<Vec<SavedQuery>, Failure> {
    text.map_or(Ok(Vec::new()), |text| serde_json::from_str(text).map_err(damaged))
}

fn damaged(error: serde_json::Error) -> Failure {
    Failure::Store(HotError::Damaged(format!("the list of queries: {error}")))
}
