//! Imports, and the index rows.

use crate::plants::request::SubstituteValue;
use crate::plants::statements::{EMPTY, EXPIRING, PLAIN, PLAN_SERIAL, WALLET, WIN};
use crate::plants::{AnswerChange, BugScope, PlantedBug, RuleEffect};

/// The number of the expiry day among the values of a plain row.
const DAY: usize = 15;

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "wallet-afterwards",
        breaks: "the row of a holder's list is written before the coupon",
        scope: BugScope::All(&[(WALLET, RuleEffect::Late(2, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "expiring-is-lost",
        breaks: "a coupon is in the list by expiry",
        scope: BugScope::All(&[(EXPIRING, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "index-rows-go-first",
        breaks: "index rows are deleted after the coupon",
        scope: BugScope::All(&[(EMPTY, RuleEffect::Late(2, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "a-foreign-code-is-won-twice",
        breaks: "a code that is in the directory is never taken a second time",
        // A process that is slow at this place is what the condition is for.
        scope: BugScope::All(&[(
            WIN,
            RuleEffect::Wait(3_000, &RuleEffect::Plain(" IF NOT EXISTS")),
        )]),
    },
    PlantedBug {
        name: "imported-at-now",
        breaks: "an imported row is older than every change",
        scope: BugScope::All(&[(
            PLAIN,
            RuleEffect::Set(0, SubstituteValue::Now, &RuleEffect::Send),
        )]),
    },
    PlantedBug {
        name: "import-does-not-look-again",
        breaks: "lines are reported as imported only if their partition is not closing afterwards",
        scope: BugScope::All(&[
            (PLAIN, RuleEffect::Note { key: DAY, row: &[], then: &RuleEffect::Send }),
            (PLAN_SERIAL, RuleEffect::Once(0, AnswerChange::Nulls(&["closing"]))),
        ]),
    },
];
