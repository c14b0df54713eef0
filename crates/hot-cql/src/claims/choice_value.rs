//! The type `claim_choice`.

use hot::protocol::Choice;
use scylla::{DeserializeValue, SerializeValue};

use crate::values::{parsed, signed};
use cql_session::Result;

#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub(super) struct ChoiceValue {
    order_ref: String,
    code: String,
    version: i64,
}

impl ChoiceValue {
    pub(super) fn of(choice: &Choice) -> ChoiceValue {
        ChoiceValue {
            order_ref: choice.order.to_string(),
            code: choice.code.to_string(),
            version: signed(choice.version),
        }
    }

    pub(super) fn choice(&self) -> Result<Choice> {
        Ok(Choice {
            order: parsed("claim.order_ref", &self.order_ref)?,
            code: parsed("claim.code", &self.code)?,
            version: self.version.unsigned_abs(),
        })
    }
}
