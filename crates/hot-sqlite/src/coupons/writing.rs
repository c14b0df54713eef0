//! The row of one coupon, as it is written: an insert, or an update of the same version.

use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use hot::protocol::is_history_full;
use rusqlite::params;

use super::Located;
use crate::columns::signed;
use crate::failure::damaged;
use crate::txn::Txn;
use crate::{history, holds};

/// Makes the row of a coupon that has none in this partition.
pub(crate) fn insert(
    txn: &Txn<'_>,
    campaign: i64,
    batch: i64,
    coupon: &Coupon,
    day: Day,
) -> rusqlite::Result<()> {
    let genesis = coupon.genesis();
    txn.run(
        "INSERT INTO coupon (expiry_day, code, campaign, batch, version, state, holder, \
         valid_from, expires_at, made_expires_at, issued_at, redeemed_at, order_ref, hold, \
         events, history_full, created_at, modified_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
         ?18)",
        params![
            day.0,
            coupon.code().as_str(),
            campaign,
            batch,
            signed(coupon.version()),
            coupon.state().as_str(),
            coupon.holder().map(UserId::as_str),
            genesis.valid_from.0,
            coupon.expires_at().0,
            genesis.expires_at.0,
            coupon.issued_at().map(|at| at.0),
            redeemed_at(coupon).map(|at| at.0),
            order_ref(coupon),
            coupon.hold().map(holds::to_json),
            history::to_text(coupon),
            is_history_full(coupon),
            genesis.created_at.0,
            coupon.modified_at().0,
        ],
    )
}

/// Deletes the row of a coupon in a partition, if it has one.
pub(crate) fn delete(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<()> {
    let sql = "DELETE FROM coupon WHERE expiry_day = ?1 AND code = ?2";
    txn.run(sql, params![day.0, code.as_str()])
}

/// Writes a row back. Fails if its version is no longer the one that was read.
pub(crate) fn update(txn: &Txn<'_>, before: &Located, after: &Coupon) -> rusqlite::Result<()> {
    let same_indexes = before.coupon.holder() == after.holder()
        && before.coupon.expires_at() == after.expires_at();
    // SQLite rewrites the entry of every index whose columns are named, changed or not; a redeem
    // changes neither holder nor expiry.
    let sql = match same_indexes {
        true => {
            "UPDATE coupon SET version = ?1, state = ?2, issued_at = ?3, redeemed_at = ?4, \
             order_ref = ?5, hold = ?6, events = ?7, history_full = ?8, modified_at = ?9 \
             WHERE number = ?10 AND version = ?11"
        }
        false => {
            "UPDATE coupon SET version = ?1, state = ?2, issued_at = ?3, redeemed_at = ?4, \
             order_ref = ?5, hold = ?6, events = ?7, history_full = ?8, modified_at = ?9, \
             holder = ?12, expires_at = ?13 \
             WHERE number = ?10 AND version = ?11"
        }
    };
    let mut statement = txn.statement(sql)?;
    let common = params![
        signed(after.version()),
        after.state().as_str(),
        after.issued_at().map(|at| at.0),
        redeemed_at(after).map(|at| at.0),
        order_ref(after),
        after.hold().map(holds::to_json),
        history::to_text(after),
        is_history_full(after),
        after.modified_at().0,
        before.here.row,
        signed(before.coupon.version()),
    ];
    let holder = after.holder().map(UserId::as_str);
    let more = params![holder, after.expires_at().0];
    let changed = match same_indexes {
        true => statement.execute(common)?,
        false => statement.execute(&*[common, more].concat())?,
    };
    match changed {
        1 => Ok(()),
        // One transaction has read and written it: nobody else can have changed it in between.
        _ => Err(damaged("version", "the row changed inside a transaction")),
    }
}

fn redeemed_at(coupon: &Coupon) -> Option<Millis> {
    match coupon.state() {
        State::Redeemed { redemption, .. } => Some(redemption.at),
        State::Available | State::Issued { .. } | State::Void { .. } => None,
    }
}

fn order_ref(coupon: &Coupon) -> Option<&str> {
    coupon.redemption().map(|redemption| redemption.order.as_str())
}
