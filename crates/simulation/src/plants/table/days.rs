//! The plan of a partition, and coupons that move from one to another.

use crate::plants::request::Value;
use crate::plants::statements::{BUCKET, CLOSE, MAKE_PLAN, PLAN, PLAN_READ, POINT, RAISE};
use crate::plants::{Does, How, Plant, Say, When};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "plan-made-twice",
        breaks: "the number of bits of a plan never changes",
        how: How::One(&[
            (MAKE_PLAN, Does::Wait(2_000, &Does::Set(0, Value::Int(3), &Does::Blind))),
            (
                PLAN_READ,
                Does::Stale { when: When::Empty, until: "UPDATE partition_plan SET bucket_bits" },
            ),
        ]),
    },
    Plant {
        name: "no-plan-is-remembered",
        breaks: "that a partition has no plan is never remembered",
        how: How::All(&[(
            PLAN_READ,
            Does::Stale { when: When::Empty, until: "UPDATE partition_plan SET bucket_bits" },
        )]),
    },
    Plant {
        name: "closing-ignores-a-raise",
        breaks: "a partition closes only if nobody has raised its time since that was read",
        how: How::All(&[(CLOSE, Does::Wait(20_000, &Does::Blind))]),
    },
    Plant {
        name: "day-is-not-named",
        breaks: "the plan of a partition names those from which coupons move to it",
        how: How::All(&[
            (
                MAKE_PLAN,
                Does::Note { key: 3, row: &[2], then: &Does::Set(2, Value::Unset, &Does::Send) },
            ),
            (
                RAISE,
                Does::Note { key: 2, row: &[1], then: &Does::Set(1, Value::Unset, &Does::Send) },
            ),
            (PLAN, Does::RecallCell(0, "entered")),
        ]),
    },
    Plant {
        name: "a-sealed-bucket-keeps-its-moves",
        breaks: "the moves of a sealed bucket are finished before it is copied",
        how: How::All(&[(BUCKET, Does::Say(Say::Nothing))]),
    },
    Plant {
        name: "directory-does-not-follow",
        breaks: "the directory names the partition that a coupon moved to",
        how: How::All(&[(POINT, Does::Lose)]),
    },
    Plant {
        name: "directory-goes-back",
        breaks: "the directory is set only to a later partition",
        how: How::All(&[(POINT, Does::Late(5, &Does::Blind))]),
    },
];
