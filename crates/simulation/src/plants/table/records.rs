//! The audit and the counts: what is kept beside coupons.

use crate::plants::request::SubstituteValue;
use crate::plants::statements::{
    ADD, AUDIT_EVENTS, BEGIN_ORDER, ENTER_AUDIT_EVENTS, INDEX_AUDIT_EVENTS, LIST_HOUR,
    LIST_REDEMPTION, TELL_AUDIT_EVENTS,
};
use crate::plants::{BugScope, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "counted-without-its-place",
        breaks: "a sum names the last event that is in it",
        // The sums, without the cursor behind them.
        scope: BugScope::All(&[(
            ADD,
            RuleEffect::Set(1, SubstituteValue::Head(24), &RuleEffect::Send),
        )]),
    },
    PlantedBug {
        name: "count-moves-before-its-sums",
        breaks: "the place of the next count moves after all sums are written",
        scope: BugScope::All(&[(ADD, RuleEffect::Late(6, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "redemptions-are-listed-late",
        breaks: "the place of the next count moves after all redemptions are listed",
        scope: BugScope::All(&[(LIST_REDEMPTION, RuleEffect::Late(6, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "hours-are-listed-late",
        breaks: "an hour is listed before its first redemption",
        scope: BugScope::All(&[(LIST_HOUR, RuleEffect::Late(6, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "audit-events-are-not-carried",
        breaks: "the row of a campaign carries the audit events of its last update",
        scope: BugScope::All(&[(AUDIT_EVENTS, RuleEffect::Strip(", carries = ?"))]),
    },
    PlantedBug {
        name: "audit-events-are-not-entered",
        breaks: "an update of a campaign enters the audit events that it replaces before it is sent",
        scope: BugScope::All(&[(ENTER_AUDIT_EVENTS, RuleEffect::Late(6, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "audit-events-are-not-announced",
        breaks: "an audit event is announced in the list of all before the update is sent",
        scope: BugScope::All(&[(INDEX_AUDIT_EVENTS, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "audit-events-are-not-told",
        breaks: "an audit event is announced in the feed before the update is sent",
        scope: BugScope::All(&[(TELL_AUDIT_EVENTS, RuleEffect::Late(6, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "orders-are-not-recorded",
        breaks: "the coupons of an order are recorded before the first of them is redeemed",
        scope: BugScope::All(&[(BEGIN_ORDER, RuleEffect::Lose)]),
    },
];
