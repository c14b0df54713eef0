//! People: what a store does so that a person can be asked about and forgotten.
//!
//! An erasure has four steps. [`People::erase`] gives what is found by the person their erased name: from then on no call by
//! the old name finds anything. Until [`People::admit`], the old name is given nothing, so whatever still has it is of the
//! person. [`People::settle`] replaces it there. After that, the old name is a new person, and [`People::scrub`] overwrites
//! what files have of rows that are gone.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::erasure::Erasure;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use serde_json::Value;

use crate::Result;

/// A coupon that a user was given once. They need not have it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedCoupon {
    pub campaign: CampaignId,
    /// Its partition, when the user was given it.
    pub day: Day,
    pub code: Code,
}

/// One page of what a user was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimedPage {
    pub coupons: Vec<ClaimedCoupon>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Tells what a person has, and forgets them.
#[async_trait]
pub trait People: Send + Sync {
    /// What a user was given, also if they have it no more or it is in cold: each coupon once for each request that gave it.
    /// Behind `after`, about `limit`. One read. Coupons of a campaign without a limit may be missing.
    async fn claimed(
        &self,
        user: &UserId,
        after: Option<String>,
        limit: usize,
    ) -> Result<ClaimedPage>;

    /// Gives everything that is found by the person the erased name, in several transactions. From its begin until
    /// [`People::admit`], a call that would give the user something fails with [`HotError::Unavailable`]. May be repeated
    /// until then.
    ///
    /// [`HotError::Unavailable`]: crate::HotError::Unavailable
    async fn erase(&self, erasure: &Erasure) -> Result<()>;

    /// Replaces the names of such persons in all that is not found by them: histories of coupons that they had, holds, lines
    /// of imports, events of the feed and records. Its cost grows with the store, not with the persons. May be repeated.
    async fn settle(&self, erasures: &[Erasure]) -> Result<()>;

    /// Lets a new person have the old name. May be repeated.
    async fn admit(&self, user: &UserId) -> Result<()>;

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
        Value::String(text) => erase_text(erasure, text),
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
                    erase_text(erasure, text);
                }
            }
            named
        }
    }
}

fn erase_text(erasure: &Erasure, text: &mut String) -> bool {
    let without = erasure.of_text(text);
    let named = without.is_some();
    if let Some(without) = without {
        *text = without;
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
                json!(["CODE01,ann", "BAD", 1]),
                Some(json!([format!("CODE01,{name}"), "BAD", 1])),
            ),
        ];
        for (case, mut value, want) in cases {
            let before = value.clone();
            assert_eq!(erase_json(&erasure, &mut value), want.is_some(), "{case}");
            assert_eq!(value, want.unwrap_or(before), "{case}");
        }
    }
}
