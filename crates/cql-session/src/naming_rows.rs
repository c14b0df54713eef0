//! Rows that may name a person, beside coupons and claims: a pass over a table finds them and gives the person the erased
//! name.
//!
//! A row that some conditional update writes is written by a conditional update here, too. A plain row is not written again
//! by anybody, or by whoever made it: what that one writes meanwhile stays.

use std::time::Duration;

use coupon::erasure::Erasure;
use coupon::ids::UserId;
use hot::imported_state_text;
use hot::order_record;
use hot::people::{Mention, NamedPeople, erase_json};
use scylla::{DeserializeRow, SerializeRow};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::values::parsed;
use crate::{Cas, CqlSession, OwnedRow, Result, StatementProfile, WriteAttempts, damaged};

/// A row of a table that is read as a whole.
pub trait NamingRow: OwnedRow + Send + Sync {
    /// Reads all rows of the table.
    const SELECT: &'static str;

    /// What may have a name.
    fn texts(&self) -> Vec<&[u8]>;

    /// Gives the persons their erased names, unless the row says something else by now.
    fn erase(
        &self,
        session: &CqlSession,
        persons: &[Erasure],
    ) -> impl Future<Output = Result<Cas>> + Send;

    /// What it says of a person; `None` if it does not name them, or another table says the same.
    fn mention(&self, _person: &Erasure) -> Option<Mention> {
        None
    }
}

impl CqlSession {
    /// Gives persons their erased names in all rows of a table. A page takes `limit` at most, besides its read.
    pub async fn settle<R: NamingRow>(&self, people: &NamedPeople, limit: Duration) -> Result<()> {
        let mut next = Some(None);
        while let Some(after) = next {
            let mut attempts = WriteAttempts::new("the rows that name a person", limit);
            let end = loop {
                let (rows, end) = self.scan_page::<R>(R::SELECT, after.as_deref()).await?;
                if self.erase_rows(&rows, people, &mut attempts).await? {
                    break end;
                }
            };
            next = end.map(Some);
        }
        Ok(())
    }

    /// Returns whether that is done; else the rows are to be read again.
    async fn erase_rows<R: NamingRow>(
        &self,
        rows: &[R],
        people: &NamedPeople,
        attempts: &mut WriteAttempts,
    ) -> Result<bool> {
        let named = rows.iter().map(|row| (row, people.of_texts(row.texts())));
        let named: Vec<(&R, Vec<Erasure>)> =
            named.filter(|(_, persons)| !persons.is_empty()).collect();
        if named.is_empty() {
            return Ok(true);
        }
        // After the rows: another process may have done all this, and what has the name now is of a new person.
        let erasing = attempts.looked(self.erasing_now().await)?;
        let mut is_done = true;
        for (row, mut persons) in named {
            persons.retain(|it| erasing.has(it));
            is_done &= attempts.wrote(row.erase(self, &persons).await).await?;
        }
        Ok(is_done)
    }

    /// The rows of a table whose user is one of these persons.
    pub async fn rows_of_users<R: OwnedRow>(
        &self,
        cql: &'static str,
        people: &NamedPeople,
        user: fn(&R) -> &str,
    ) -> Result<Vec<(R, Erasure)>> {
        let (mut found, mut next) = (Vec::new(), Some(None));
        while let Some(after) = next {
            let (rows, end) = self.scan_page::<R>(cql, after.as_deref()).await?;
            for row in rows {
                let mut persons = people.of(user(&row).as_bytes()).into_iter();
                let person = persons.find(|it| it.user.as_str() == user(&row));
                found.extend(person.map(|person| (row, person)));
            }
            next = end.map(Some);
        }
        Ok(found)
    }

    /// One page of the users in a table.
    pub async fn users_in<R: OwnedRow>(
        &self,
        cql: &'static str,
        after: Option<&str>,
        users: fn(&R) -> Vec<String>,
    ) -> Result<(Vec<UserId>, Option<String>)> {
        let (rows, next) = self.scan_page::<R>(cql, after).await?;
        let users = rows.iter().flat_map(users).map(|user| parsed("user_id", &user));
        Ok((users.collect::<Result<_>>()?, next))
    }

    /// One page of what a table says of a person.
    pub async fn mentions<R: NamingRow>(
        &self,
        people: &NamedPeople,
        after: Option<&str>,
    ) -> Result<(Vec<Mention>, Option<String>)> {
        let (rows, next) = self.scan_page::<R>(R::SELECT, after).await?;
        let of_row = |row: &R| {
            let persons = people.of_texts(row.texts());
            persons.iter().filter_map(|person| row.mention(person)).collect::<Vec<_>>()
        };
        Ok((rows.iter().flat_map(of_row).collect(), next))
    }
}

/// What the first and the last imported line of a code said.
#[derive(Debug, DeserializeRow)]
pub struct LineNames {
    code: String,
    first_imported_state: Option<String>,
    imported_state: Option<String>,
}

impl LineNames {
    fn states(&self) -> impl Iterator<Item = &String> {
        self.first_imported_state.iter().chain(&self.imported_state)
    }

    pub fn users(&self) -> Vec<String> {
        let states = self.states().filter_map(|text| imported_state_text::from_json(text).ok());
        states.filter_map(|state| state.holder().map(ToString::to_string)).collect()
    }
}

impl NamingRow for LineNames {
    const SELECT: &'static str = "SELECT code, first_imported_state, imported_state FROM directory";

    fn texts(&self) -> Vec<&[u8]> {
        self.states().map(String::as_bytes).collect()
    }

    async fn erase(&self, session: &CqlSession, persons: &[Erasure]) -> Result<Cas> {
        let without = |text: &Option<String>| -> Result<Option<String>> {
            let Some(text) = text else { return Ok(None) };
            let state = imported_state_text::from_json(text).map_err(damaged)?;
            let erased = persons.iter().find_map(|person| person.of_line(&state));
            Ok(Some(erased.map_or_else(|| text.clone(), |it| imported_state_text::to_json(&it))))
        };
        let (first, last) = (without(&self.first_imported_state)?, without(&self.imported_state)?);
        if (&first, &last) == (&self.first_imported_state, &self.imported_state) {
            return Ok(Cas::Applied);
        }
        let cql = "UPDATE directory SET first_imported_state = ?, imported_state = ? \
                   WHERE code = ? IF imported_state = ?";
        let values = (first, last, self.code.as_str(), self.imported_state.as_deref());
        session.change(StatementProfile::Change, cql, values).await
    }

    fn mention(&self, person: &Erasure) -> Option<Mention> {
        let state = imported_state_text::from_json(self.imported_state.as_deref()?).ok()?;
        let user = person.of_line(&state).map(|_| person.user.as_str())?;
        let value = json!({"code": self.code, "state": state.as_str(), "user_id": user});
        Some(Mention::Record { kind: "imported_line".to_owned(), value })
    }
}

/// An index row of the feed.
#[derive(Clone, Debug, DeserializeRow, SerializeRow)]
pub struct ChangeNames {
    shard: i32,
    slot: i64,
    code: String,
    version: i64,
    number: i32,
    attempt: Uuid,
    actor: Option<String>,
    user_id: Option<String>,
    reference: Option<String>,
    reason: Option<String>,
    changes: Option<String>,
    /// Seconds after which it deletes itself.
    left_s: Option<i32>,
}

impl NamingRow for ChangeNames {
    const SELECT: &'static str = "SELECT shard, slot, code, version, number, attempt, actor, \
        user_id, reference, reason, changes, TTL(actor) AS left_s FROM change";

    fn texts(&self) -> Vec<&[u8]> {
        let texts = [&self.actor, &self.user_id, &self.changes].into_iter();
        texts.flatten().map(String::as_bytes).collect()
    }

    async fn erase(&self, session: &CqlSession, persons: &[Erasure]) -> Result<Cas> {
        let changes = self.changes.as_deref().map(serde_json::from_str::<Value>);
        let mut value = json!({
            "actor": self.actor, "user_id": self.user_id, "issue_ref": self.reference,
            "reason": self.reason, "changes": changes.transpose().map_err(damaged)?,
        });
        if !erase_each(persons, &mut value) {
            return Ok(Cas::Applied);
        }
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        let changes = self.changes.as_ref().map(|_| value["changes"].to_string());
        let (actor, user_id) = (text("actor"), text("user_id"));
        let left_s = self.left_s.or(Some(0));
        let (reference, reason) = (text("issue_ref"), text("reason"));
        let row =
            ChangeNames { actor, user_id, reference, reason, changes, left_s, ..self.clone() };
        let cql = "UPDATE change USING TTL :left_s SET actor = ?, user_id = ?, reference = ?, \
                   reason = ?, changes = ? WHERE shard = ? AND slot = ? AND code = ? \
                   AND version = ? AND number = ? AND attempt = ?";
        session.write(cql, row).await.map(|()| Cas::Applied)
    }
}

/// A record. The values of all kinds are JSON, or name nobody.
#[derive(Debug, DeserializeRow)]
pub struct RecordNames {
    kind: String,
    part: Vec<u8>,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    attempt: Option<Uuid>,
    /// Seconds after which it deletes itself.
    left_s: Option<i32>,
    written: Option<i64>,
}

impl RecordNames {
    /// What it says without the persons; `None` if it names none.
    fn without(&self, persons: &[Erasure]) -> Option<Vec<u8>> {
        let mut value = serde_json::from_slice(self.value.as_deref()?).ok()?;
        erase_each(persons, &mut value).then(|| value.to_string().into_bytes())
    }
}

impl NamingRow for RecordNames {
    const SELECT: &'static str = "SELECT kind, part, key, value, attempt, TTL(value) AS left_s, \
        WRITETIME(value) AS written FROM record";

    fn texts(&self) -> Vec<&[u8]> {
        // The records of orders name the user in their keys.
        let key = (self.kind == order_record::BEGUN.name).then_some(self.key.as_slice());
        self.value.as_deref().into_iter().chain(key).collect()
    }

    async fn erase(&self, session: &CqlSession, persons: &[Erasure]) -> Result<Cas> {
        let is_order = |it: &Erasure| order_record::is_of(&self.key, &it.user);
        let is_order = self.kind == order_record::BEGUN.name && persons.iter().any(is_order);
        // Nobody goes on with an order of the person.
        let value = if is_order { None } else { self.without(persons) };
        if value.is_none() && !is_order {
            return Ok(Cas::Applied);
        }
        let (kind, ttl) = (self.kind.as_str(), self.left_s.unwrap_or(0));
        let Some(attempt) = self.attempt else {
            let cql = "UPDATE record USING TIMESTAMP ? AND TTL ? SET value = ? \
                       WHERE kind = ? AND part = ? AND key = ?";
            // Over what was read, and over nothing later.
            let written = self.written.unwrap_or(0) + 1;
            let values = (written, ttl, value, kind, &self.part, &self.key);
            return session.write(cql, values).await.map(|()| Cas::Applied);
        };
        let cql = "UPDATE record USING TTL ? SET value = ?, attempt = ? \
                   WHERE kind = ? AND part = ? AND key = ? IF attempt = ?";
        let values = (ttl, value, Uuid::new_v4(), kind, &self.part, &self.key, attempt);
        session.change(StatementProfile::Change, cql, values).await
    }

    fn mention(&self, person: &Erasure) -> Option<Mention> {
        self.without(std::slice::from_ref(person))?;
        let value = serde_json::from_slice(self.value.as_deref()?).ok()?;
        // Those of campaigns and those of days are of one audit.
        let kind = if self.kind.starts_with("audit") { "audit" } else { &self.kind };
        Some(Mention::Record { kind: kind.to_owned(), value })
    }
}

fn erase_each(persons: &[Erasure], value: &mut Value) -> bool {
    persons.iter().fold(false, |named, person| named | erase_json(person, value))
}
