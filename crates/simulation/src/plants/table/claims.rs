//! Becoming a holder: the claim is written before the coupon.

use crate::plants::request::Value;
use crate::plants::statements::{CHOOSE, CLAIM_READ, ENTER_CLAIM, REPLACEMENT, WIN_REPLACEMENT};
use crate::plants::{Does, How, Plant, Say, When};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "claim-is-lost",
        breaks: "whoever becomes a holder passes through the claim",
        how: How::All(&[(ENTER_CLAIM, Does::Lose)]),
    },
    Plant {
        name: "claim-after-the-coupon",
        breaks: "the claim is written before the coupon",
        how: How::All(&[(ENTER_CLAIM, Does::Late(2, &Does::Send))]),
    },
    Plant {
        name: "claim-ignores-its-revision",
        breaks: "a claim is written only if its revision is still the one that was read",
        how: How::All(&[(ENTER_CLAIM, Does::Blind)]),
    },
    Plant {
        name: "claim-slot-is-taken-again",
        breaks: "an entry that counts is never overwritten",
        how: How::All(&[(ENTER_CLAIM, Does::Set(1, Value::Int(0), &Does::Send))]),
    },
    Plant {
        name: "claim-is-read-once",
        breaks: "each request reads the claim",
        how: How::One(&[(CLAIM_READ, Does::Stale { when: When::Always, until: "" })]),
    },
    Plant {
        name: "choice-is-lost",
        breaks: "which coupon an order changes behind a shared code is written before the coupon",
        // A process that is slow at this place is what the choice is for.
        how: How::All(&[(CHOOSE, Does::Wait(3_000, &Does::Lose))]),
    },
    Plant {
        name: "replacement-is-won-twice",
        breaks: "only one request replaces a coupon",
        how: How::All(&[
            (
                WIN_REPLACEMENT,
                Does::Note { key: 0, row: &[1, 2, 3, 4], then: &Does::Say(Say::Applied) },
            ),
            (REPLACEMENT, Does::Recall(0, &Does::Say(Say::Nothing))),
        ]),
    },
];
