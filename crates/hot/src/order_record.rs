//! The *order record*: which coupons an order redeems, in a store that redeems one after the other. It tells half an
//! order from a whole one, if a process dies in between.

use std::time::Duration;

use coupon::code::Code;
use coupon::ids::{OrderRef, UserId};

use crate::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordSync, Tables};
use crate::{HotError, Result};

const BEGUN: RecordKind = RecordKind { name: "order_begun", sync: RecordSync::AtOnce };

/// How long half an order is reported: as long as what an order has redeemed is found by default.
const KEEP: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// An `order_ref` is one order of each user; shops give each a number of its own.
const USERS_MAX: usize = 20;

fn part_of(order: &OrderRef) -> RecordPart {
    BEGUN.part(order.as_str())
}

fn key_of(user: Option<&UserId>) -> &str {
    user.map_or("", UserId::as_str)
}

/// To be called before the first redemption.
///
/// # Errors
/// Those of [`Tables::put`].
pub async fn begin(
    tables: &dyn Tables,
    order: &OrderRef,
    user: Option<&UserId>,
    codes: &[&Code],
) -> Result<()> {
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let record = RecordPut::new(key_of(user), codes.join(" ")).kept_for(KEEP);
    tables.put(&part_of(order), vec![record]).await
}

/// The coupons that the order of some user has begun to redeem, and perhaps ended.
///
/// # Errors
/// Those of [`Tables::scan`]; [`HotError::Damaged`].
pub async fn begun(tables: &dyn Tables, order: &OrderRef) -> Result<Vec<Code>> {
    let mut all = Vec::new();
    for row in tables.scan(&part_of(order), RecordRange::first(USERS_MAX)).await? {
        let codes = String::from_utf8(row.value).ok().and_then(|text| {
            text.split(' ').map(|code| code.parse().ok()).collect::<Option<Vec<Code>>>()
        });
        let damaged = || HotError::Damaged(format!("the record of the order {order}"));
        all.extend(codes.ok_or_else(damaged)?);
    }
    Ok(all)
}

/// To be called when the order of a user, or of all, has ended. If it cannot be deleted, the record tells nothing: all
/// of its coupons are redeemed, or none.
pub async fn end(tables: &dyn Tables, order: &OrderRef, user: Option<&UserId>) {
    let deleted = match user {
        Some(_) => tables.put(&part_of(order), vec![RecordPut::delete(key_of(user))]).await,
        None => tables.drop_below(&part_of(order), None).await,
    };
    drop(deleted);
}
