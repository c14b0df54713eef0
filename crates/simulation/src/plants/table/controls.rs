//! Controls: what the protocols allow. If a seed finds one, the checker asks for more than is
//! promised, or the product relies on more than it should.
//!
//! To test one, run `simulate --plant NAME`: it fails if a seed finds anything. A lease, for one,
//! gives no right to a code: two processes that have the same one try the same codes, and the row of
//! each coupon decides.

use cql_session::StatementProfile;

use crate::plants::request::Value;
use crate::plants::statements::{
    CLOSE, CLOSED, CURSOR, EMPTY, END_LEASE, OWN, PLAN_SERIAL, RELEASE, ROW_SERIAL, SEEN_SERIAL,
};
use crate::plants::{Does, How, Plant};

pub(super) const CONTROLS: &[Plant] = &[
    Plant {
        name: "closing-ignores-what-entered",
        breaks: "control: whoever may still extend to a day that is over raises its time",
        how: How::All(&[(CLOSE, Does::Wait(20_000, &Does::Strip(" AND entered = ?")))]),
    },
    Plant {
        name: "import-looks-at-a-quorum",
        breaks: "control: nobody goes on with a closing that a quorum does not show, so the rows of \
                 an import that does not see it are read by whoever seals",
        how: How::All(&[(PLAN_SERIAL, Does::As(StatementProfile::Read))]),
    },
    Plant {
        name: "unknown-is-read-at-a-quorum",
        breaks: "control: the same update is sent again, for the same version, so one is refused",
        how: How::All(&[(ROW_SERIAL, Does::As(StatementProfile::Read))]),
    },
    Plant {
        name: "feed-looks-at-a-quorum",
        breaks: "control: the end of a version finishes an update that was begun, or is refused",
        how: How::All(&[(SEEN_SERIAL, Does::As(StatementProfile::Read))]),
    },
    Plant {
        name: "emptied-at-now",
        breaks: "control: nothing is written behind a seal that a later delete could hide",
        how: How::All(&[(EMPTY, Does::Set(0, Value::Now, &Does::Send))]),
    },
    Plant {
        name: "a-lease-has-two-owners",
        breaks: "control: a lease gives no right to a code",
        how: How::All(&[(OWN, Does::Blind)]),
    },
    Plant {
        name: "a-run-is-leased-twice",
        breaks: "control: a lease gives no right to a code, wherever its cursor is",
        how: How::All(&[(CURSOR, Does::Blind)]),
    },
    Plant {
        name: "a-lease-is-not-released",
        breaks: "control: the owner of a lease expires by itself",
        how: How::All(&[(RELEASE, Does::Lose)]),
    },
    Plant {
        name: "a-lease-does-not-end",
        breaks: "control: a lease too many costs one more walk",
        how: How::All(&[(END_LEASE, Does::Lose)]),
    },
    Plant {
        name: "closed-is-not-entered",
        breaks: "control: a missing row only delays the move to cold",
        how: How::All(&[(CLOSED, Does::Lose)]),
    },
];
