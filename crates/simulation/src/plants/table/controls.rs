//! Controls: what the protocols allow. If a seed finds one, the checker asks for more than is
//! promised, or the product relies on more than it should.
//!
//! To test one, run `simulate --plant NAME`: it fails if a seed finds anything. A lease, for one,
//! gives no right to a code: two processes that have the same one try the same codes, and the row of
//! each coupon decides.

use cql_session::StatementProfile;

use crate::plants::request::SubstituteValue;
use crate::plants::statements::{
    CLOSE, CLOSED, CURSOR, EMPTY, END_LEASE, OWN, PART, PLAN_SERIAL, RELEASE, ROW_SERIAL, SEEN,
    SEEN_SERIAL,
};
use crate::plants::{BugScope, PlantedBug, RuleEffect};

pub(super) const CONTROLS: &[PlantedBug] = &[
    PlantedBug {
        name: "closing-ignores-what-entered",
        breaks: "control: whoever may still extend to a day that is over raises its time",
        scope: BugScope::All(&[(
            CLOSE,
            RuleEffect::Wait(20_000, &RuleEffect::Strip(" AND entered = ?")),
        )]),
    },
    PlantedBug {
        name: "import-looks-at-a-quorum",
        breaks: "control: nobody goes on with a closing that a quorum does not show, so the rows of \
                 an import that does not see it are read by whoever seals",
        scope: BugScope::All(&[(PLAN_SERIAL, RuleEffect::As(StatementProfile::Read))]),
    },
    PlantedBug {
        name: "unknown-is-read-at-a-quorum",
        breaks: "control: the same update is sent again, for the same version, so one is refused",
        scope: BugScope::All(&[(ROW_SERIAL, RuleEffect::As(StatementProfile::Read))]),
    },
    PlantedBug {
        name: "coupons-of-the-feed-are-away",
        breaks: "control: rows that nobody can judge are put aside",
        scope: BugScope::All(&[(SEEN, RuleEffect::Away)]),
    },
    PlantedBug {
        name: "parts-of-the-feed-are-away",
        breaks: "control: parts of the feed that nobody can read are listed, and taken up later",
        scope: BugScope::All(&[(PART, RuleEffect::Away)]),
    },
    PlantedBug {
        name: "feed-looks-at-a-quorum",
        breaks: "control: the end of a version finishes an update that was begun, or is refused",
        scope: BugScope::All(&[(SEEN_SERIAL, RuleEffect::As(StatementProfile::Read))]),
    },
    PlantedBug {
        name: "emptied-at-now",
        breaks: "control: nothing is written behind a seal that a later delete could hide",
        scope: BugScope::All(&[(
            EMPTY,
            RuleEffect::Set(0, SubstituteValue::Now, &RuleEffect::Send),
        )]),
    },
    PlantedBug {
        name: "a-lease-has-two-owners",
        breaks: "control: a lease gives no right to a code",
        scope: BugScope::All(&[(OWN, RuleEffect::Blind)]),
    },
    PlantedBug {
        name: "a-run-is-leased-twice",
        breaks: "control: a lease gives no right to a code, wherever its cursor is",
        scope: BugScope::All(&[(CURSOR, RuleEffect::Blind)]),
    },
    PlantedBug {
        name: "a-lease-is-not-released",
        breaks: "control: the owner of a lease expires by itself",
        scope: BugScope::All(&[(RELEASE, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "a-lease-does-not-end",
        breaks: "control: a lease too many costs one more walk",
        scope: BugScope::All(&[(END_LEASE, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "closed-is-not-entered",
        breaks: "control: a missing row only delays the move to cold",
        scope: BugScope::All(&[(CLOSED, RuleEffect::Lose)]),
    },
];
