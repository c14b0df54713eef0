//! The audit and the counts: what is kept beside coupons.

use crate::plants::request::Value;
use crate::plants::statements::{
    ADD, AUDIT_EVENTS, ENTER_AUDIT_EVENTS, INDEX_AUDIT_EVENTS, LIST_HOUR, LIST_REDEMPTION,
    TELL_AUDIT_EVENTS,
};
use crate::plants::{Does, How, Plant};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "counted-without-its-place",
        breaks: "a sum names the last event that is in it",
        // The sums, without the cursor behind them.
        how: How::All(&[(ADD, Does::Set(1, Value::Head(24), &Does::Send))]),
    },
    Plant {
        name: "count-moves-before-its-sums",
        breaks: "the place of the next count moves after all sums are written",
        how: How::All(&[(ADD, Does::Late(6, &Does::Send))]),
    },
    Plant {
        name: "redemptions-are-listed-late",
        breaks: "the place of the next count moves after all redemptions are listed",
        how: How::All(&[(LIST_REDEMPTION, Does::Late(6, &Does::Send))]),
    },
    Plant {
        name: "hours-are-listed-late",
        breaks: "an hour is listed before its first redemption",
        how: How::All(&[(LIST_HOUR, Does::Late(6, &Does::Send))]),
    },
    Plant {
        name: "audit-events-are-not-carried",
        breaks: "the row of a campaign carries the audit events of its last update",
        how: How::All(&[(AUDIT_EVENTS, Does::Strip(", carries = ?"))]),
    },
    Plant {
        name: "audit-events-are-not-entered",
        breaks: "an update of a campaign enters the audit events that it replaces before it is sent",
        how: How::All(&[(ENTER_AUDIT_EVENTS, Does::Late(6, &Does::Send))]),
    },
    Plant {
        name: "audit-events-are-not-announced",
        breaks: "an audit event is announced in the list of all before the update is sent",
        how: How::All(&[(INDEX_AUDIT_EVENTS, Does::Lose)]),
    },
    Plant {
        name: "audit-events-are-not-told",
        breaks: "an audit event is announced in the feed before the update is sent",
        how: How::All(&[(TELL_AUDIT_EVENTS, Does::Late(6, &Does::Send))]),
    },
];
