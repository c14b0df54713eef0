//! One change of one coupon: a conditional update, whose outcome may be unknown.

use crate::plants::statements::{LATER, NEW, PLAIN_WRITE, ROW};
use crate::plants::{Does, How, Plant, Say, When};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "change-ignores-the-version",
        breaks: "a change replaces only the version that it was decided on",
        how: How::All(&[(LATER, Does::Strip("version = :before AND "))]),
    },
    Plant {
        name: "change-ignores-the-seal",
        breaks: "nothing in a sealed bucket changes",
        how: How::All(&[(LATER, Does::Strip(" AND sealed = null"))]),
    },
    Plant {
        name: "new-row-ignores-a-row",
        breaks: "the first row of a coupon is written only if there is none",
        how: How::All(&[(NEW, Does::Strip("version = null AND "))]),
    },
    Plant {
        name: "change-is-lost",
        breaks: "an acknowledged change is there",
        how: How::All(&[(LATER, Does::Lose)]),
    },
    Plant {
        name: "applied-is-refused",
        breaks: "a change that was made is not answered with a refusal",
        how: How::All(&[(LATER, Does::Say(Say::Refused)), (NEW, Does::Say(Say::Refused))]),
    },
    Plant {
        name: "row-is-read-once",
        breaks: "a read shows every change that was acknowledged before it",
        how: How::One(&[(
            ROW,
            Does::Stale { when: When::Always, until: "UPDATE coupon SET version" },
        )]),
    },
    Plant {
        name: "lost-write-acknowledged",
        breaks: "a plain write that failed is not taken for done",
        how: How::All(&[(PLAIN_WRITE, Does::Say(Say::DoneIfUnknown))]),
    },
    Plant {
        name: "unknown-is-refused",
        breaks: "a change whose outcome is unknown is not decided again before it is found out",
        how: How::All(&[
            (LATER, Does::Say(Say::RefusedIfUnknown)),
            (NEW, Does::Say(Say::RefusedIfUnknown)),
        ]),
    },
    Plant {
        name: "unknown-is-applied",
        breaks: "a change whose outcome is unknown is answered only after it was found out",
        how: How::All(&[
            (LATER, Does::Say(Say::AppliedIfUnknown)),
            (NEW, Does::Say(Say::AppliedIfUnknown)),
        ]),
    },
    Plant {
        name: "refused-means-refused",
        breaks: "if the second of two equal updates is refused, the first may have been applied",
        how: How::All(&[
            (LATER, Does::Say(Say::AgainIfUnknown)),
            (NEW, Does::Say(Say::AgainIfUnknown)),
        ]),
    },
];
