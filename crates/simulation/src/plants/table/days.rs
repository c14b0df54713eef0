//! The plan of a partition, and coupons that move from one to another.

use crate::plants::request::SubstituteValue;
use crate::plants::statements::{BUCKET, CLOSE, MAKE_PLAN, PLAN, PLAN_READ, POINT, RAISE};
use crate::plants::{AnswerChange, AnswerFilter, BugScope, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "plan-made-twice",
        breaks: "the number of bits of a plan never changes",
        scope: BugScope::One(&[
            (
                MAKE_PLAN,
                RuleEffect::Wait(
                    2_000,
                    &RuleEffect::Set(0, SubstituteValue::Int(3), &RuleEffect::Blind),
                ),
            ),
            (
                PLAN_READ,
                RuleEffect::Stale {
                    when: AnswerFilter::Empty,
                    until: "UPDATE partition_plan SET bucket_bits",
                },
            ),
        ]),
    },
    PlantedBug {
        name: "no-plan-is-remembered",
        breaks: "that a partition has no plan is never remembered",
        scope: BugScope::All(&[(
            PLAN_READ,
            RuleEffect::Stale {
                when: AnswerFilter::Empty,
                until: "UPDATE partition_plan SET bucket_bits",
            },
        )]),
    },
    PlantedBug {
        name: "closing-ignores-a-raise",
        breaks: "a partition closes only if nobody has raised its time since that was read",
        scope: BugScope::All(&[(CLOSE, RuleEffect::Wait(20_000, &RuleEffect::Blind))]),
    },
    PlantedBug {
        name: "a-later-end-raises-nothing",
        breaks: "the days of the codes of a campaign stay open before anybody knows its later end",
        // It takes every plan for one that stays open for ever; that coupons come to a day is entered all the same.
        scope: BugScope::One(&[
            (PLAN_READ, RuleEffect::Say(AnswerChange::Nulls(&["seal_after"]))),
            (RAISE, RuleEffect::Blind),
        ]),
    },
    PlantedBug {
        name: "day-is-not-named",
        breaks: "the plan of a partition names those from which coupons move to it",
        scope: BugScope::All(&[
            (
                MAKE_PLAN,
                RuleEffect::Note {
                    key: 3,
                    row: &[2],
                    then: &RuleEffect::Set(2, SubstituteValue::Unset, &RuleEffect::Send),
                },
            ),
            (
                RAISE,
                RuleEffect::Note {
                    key: 2,
                    row: &[1],
                    then: &RuleEffect::Set(1, SubstituteValue::Unset, &RuleEffect::Send),
                },
            ),
            (PLAN, RuleEffect::RecallCell(0, "entered")),
        ]),
    },
    PlantedBug {
        name: "a-sealed-bucket-keeps-its-moves",
        breaks: "the moves of a sealed bucket are finished before it is copied",
        scope: BugScope::All(&[(BUCKET, RuleEffect::Say(AnswerChange::Nothing))]),
    },
    PlantedBug {
        name: "directory-does-not-follow",
        breaks: "the directory names the partition that a coupon moved to",
        scope: BugScope::All(&[(POINT, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "directory-goes-back",
        breaks: "the directory is set only to a later partition",
        scope: BugScope::All(&[(POINT, RuleEffect::Late(5, &RuleEffect::Blind))]),
    },
];
