//! Events of the feed, collected in memory: a transaction writes them before its commit.

use std::cell::RefCell;

use coupon::ids::Actor;
use hot::feed::CouponStep;

use crate::columns::signed;

#[derive(Default)]
pub(crate) struct PendingEvents(RefCell<Vec<EventRow>>);

/// A row of the table `event`. Its strings outlive the coupon that they are of.
pub(super) struct EventRow {
    pub(super) at: i64,
    pub(super) kind: i64,
    pub(super) batch: i64,
    pub(super) code: Box<str>,
    pub(super) version: i64,
    pub(super) actor: Actor,
    pub(super) user: Option<Box<str>>,
    pub(super) reference: Option<Box<str>>,
    pub(super) reason: Option<Box<str>>,
    pub(super) until: Option<i64>,
}

impl PendingEvents {
    pub(super) fn push(&self, batch: i64, code: &str, kind: i64, step: &CouponStep<'_>) {
        self.0.borrow_mut().push(EventRow {
            at: step.at.0,
            kind,
            batch,
            code: code.into(),
            version: signed(step.version),
            actor: step.actor.clone(),
            user: step.user.map(|user| user.as_str().into()),
            reference: step.reference.map(Into::into),
            reason: step.reason.map(Into::into),
            until: step.until.map(|until| until.0),
        });
    }

    pub(super) fn take(&self) -> Vec<EventRow> {
        self.0.take()
    }
}
