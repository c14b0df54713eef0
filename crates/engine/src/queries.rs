//! Saved queries: SQL with a name, as one short list that all processes share.
//!
//! The list is one fact of the store, as the list of staff is. Nothing here runs SQL: `couponry-history` does, which
//! refuses whatever writes.

use coupon::refusal::Refusal;
use hot::Fact;
use serde::{Deserialize, Serialize};

use crate::facts::FactKind;
use crate::failure::{Failure, Result};
use crate::{AuditEvent, AuditKind, Caller, Engine, Role, given};

/// Most saved queries: with the longest text of each the list has 200 KiB, and each change writes all of it.
pub const QUERIES_MAX: usize = 50;

/// Longest SQL, in bytes.
pub const QUERY_BYTES_MAX: usize = 4_000;

const NAME_CHARS_MAX: usize = 80;

const QUERIES: FactKind<Vec<SavedQuery>> = FactKind::deciding(Fact::Queries);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQuery {
    /// Its name in addresses; another one for each query that was ever saved.
    pub id: String,
    pub name: String,
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
    pub async fn queries(&self) -> Result<Vec<SavedQuery>> {
        QUERIES.load(self.hot()).await
    }

    /// Saves a query under a name, in the place of the one that has the name already.
    ///
    /// # Errors
    /// `Forbidden` unless an operator or an admin asks; `Invalid` for a name or an SQL that is empty or too long, or
    /// if there are too many.
    pub async fn save_query(&self, caller: &Caller, name: &str, sql: &str) -> Result<SavedQuery> {
        caller.must_be(&[Role::Operator, Role::Admin])?;
        let (name, sql) = (name.trim(), sql.trim());
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(Failure::invalid("name", format!("has 1 to {NAME_CHARS_MAX} characters")));
        }
        if sql.is_empty() || sql.len() > QUERY_BYTES_MAX {
            return Err(Failure::invalid("sql", format!("has 1 to {QUERY_BYTES_MAX} bytes")));
        }
        let saved = SavedQuery {
            id: uuid::Uuid::new_v4().simple().to_string(),
            name: name.to_owned(),
            sql: sql.to_owned(),
            by: caller.to_string(),
            saved_at: self.now().0,
        };
        let save = |queries: &mut Vec<SavedQuery>| {
            queries.retain(|query| query.name != saved.name);
            if queries.len() >= QUERIES_MAX {
                let detail = format!("there are {QUERIES_MAX} queries, which is the most");
                return Err(Failure::invalid("name", detail));
            }
            queries.push(saved.clone());
            queries.sort_by(|one, other| one.name.cmp(&other.name));
            let changes = vec![given("name", name), given("sql", sql)];
            Ok(Some(AuditEvent::of_store(AuditKind::QuerySaved, changes)))
        };
        QUERIES.change_audited(self, caller, save).await?;
        Ok(saved)
    }

    /// Enters that somebody runs a query, before its answer: `name` is that of a saved one.
    pub async fn query_runs(&self, caller: &Caller, name: Option<&str>, sql: &str) -> Result<()> {
        let mut changes = Vec::from_iter(name.map(|name| given("name", name)));
        changes.push(given("sql", sql));
        self.record(caller, AuditEvent::of_store(AuditKind::QueryRun, changes)).await
    }

    /// # Errors
    /// `Forbidden` unless an operator or an admin asks; `NotFound`.
    pub async fn delete_query(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.must_be(&[Role::Operator, Role::Admin])?;
        let delete = |queries: &mut Vec<SavedQuery>| {
            let at = queries.iter().position(|query| query.id == id);
            let at = at.ok_or_else(|| Failure::refused(Refusal::NotFound))?;
            let changes = vec![given("name", queries.remove(at).name)];
            Ok(Some(AuditEvent::of_store(AuditKind::QueryDeleted, changes)))
        };
        QUERIES.change_audited(self, caller, delete).await.map(drop)
    }
}
