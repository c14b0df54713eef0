//! The *order record*: which coupons an order redeems, in a store that redeems one after the other. It tells half an
//! order from a whole one, if a process dies in between.

use std::time::Duration;

use coupon::code::Code;
use coupon::ids::{OperationId, OrderRef, UserId};

use crate::tables::{
    RecordKind, RecordPart, RecordPut, RecordRange, RecordRow, RecordSync, Tables,
};
use crate::{HotError, Result};

/// The part is the order, and the key begins with the user.
pub const BEGUN: RecordKind = RecordKind { name: "order_begun", sync: RecordSync::AtOnce };

/// How long half an order is reported: as long as what an order has redeemed is found by default.
const KEEP: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Records of one order that are read. It has one for each call that is under way, or has died.
const RECORDS_MAX: usize = 200;

pub type RecordKey = Vec<u8>;

fn part_of(order: &OrderRef) -> RecordPart {
    BEGUN.part(order.as_str())
}

/// To be called before the first redemption. Returns what is to be deleted when all are redeemed: the record of this call,
/// and those that earlier calls for the user have left.
///
/// Each call has a record of its own: a process whose clock is ahead, and that deletes what it has seen, would otherwise
/// hide a record that is written later.
pub async fn begin(
    tables: &dyn Tables,
    order: &OrderRef,
    user: Option<&UserId>,
    call: OperationId,
    codes: &[&Code],
) -> Result<Vec<RecordKey>> {
    let user = user.map_or("", UserId::as_str);
    let of_user = [user.as_bytes(), b"\0"].concat();
    let earlier = tables.scan(&part_of(order), RecordRange::first(RECORDS_MAX)).await?;
    let mut keys: Vec<RecordKey> = earlier.into_iter().map(|row| row.key).collect();
    keys.retain(|key| key.starts_with(&of_user));
    let key = [of_user.as_slice(), &call.0.to_be_bytes()].concat();
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let record = RecordPut::new(key.clone(), codes.join(" ")).kept_for(KEEP);
    tables.put(&part_of(order), vec![record]).await?;
    keys.push(key);
    Ok(keys)
}

/// The records of an order: the coupons that some call has begun to redeem, and perhaps ended.
pub async fn begun(tables: &dyn Tables, order: &OrderRef) -> Result<Vec<(RecordKey, Vec<Code>)>> {
    let rows = tables.scan(&part_of(order), RecordRange::first(RECORDS_MAX)).await?;
    let record = |row: RecordRow| {
        let codes = String::from_utf8(row.value).ok().and_then(|text| {
            text.split(' ').map(|code| code.parse().ok()).collect::<Option<Vec<Code>>>()
        });
        let damaged = || HotError::Damaged(format!("the record of the order {order}"));
        Ok((row.key, codes.ok_or_else(damaged)?))
    };
    rows.into_iter().map(record).collect()
}

/// To be called when the coupons of these records are redeemed, or given back. A record that cannot be deleted tells
/// nothing: an order has redeemed all of its coupons, or none.
pub async fn end(tables: &dyn Tables, order: &OrderRef, keys: Vec<RecordKey>) {
    let deletes = keys.into_iter().map(RecordPut::delete).collect();
    drop(tables.put(&part_of(order), deletes).await);
}

/// Whether a record is of an order of this user.
pub fn is_of(key: &[u8], user: &UserId) -> bool {
    key.strip_prefix(user.as_str().as_bytes()).is_some_and(|call| call.starts_with(b"\0"))
}
