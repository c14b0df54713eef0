//! Stock: serials, leases, and coupons that came back.

use crate::plants::request::SubstituteValue;
use crate::plants::statements::{DELETE_LEASE, OWN, RANGE, RETURNED, RETURNS, RUN, RUNS};
use crate::plants::{AnswerChange, AnswerFilter, BugScope, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "serials-for-two-batches",
        breaks: "serials come from one counter for all batches of a day",
        scope: BugScope::All(&[
            (RUNS, RuleEffect::Say(AnswerChange::Nothing)),
            (RUN, RuleEffect::Blind),
        ]),
    },
    PlantedBug {
        name: "no-range-is-remembered",
        breaks: "that a serial is in no batch is never remembered",
        // Without a run for the serial, the answer has the run before it. A run never changes, so to
        // remember those that hold the serial does no harm.
        scope: BugScope::All(&[(
            RANGE,
            RuleEffect::Stale {
                when: AnswerFilter::Always,
                until: "UPDATE minted_run SET next_serial",
            },
        )]),
    },
    PlantedBug {
        name: "lease-dropped-when-taken",
        breaks: "a lease ends only when each of its codes was seen gone",
        scope: BugScope::All(&[(OWN, RuleEffect::Then(DELETE_LEASE, 2, 7))]),
    },
    PlantedBug {
        name: "returned-is-not-entered",
        breaks: "a coupon that may be issued again is entered among those that came back",
        scope: BugScope::All(&[(RETURNED, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "returned-entered-afterwards",
        breaks: "that entry is written before the coupon",
        scope: BugScope::All(&[(RETURNED, RuleEffect::Late(2, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "returned-in-the-old-version",
        breaks: "that entry has the version in which the coupon is available",
        scope: BugScope::All(&[(
            RETURNED,
            RuleEffect::Set(3, SubstituteValue::OneLess, &RuleEffect::Send),
        )]),
    },
    PlantedBug {
        name: "a-walk-reads-no-returns",
        breaks: "SOLD_OUT is said only after those that came back were looked at",
        scope: BugScope::All(&[(RETURNS, RuleEffect::Say(AnswerChange::Nothing))]),
    },
];
