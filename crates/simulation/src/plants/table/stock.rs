//! Stock: serials, leases, and coupons that came back.

use crate::plants::request::Value;
use crate::plants::statements::{DELETE_LEASE, OWN, RANGE, RETURNED, RETURNS, RUN, RUNS};
use crate::plants::{Does, How, Plant, Say, When};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "serials-for-two-batches",
        breaks: "serials come from one counter for all batches of a day",
        how: How::All(&[(RUNS, Does::Say(Say::Nothing)), (RUN, Does::Blind)]),
    },
    Plant {
        name: "no-range-is-remembered",
        breaks: "that a serial is in no batch is never remembered",
        // Without a run for the serial, the answer has the run before it. A run never changes, so to
        // remember those that hold the serial does no harm.
        how: How::All(&[(
            RANGE,
            Does::Stale { when: When::Always, until: "UPDATE minted_run SET next_serial" },
        )]),
    },
    Plant {
        name: "lease-dropped-when-taken",
        breaks: "a lease ends only when each of its codes was seen gone",
        how: How::All(&[(OWN, Does::Then(DELETE_LEASE, 2, 7))]),
    },
    Plant {
        name: "returned-is-not-entered",
        breaks: "a coupon that may be issued again is entered among those that came back",
        how: How::All(&[(RETURNED, Does::Lose)]),
    },
    Plant {
        name: "returned-entered-afterwards",
        breaks: "that entry is written before the coupon",
        how: How::All(&[(RETURNED, Does::Late(2, &Does::Send))]),
    },
    Plant {
        name: "returned-in-the-old-version",
        breaks: "that entry has the version in which the coupon is available",
        how: How::All(&[(RETURNED, Does::Set(3, Value::OneLess, &Does::Send))]),
    },
    Plant {
        name: "a-walk-reads-no-returns",
        breaks: "SOLD_OUT is said only after those that came back were looked at",
        how: How::All(&[(RETURNS, Does::Say(Say::Nothing))]),
    },
];
