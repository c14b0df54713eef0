//! Imports, and the index rows.

use crate::plants::request::Value;
use crate::plants::statements::{EMPTY, EXPIRING, PLAIN, PLAN_SERIAL, WALLET, WIN};
use crate::plants::{Does, How, Plant, Say};

/// The number of the expiry day among the values of a plain row.
const DAY: usize = 15;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "wallet-afterwards",
        breaks: "the row of a holder's list is written before the coupon",
        how: How::All(&[(WALLET, Does::Late(2, &Does::Send))]),
    },
    Plant {
        name: "expiring-is-lost",
        breaks: "a coupon is in the list by expiry",
        how: How::All(&[(EXPIRING, Does::Lose)]),
    },
    Plant {
        name: "index-rows-go-first",
        breaks: "index rows are deleted after the coupon",
        how: How::All(&[(EMPTY, Does::Late(2, &Does::Send))]),
    },
    Plant {
        name: "a-foreign-code-is-won-twice",
        breaks: "a code that is in the directory is never taken a second time",
        // A process that is slow at this place is what the condition is for.
        how: How::All(&[(WIN, Does::Wait(3_000, &Does::Plain(" IF NOT EXISTS")))]),
    },
    Plant {
        name: "imported-at-now",
        breaks: "an imported row is older than every change",
        how: How::All(&[(PLAIN, Does::Set(0, Value::Now, &Does::Send))]),
    },
    Plant {
        name: "import-does-not-look-again",
        breaks: "lines are reported as imported only if their partition is not closing afterwards",
        how: How::All(&[
            (PLAIN, Does::Note { key: DAY, row: &[], then: &Does::Send }),
            (PLAN_SERIAL, Does::Once(0, Say::Nulls(&["closing"]))),
        ]),
    },
];
