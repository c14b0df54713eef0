//! Becoming a holder: the claim is written before the coupon.

use crate::plants::request::SubstituteValue;
use crate::plants::statements::{CHOOSE, CLAIM_READ, ENTER_CLAIM, REPLACEMENT, WIN_REPLACEMENT};
use crate::plants::{AnswerChange, AnswerFilter, BugScope, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "claim-is-lost",
        breaks: "whoever becomes a holder passes through the claim",
        scope: BugScope::All(&[(ENTER_CLAIM, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "claim-after-the-coupon",
        breaks: "the claim is written before the coupon",
        scope: BugScope::All(&[(ENTER_CLAIM, RuleEffect::Late(2, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "claim-ignores-its-revision",
        breaks: "a claim is written only if its revision is still the one that was read",
        scope: BugScope::All(&[(ENTER_CLAIM, RuleEffect::Blind)]),
    },
    PlantedBug {
        name: "claim-slot-is-taken-again",
        breaks: "an entry that counts is never overwritten",
        scope: BugScope::All(&[(
            ENTER_CLAIM,
            RuleEffect::Set(1, SubstituteValue::Int(0), &RuleEffect::Send),
        )]),
    },
    PlantedBug {
        name: "claim-is-read-once",
        breaks: "each request reads the claim",
        scope: BugScope::One(&[(
            CLAIM_READ,
            RuleEffect::Stale { when: AnswerFilter::Always, until: "" },
        )]),
    },
    PlantedBug {
        name: "choice-is-lost",
        breaks: "which coupon an order changes behind a shared code is written before the coupon",
        // A process that is slow at this place is what the choice is for.
        scope: BugScope::All(&[(CHOOSE, RuleEffect::Wait(3_000, &RuleEffect::Lose))]),
    },
    PlantedBug {
        name: "replacement-is-won-twice",
        breaks: "only one request replaces a coupon",
        scope: BugScope::All(&[
            (
                WIN_REPLACEMENT,
                RuleEffect::Note {
                    key: 0,
                    row: &[1, 2, 3, 4],
                    then: &RuleEffect::Say(AnswerChange::Applied),
                },
            ),
            (REPLACEMENT, RuleEffect::Recall(0, &RuleEffect::Say(AnswerChange::Nothing))),
        ]),
    },
];
