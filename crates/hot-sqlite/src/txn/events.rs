//! Events of the feed: written by the transaction of the change that they are about, before its commit.
//!
//! One writer at a time takes their numbers, inside its transaction. So the order of numbers is the order
//! of commits, and a reader never sees a number before a lower one.

use coupon::coupon::Coupon;
use coupon::erasure::Erasure;
use coupon::ids::Actor;
use coupon::time::Millis;
use hot::audit::Act;
use hot::feed::{CouponEventKind, steps};
use rusqlite::types::Value;
use rusqlite::{Result as SqlResult, params};

use super::Txn;
use crate::columns::signed;
use crate::record::{NameDictionary, USER_ROLE};

/// The number in the column `kind` of events that are about a row of the table `audit`; never changed.
pub(crate) const OF_AUDIT: i64 = 20;

/// The same of events that are about a person who was erased; never changed.
pub(crate) const OF_PERSON: i64 = 21;

/// The number of a kind in the column `kind`; never changed.
pub(crate) fn number_of(kind: CouponEventKind) -> i64 {
    match kind {
        CouponEventKind::Issued => 1,
        CouponEventKind::Redeemed => 2,
        CouponEventKind::RedemptionCancelled => 3,
        CouponEventKind::Revoked => 4,
        CouponEventKind::Voided => 5,
        CouponEventKind::Extended => 6,
        CouponEventKind::Held => 7,
        CouponEventKind::Released => 8,
    }
}

impl Txn<'_> {
    /// Whether the feed tells of the changes of this transaction.
    pub(crate) fn tells(&self) -> bool {
        self.seen.told.is_some()
    }

    pub(crate) fn tell(&self, batch: i64, before: &Coupon, after: &Coupon, actor: &Actor) {
        let Some(told) = &self.seen.told else { return };
        for step in steps(before, after, actor) {
            told.push(batch, after.code().as_str(), number_of(step.kind), &step);
        }
    }

    /// Tells of a row of the table `audit`, behind what was told before.
    pub(super) fn tell_of_audit(&self, number: i64, at: Millis) -> SqlResult<()> {
        if self.seen.told.is_none() {
            return Ok(());
        }
        self.write_events()?;
        let sql = "INSERT INTO event (at, kind, version) VALUES (?1, ?2, ?3)";
        self.run(sql, params![at.0, OF_AUDIT, number])
    }

    /// Tells of a person whom nothing names any more.
    pub(crate) fn tell_of_person(&self, erasure: &Erasure, act: &Act) -> SqlResult<()> {
        if !self.tells() {
            return Ok(());
        }
        self.write_events()?;
        let (number, actor) = (signed(erasure.number), self.actor_column(&act.actor)?);
        self.run(
            "INSERT INTO event (at, kind, version, actor, user_id, ref) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![act.at.0, OF_PERSON, number, actor, erasure.user.as_str(), erasure.name.as_str()],
        )
    }

    fn actor_column(&self, actor: &Actor) -> SqlResult<Value> {
        Ok(match self.number_of_actor(actor.as_str())? {
            Some(number) => Value::Integer(number as i64),
            None => Value::Text(actor.as_str().to_owned()),
        })
    }

    /// Writes what was told, and begins again from nothing.
    pub(super) fn write_events(&self) -> SqlResult<()> {
        let rows = self.seen.told.as_ref().map(|told| told.0.take()).unwrap_or_default();
        if rows.is_empty() {
            return Ok(());
        }
        let mut statement = self.statement(
            "INSERT INTO event (at, kind, batch, code, version, actor, user_id, ref, reason, until, \
             worth) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for row in rows {
            let themselves = row.actor.as_str().strip_prefix(USER_ROLE);
            let actor = match themselves.is_some() && themselves == row.user.as_deref() {
                true => Value::Null,
                false => self.actor_column(&row.actor)?,
            };
            let (([at, kind, batch, version], until), [code, reference, reason, worth]) =
                (row.numbers, row.texts);
            statement.execute(params![
                at, kind, batch, code, version, actor, row.user, reference, reason, until, worth
            ])?;
        }
        Ok(())
    }
}
