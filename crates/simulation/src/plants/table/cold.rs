//! From hot to cold: seals, archived markers, deleted rows, commits, and reads across both tiers.

use crate::plants::bucket::Tampers;
use crate::plants::request::Value;
use crate::plants::statements::{
    CLOCK, COLD_MARK, EMPTY, EVICT, IS_SEALED, READ_SEAL, ROW, SEAL_OF_BUCKET_0, SETTING,
};
use crate::plants::{Does, How, Plant, Say, When};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "a-bucket-is-not-sealed",
        breaks: "every bucket of a partition is sealed before it is emptied",
        how: How::All(&[(SEAL_OF_BUCKET_0, Does::Lose)]),
    },
    Plant {
        name: "seal-absence-is-remembered",
        breaks: "that a bucket has no seal is never remembered",
        how: How::All(&[(
            IS_SEALED,
            Does::Stale { when: When::Null, until: "UPDATE coupon SET sealed = true" },
        )]),
    },
    Plant {
        name: "seal-is-read-before-the-row",
        breaks: "the seal of a bucket is read after the row that is missing",
        how: How::All(&[(ROW, Does::ReadFirst(READ_SEAL, 2)), (IS_SEALED, Does::Kept(2))]),
    },
    Plant {
        name: "marker-ignores-the-version",
        breaks: "only the version that was copied becomes an archived marker",
        how: How::All(&[(EVICT, Does::Strip("version = ? AND "))]),
    },
    Plant {
        name: "marker-keeps-the-version",
        breaks: "an archived marker takes the next version",
        how: How::All(&[(EVICT, Does::Set(0, Value::Same(1), &Does::Send))]),
    },
    Plant {
        name: "the-seal-goes-too",
        breaks: "the seal of a bucket stays for ever",
        how: How::All(&[(EMPTY, Does::Cut(" AND code > ?"))]),
    },
    Plant {
        name: "cold-is-not-remembered",
        breaks: "the hot store remembers the last commit of cold that it took part in",
        how: How::All(&[
            (COLD_MARK, Does::Note { key: 1, row: &[0], then: &Does::Lose }),
            (SETTING, Does::Recall(0, &Does::Send)),
        ]),
    },
    Plant {
        name: "the-clock-is-its-own",
        breaks: "a process writes nothing while its clock is far from that of the cluster",
        how: How::All(&[(CLOCK, Does::Say(Say::OwnClock))]),
    },
    Plant {
        name: "log-entry-is-overwritten",
        breaks: "a commit is put only if there is none of its number",
        how: How::Bucket(Tampers::OverwritesCommits),
    },
    Plant {
        name: "a-file-is-swept-too-early",
        breaks: "a file is deleted only when nobody can commit it any more",
        how: How::Bucket(Tampers::SweepsAtOnce),
    },
];
