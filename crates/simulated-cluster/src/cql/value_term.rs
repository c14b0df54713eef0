//! A value in the text of a statement: a parameter, or one that is written there.

use cql_session::BoundValue;

/// A value in a text.
#[derive(Clone, Debug)]
pub(crate) enum ValueTerm {
    /// A parameter, by its place.
    Bind(usize),
    Fixed(BoundValue),
}

impl ValueTerm {
    pub(crate) fn value<'v>(&'v self, values: &'v [BoundValue]) -> Result<&'v BoundValue, String> {
        match self {
            ValueTerm::Bind(at) => values.get(*at).ok_or_else(|| format!("value {at} is missing")),
            ValueTerm::Fixed(value) => Ok(value),
        }
    }

    /// The bytes of a value of a key.
    pub(crate) fn key<'v>(&'v self, values: &'v [BoundValue]) -> Result<&'v [u8], String> {
        match self.value(values)? {
            BoundValue::Value(bytes) => Ok(bytes),
            BoundValue::Null => Err("a key is null".into()),
            BoundValue::Unset => Err("a key is unset".into()),
        }
    }

    /// A number of four or eight bytes; `None` if it is null or unset.
    pub(crate) fn number(&self, values: &[BoundValue]) -> Result<Option<i64>, String> {
        let BoundValue::Value(bytes) = self.value(values)? else { return Ok(None) };
        if let Ok(long) = <[u8; 8]>::try_from(bytes.as_slice()) {
            return Ok(Some(i64::from_be_bytes(long)));
        }
        match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(short) => Ok(Some(i64::from(i32::from_be_bytes(short)))),
            Err(_) => Err("a number of a wrong size".into()),
        }
    }
}
