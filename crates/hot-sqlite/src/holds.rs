//! The JSON of the column `hold`.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use coupon::coupon::Hold;
use coupon::ids::OperationId;
use coupon::time::Millis;
use serde::{Deserialize, Serialize};

use crate::failure::damaged;

#[derive(Serialize, Deserialize)]
struct HoldText<'a> {
    #[serde(borrow)]
    by: Cow<'a, str>,
    #[serde(borrow)]
    order: Cow<'a, str>,
    /// 32 hexadecimal digits.
    #[serde(borrow)]
    operation: Cow<'a, str>,
    since: i64,
    until: i64,
}

pub(crate) fn to_json(hold: &Hold) -> String {
    let text = HoldText {
        by: hold.by.as_str().into(),
        order: hold.order.as_str().into(),
        operation: format!("{:032x}", hold.operation.0).into(),
        since: hold.since.0,
        until: hold.until.0,
    };
    serde_json::to_string(&text).expect("strings and numbers always serialize")
}

/// What [`to_json`] wrote.
pub(crate) fn from_json(text: &str) -> rusqlite::Result<Hold> {
    let hold: HoldText<'_> = serde_json::from_str(text).map_err(|why| damaged("hold", why))?;
    let by = named("hold.by", &hold.by)?;
    let order = named("hold.order", &hold.order)?;
    let operation = u128::from_str_radix(&hold.operation, 16);
    Ok(Hold {
        by,
        order,
        operation: OperationId(operation.map_err(|why| damaged("operation", why))?),
        since: Millis(hold.since),
        until: Millis(hold.until),
    })
}

fn named<T>(what: &str, text: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|why| damaged(what, why))
}
