//! People: what a store does so that a person can be asked about and forgotten.
//!
//! An erasure has four steps. [`People::erase`] gives what is found by the person their erased name: from then on no call by
//! the old name finds anything. Until [`People::admit`], the old name is given nothing, so whatever still has it is of the
//! person. [`People::settle`] replaces it there. After that, the old name is a new person, and [`People::scrub`] overwrites
//! what files have of rows that are gone.

use aho_corasick::AhoCorasick;
use async_trait::async_trait;
use coupon::code::Code;
use coupon::erasure::Erasure;
use coupon::ids::UserId;
use serde_json::Value;

use crate::audit::Act;
use crate::{HotError, Result};

/// What a store has of a person, besides the list of their coupons.
#[derive(Clone, Debug, PartialEq)]
pub enum Mention {
    /// A coupon that the person was given, or whose history names them. In hot, they have it no more; it may be in cold.
    Coupon(Code),
    /// Something else that names them: the kind of the record, and what it says.
    Record { kind: String, value: Value },
}

/// One page of what names a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MentionPage {
    pub mentions: Vec<Mention>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// One page of the persons whom a store names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPage {
    /// Each at least once among all pages.
    pub users: Vec<UserId>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Tells what a person has, and forgets them.
#[async_trait]
pub trait People: Send + Sync {
    /// What names a person and is no coupon that they have, behind `after`, each once. A page may have nothing and not be
    /// the last. It costs a look at some thousand rows, and all pages one at every row of the store. Missing are coupons in
    /// cold that they had once, if their campaigns have no limit.
    ///
    /// # Errors
    /// `Damaged` for an `after` that no page had.
    async fn mentions(&self, user: &UserId, after: Option<String>) -> Result<MentionPage>;

    /// Everybody who is named in a coupon, a claim, a line of an import or an account, behind `after`. As costly as
    /// [`People::mentions`].
    async fn users(&self, after: Option<String>) -> Result<UserPage>;

    /// Gives everything that is found by the person the erased name, in several transactions. From its begin until
    /// [`People::admit`], a call that would give the user something fails with [`HotError::Unavailable`]. May be repeated
    /// until then.
    ///
    /// [`HotError::Unavailable`]: crate::HotError::Unavailable
    async fn erase(&self, erasure: &Erasure) -> Result<()>;

    /// Replaces the names of such persons in all that is not found by them: histories of coupons that they had, holds, lines
    /// of imports, events of the feed and records. Its cost grows with the store, not with the persons. May be repeated.
    async fn settle(&self, erasures: &[Erasure]) -> Result<()>;

    /// Lets a new person have the old name: from then on [`People::erase`] of the same or an earlier erasure does nothing, so
    /// whoever was slow takes nothing of them along. The feed says it ([`AuditEvent::person_erased`]), before any event of the
    /// new person. To be called in the sequence of the numbers. May be repeated.
    ///
    /// [`AuditEvent::person_erased`]: crate::audit::AuditEvent::person_erased
    async fn admit(&self, erasure: &Erasure, act: &Act) -> Result<()>;

    /// Overwrites what files still have of these names in rows that were deleted or replaced; without names, in every such
    /// row. Its cost grows with the store.
    ///
    /// # Errors
    /// [`HotError::Unavailable`] also if somebody reads the log of the store all the time: try again later.
    ///
    /// [`HotError::Unavailable`]: crate::HotError::Unavailable
    async fn scrub(&self, names: &[String]) -> Result<()>;
}

/// Several persons, and what finds their names in bytes.
pub struct NamedPeople {
    erasures: Vec<Erasure>,
    names: AhoCorasick,
}

/// A name as it is, as it stands within JSON, and as it stands within a line of CSV within JSON.
const FORMS: usize = 3;

impl NamedPeople {
    /// # Errors
    /// `Unavailable` for more names than a search can have.
    pub fn of_all(erasures: &[Erasure]) -> Result<NamedPeople> {
        let forms = |it: &Erasure| -> [String; FORMS] {
            let user = it.user.as_str();
            [user.to_owned(), in_json(user), in_json(&user.replace('"', "\"\""))]
        };
        let names = AhoCorasick::new(erasures.iter().flat_map(forms));
        let names = names.map_err(|error| HotError::Unavailable(error.into()))?;
        Ok(NamedPeople { erasures: erasures.to_vec(), names })
    }

    /// Who may be named in some bytes.
    pub fn of(&self, bytes: &[u8]) -> Vec<Erasure> {
        self.of_texts([bytes])
    }

    /// Who may be named in one of some texts, by the order of their erasures.
    pub fn of_texts<'a>(&self, texts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Erasure> {
        let found = texts.into_iter().flat_map(|text| self.names.find_overlapping_iter(text));
        let mut found: Vec<usize> = found.map(|it| it.pattern().as_usize() / FORMS).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|at| self.erasures[at].clone()).collect()
    }
}

/// A name as it stands within JSON.
pub fn in_json(name: &str) -> String {
    let quoted = Value::from(name).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Where a page begins, in a store that reads one place after the other: the number of a place, and the key behind which it
/// goes on there.
///
/// # Errors
/// `Damaged` for what [`next_place`] never made.
pub fn place_of(after: Option<&str>) -> Result<(usize, &str)> {
    let after = after.unwrap_or("0 ");
    let place = after.split_once(' ').and_then(|(place, key)| Some((place.parse().ok()?, key)));
    place.ok_or_else(|| HotError::Damaged(format!("{after:?} is no place of persons")))
}

/// Where the next page begins, after a page of a place that goes on behind `key`, or has ended.
pub fn next_place((place, key): (usize, Option<String>), places: usize) -> Option<String> {
    match key {
        Some(key) => Some(format!("{place} {key}")),
        None => (place + 1 < places).then(|| format!("{} ", place + 1)),
    }
}

/// Fields of events and notices in which a person is named, or with which callers may have named them.
const NAMING_FIELDS: [&str; 6] =
    ["user_id", "actor", "order_ref", "issue_ref", "revoke_ref", "reason"];

/// Erases a person from the JSON of a record: an event, a list of coupons, the changes of an audit event, or texts without
/// names. Returns whether it named them.
pub fn erase_json(erasure: &Erasure, value: &mut Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        // A rejected line of an import: a part of a cell is somebody else's.
        Value::String(text) => put(text, erasure.of_cells(text)),
        Value::Array(values) => {
            let named = values.iter_mut().map(|value| erase_json(erasure, value));
            named.fold(false, |one, other| one | other)
        }
        Value::Object(fields) => {
            let is = |field: &str, name: &str| fields.get(field).is_some_and(|it| it == name);
            // As the audit says for whom a token was made.
            if is("field", "user") && is("to", erasure.user.as_str()) {
                fields.insert("to".to_owned(), erasure.name.as_str().into());
                return true;
            }
            let acted = fields.get("actor").and_then(Value::as_str);
            let mut named = is("user_id", erasure.user.as_str())
                || acted.is_some_and(|it| erasure.of_actor(it).is_some());
            for value in fields.values_mut().filter(|it| it.is_object() || it.is_array()) {
                named |= erase_json(erasure, value);
            }
            for field in NAMING_FIELDS.iter().filter(|_| named) {
                if let Some(Value::String(text)) = fields.get_mut(*field) {
                    put(text, erasure.of_text(text));
                }
            }
            named
        }
    }
}

/// Replaces a text. Returns whether there was another one.
fn put(text: &mut String, other: Option<String>) -> bool {
    let named = other.is_some();
    if let Some(other) = other {
        *text = other;
    }
    named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_of_records() {
        let erasure = Erasure {
            number: 1,
            user: "ann".parse().unwrap(),
            name: "erased:0000000000000abc".parse().unwrap(),
        };
        let name = erasure.name.as_str();
        let cases = [
            (
                "an event",
                json!({"actor": "user:ann", "coupon": {"user_id": "ann", "order_ref": "ann-1",
                       "campaign_id": "ann"}}),
                Some(json!({"actor": format!("user:{name}"), "coupon": {"user_id": name,
                       "order_ref": format!("{name}-1"), "campaign_id": "ann"}})),
            ),
            (
                "an event of a shop",
                json!({"actor": "shop:ann", "reason": "ann", "coupon": {"user_id": "ann"}}),
                Some(json!({"actor": format!("shop:{name}"), "reason": name,
                       "coupon": {"user_id": name}})),
            ),
            ("of somebody else", json!({"user_id": "bob", "order_ref": "ann-1"}), None),
            (
                "a notice of several",
                json!({"coupons": [{"user_id": "bob", "order_ref": "ann"}, {"user_id": "ann"}]}),
                Some(json!({"coupons": [{"user_id": "bob", "order_ref": "ann"},
                       {"user_id": name}]})),
            ),
            (
                "a rejected line",
                json!(["CODE01,\"ann\"", "BAD", 1]),
                Some(json!([format!("CODE01,\"{name}\""), "BAD", 1])),
            ),
            (
                "an entry of the audit",
                json!({"act": {"actor": "admin:ann"}, "changes": [{"field": "user", "to": "ann"},
                       {"field": "name", "to": "ann"}]}),
                Some(json!({"act": {"actor": "admin:ann"}, "changes": [{"field": "user",
                       "to": name}, {"field": "name", "to": "ann"}]})),
            ),
            ("a line of somebody else", json!(["CODE01,ann bo", "BAD", "is ann"]), None),
        ];
        for (case, mut value, want) in cases {
            let before = value.clone();
            assert_eq!(erase_json(&erasure, &mut value), want.is_some(), "{case}");
            assert_eq!(value, want.unwrap_or(before), "{case}");
        }
    }
}
