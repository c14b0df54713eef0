//! The event feed: index rows before the changes, and the mark of the readers.

use crate::plants::statements::{
    ANNOUNCE, ASIDE, EARLIER, END_FIRST_VERSION, END_VERSION, ENTER_SPAN, LATER, LIST_UNREAD, MARK,
    MARK_READ, NEW, PART, SEEN,
};
use crate::plants::{AnswerChange, BugScope, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "mark-is-not-looked-for",
        breaks: "a writer looks for the readers' mark behind its index row",
        scope: BugScope::All(&[(MARK_READ, RuleEffect::Say(AnswerChange::Nothing))]),
    },
    PlantedBug {
        name: "announced-late",
        breaks: "the index row is acknowledged before its writer looks for the mark",
        scope: BugScope::All(&[(ANNOUNCE, RuleEffect::Late(4, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "marked-late",
        breaks: "a reader marks a slot before it reads the rows of it",
        scope: BugScope::All(&[(MARK, RuleEffect::Late(4, &RuleEffect::Send))]),
    },
    PlantedBug {
        name: "mark-falls",
        breaks: "the mark never falls",
        scope: BugScope::All(&[(MARK, RuleEffect::Strip(" USING TIMESTAMP ?"))]),
    },
    PlantedBug {
        name: "version-is-not-ended",
        breaks: "a reader ends the version of a coupon that a change may still replace",
        scope: BugScope::All(&[
            (END_VERSION, RuleEffect::Lose),
            (END_FIRST_VERSION, RuleEffect::Lose),
        ]),
    },
    PlantedBug {
        name: "earlier-comes-later",
        breaks: "before an event come the earlier ones whose place in the feed is behind it",
        scope: BugScope::All(&[(EARLIER, RuleEffect::Say(AnswerChange::Nothing))]),
    },
    PlantedBug {
        name: "slots-are-not-listed",
        breaks: "the run of slots is listed before the first index row in it is written",
        scope: BugScope::All(&[(ENTER_SPAN, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "aside-is-dropped",
        breaks: "a row that nobody can judge now is written once more before a reader passes it",
        scope: BugScope::All(&[(ASIDE, RuleEffect::Lose), (SEEN, RuleEffect::Away)]),
    },
    PlantedBug {
        name: "unread-is-not-listed",
        breaks: "a part of the feed that nobody can read is listed before a reader passes it",
        scope: BugScope::All(&[
            (LIST_UNREAD[0], RuleEffect::Lose),
            (LIST_UNREAD[1], RuleEffect::Lose),
            (PART, RuleEffect::Away),
        ]),
    },
    PlantedBug {
        name: "version-is-not-signed",
        breaks: "a coupon names the writes that made its last versions",
        scope: BugScope::All(&[
            (LATER, RuleEffect::Strip(", made = made + ?")),
            (NEW, RuleEffect::Strip(", made = made + ?")),
        ]),
    },
];
