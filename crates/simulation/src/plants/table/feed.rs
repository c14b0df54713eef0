//! The event feed: index rows before the changes, and the mark of the readers.

use crate::plants::statements::{
    ANNOUNCE, EARLIER, END_FIRST_VERSION, END_VERSION, ENTER_SPAN, LATER, MARK, MARK_READ, NEW,
};
use crate::plants::{Does, How, Plant, Say};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "mark-is-not-looked-for",
        breaks: "a writer looks for the readers' mark behind its index row",
        how: How::All(&[(MARK_READ, Does::Say(Say::Nothing))]),
    },
    Plant {
        name: "announced-late",
        breaks: "the index row is acknowledged before its writer looks for the mark",
        how: How::All(&[(ANNOUNCE, Does::Late(4, &Does::Send))]),
    },
    Plant {
        name: "marked-late",
        breaks: "a reader marks a slot before it reads the rows of it",
        how: How::All(&[(MARK, Does::Late(4, &Does::Send))]),
    },
    Plant {
        name: "mark-falls",
        breaks: "the mark never falls",
        how: How::All(&[(MARK, Does::Strip(" USING TIMESTAMP ?"))]),
    },
    Plant {
        name: "version-is-not-ended",
        breaks: "a reader ends the version of a coupon that a change may still replace",
        how: How::All(&[(END_VERSION, Does::Lose), (END_FIRST_VERSION, Does::Lose)]),
    },
    Plant {
        name: "earlier-comes-later",
        breaks: "before an event come the earlier ones whose place in the feed is behind it",
        how: How::All(&[(EARLIER, Does::Say(Say::Nothing))]),
    },
    Plant {
        name: "slots-are-not-listed",
        breaks: "the run of slots is listed before the first index row in it is written",
        how: How::All(&[(ENTER_SPAN, Does::Lose)]),
    },
    Plant {
        name: "version-is-not-signed",
        breaks: "a coupon names the writes that made its last versions",
        how: How::All(&[
            (LATER, Does::Strip(", made = made + ?")),
            (NEW, Does::Strip(", made = made + ?")),
        ]),
    },
];
