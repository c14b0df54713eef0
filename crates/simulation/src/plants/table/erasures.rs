//! Erasures of people. Only the seeds from 2,000,000 on have them.

use crate::plants::request::SubstituteValue;
use crate::plants::statements::{
    END_CLAIM, END_FIRST_VERSION, END_VERSION, ERASING, FORGET_INDEX_ROW, FORGET_LOGIN, MOVE_CLAIM,
    OVERTAKE, RENAME_FEED, RENAME_LINE, RENAME_REPLACEMENT,
};
use crate::plants::{AnswerFilter, BugScope, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "erasing-list-is-read-once",
        breaks: "no process uses the list of who is being erased for longer than the erasure waits",
        scope: BugScope::One(&[(
            ERASING,
            RuleEffect::Stale { when: AnswerFilter::Always, until: "UPDATE setting SET value" },
        )]),
    },
    PlantedBug {
        name: "moved-claim-is-deleted-blindly",
        breaks: "a claim is deleted only if its revision is still the one whose entries were moved",
        scope: BugScope::All(&[(END_CLAIM, RuleEffect::Wait(3_000, &RuleEffect::Blind))]),
    },
    PlantedBug {
        name: "claim-is-not-moved",
        breaks: "the erased name has the claim of the person",
        scope: BugScope::All(&[(MOVE_CLAIM, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "begun-issue-is-not-overtaken",
        breaks: "a coupon that a call had begun to give to the person takes a version",
        scope: BugScope::All(&[
            // The feed does the same.
            (END_FIRST_VERSION, RuleEffect::Send),
            (END_VERSION, RuleEffect::Send),
            (OVERTAKE[0], RuleEffect::Lose),
            (OVERTAKE[1], RuleEffect::Lose),
        ]),
    },
    PlantedBug {
        name: "index-row-of-the-next-is-deleted",
        breaks: "an index row of the next person of the name stays",
        // The others are not slow: so the next person is there before it deletes the row.
        scope: BugScope::One(&[(
            FORGET_INDEX_ROW,
            RuleEffect::Wait(20_000, &RuleEffect::Set(0, SubstituteValue::Now, &RuleEffect::Send)),
        )]),
    },
    PlantedBug {
        name: "erasure-leaves-the-feed",
        breaks: "index rows of the feed get the erased name",
        scope: BugScope::All(&[(RENAME_FEED, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "erasure-leaves-replacements",
        breaks: "a replacement gets the erased name",
        scope: BugScope::All(&[(RENAME_REPLACEMENT, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "erasure-leaves-lines",
        breaks: "an imported line gets the erased name",
        scope: BugScope::All(&[(RENAME_LINE, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "erasure-leaves-logins",
        breaks: "the login of the person is forgotten",
        scope: BugScope::All(&[(FORGET_LOGIN, RuleEffect::Lose)]),
    },
];
