//! Events of the feed, collected in memory: a transaction writes them before its commit.

use std::cell::RefCell;

use coupon::ids::Actor;
use hot::feed::CouponStep;

use crate::columns::signed;

#[derive(Default)]
pub(crate) struct PendingEvents(pub(super) RefCell<Vec<EventRow>>);

/// A row of the table `event`. Its strings outlive the coupon that they are of.
pub(super) struct EventRow {
    pub(super) actor: Actor,
    pub(super) user: Option<Box<str>>,
    /// When, kind, batch and version; until.
    pub(super) numbers: ([i64; 4], Option<i64>),
    /// The code, the reference, the reason and the amounts.
    pub(super) texts: [Option<Box<str>>; 4],
}

impl PendingEvents {
    pub(super) fn push(&self, batch: i64, code: &str, kind: i64, step: &CouponStep<'_>) {
        let worth = step.worth.map(|worth| worth.to_string());
        self.0.borrow_mut().push(EventRow {
            actor: step.actor.clone(),
            user: step.user.map(|user| user.as_str().into()),
            numbers: ([step.at.0, kind, batch, signed(step.version)], step.until.map(|it| it.0)),
            texts: [Some(code), step.reference, step.reason, worth.as_deref()]
                .map(|text| text.map(Into::into)),
        });
    }
}
