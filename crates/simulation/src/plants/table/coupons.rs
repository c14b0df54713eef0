//! One change of one coupon: a conditional update, whose outcome may be unknown.

use crate::plants::statements::{LATER, NEW, PLAIN_WRITE, ROW};
use crate::plants::{AnswerChange, AnswerFilter, BugScope, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "change-ignores-the-version",
        breaks: "a change replaces only the version that it was decided on",
        scope: BugScope::All(&[(LATER, RuleEffect::Strip("version = :before AND "))]),
    },
    PlantedBug {
        name: "change-ignores-the-seal",
        breaks: "nothing in a sealed bucket changes",
        scope: BugScope::All(&[(LATER, RuleEffect::Strip(" AND sealed = null"))]),
    },
    PlantedBug {
        name: "new-row-ignores-a-row",
        breaks: "the first row of a coupon is written only if there is none",
        scope: BugScope::All(&[(NEW, RuleEffect::Strip("version = null AND "))]),
    },
    PlantedBug {
        name: "change-is-lost",
        breaks: "an acknowledged change is there",
        scope: BugScope::All(&[(LATER, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "applied-is-refused",
        breaks: "a change that was made is not answered with a refusal",
        scope: BugScope::All(&[
            (LATER, RuleEffect::Say(AnswerChange::Refused)),
            (NEW, RuleEffect::Say(AnswerChange::Refused)),
        ]),
    },
    PlantedBug {
        name: "row-is-read-once",
        breaks: "a read shows every change that was acknowledged before it",
        scope: BugScope::One(&[(
            ROW,
            RuleEffect::Stale { when: AnswerFilter::Always, until: "UPDATE coupon SET version" },
        )]),
    },
    PlantedBug {
        name: "lost-write-acknowledged",
        breaks: "a plain write that failed is not taken for done",
        scope: BugScope::All(&[(PLAIN_WRITE, RuleEffect::Say(AnswerChange::DoneIfUnknown))]),
    },
    PlantedBug {
        name: "unknown-is-refused",
        breaks: "a change whose outcome is unknown is not decided again before it is found out",
        scope: BugScope::All(&[
            (LATER, RuleEffect::Say(AnswerChange::RefusedIfUnknown)),
            (NEW, RuleEffect::Say(AnswerChange::RefusedIfUnknown)),
        ]),
    },
    PlantedBug {
        name: "unknown-is-applied",
        breaks: "a change whose outcome is unknown is answered only after it was found out",
        scope: BugScope::All(&[
            (LATER, RuleEffect::Say(AnswerChange::AppliedIfUnknown)),
            (NEW, RuleEffect::Say(AnswerChange::AppliedIfUnknown)),
        ]),
    },
    PlantedBug {
        name: "refused-means-refused",
        breaks: "if the second of two equal updates is refused, the first may have been applied",
        scope: BugScope::All(&[
            (LATER, RuleEffect::Say(AnswerChange::AgainIfUnknown)),
            (NEW, RuleEffect::Say(AnswerChange::AgainIfUnknown)),
        ]),
    },
];
