//! People: what a store does so that a person can be asked about and forgotten.
//!
//! An erasure has four steps. [`People::erase`] gives what is found by the person their erased name: from then on no call by
//! the old name finds anything. Until [`People::admit`], the old name is given nothing, so whatever still has it is of the
//! person. [`People::settle`] replaces it there. After that, the old name is a new person, and [`People::scrub`] overwrites
//! what files have of rows that are gone.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::erasure::Erasure;
use coupon::ids::UserId;
use serde_json::Value;

use crate::Result;
use crate::audit::Act;

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

/// Fields of events and notices in which a person is named, or with which callers may have named them.
const NAMING_FIELDS: [&str; 6] =
    ["user_id", "actor", "order_ref", "issue_ref", "revoke_ref", "reason"];

/// Erases a person from the JSON of a record: an event, a list of coupons, or texts without names. Returns whether it named
/// them.
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
            ("a line of somebody else", json!(["CODE01,ann bo", "BAD", "is ann"]), None),
        ];
        for (case, mut value, want) in cases {
            let before = value.clone();
            assert_eq!(erase_json(&erasure, &mut value), want.is_some(), "{case}");
            assert_eq!(value, want.unwrap_or(before), "{case}");
        }
    }
}
