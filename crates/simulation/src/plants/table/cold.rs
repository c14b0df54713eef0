//! From hot to cold: seals, archived markers, deleted rows, commits, and reads across both tiers.

use crate::plants::bucket::BucketBug;
use crate::plants::request::SubstituteValue;
use crate::plants::statements::{
    COLD_MARK, EMPTY, EVICT, IS_SEALED, READ_SEAL, ROW, SEAL_OF_BUCKET_0, SETTING,
};
use crate::plants::{AnswerFilter, BugScope, ClockBug, PlantedBug, RuleEffect};

pub(super) const PLANTS: &[PlantedBug] = &[
    PlantedBug {
        name: "a-bucket-is-not-sealed",
        breaks: "every bucket of a partition is sealed before it is emptied",
        scope: BugScope::All(&[(SEAL_OF_BUCKET_0, RuleEffect::Lose)]),
    },
    PlantedBug {
        name: "seal-absence-is-remembered",
        breaks: "that a bucket has no seal is never remembered",
        scope: BugScope::All(&[(
            IS_SEALED,
            RuleEffect::Stale {
                when: AnswerFilter::Null,
                until: "UPDATE coupon SET sealed = true",
            },
        )]),
    },
    PlantedBug {
        name: "seal-is-read-before-the-row",
        breaks: "the seal of a bucket is read after the row that is missing",
        scope: BugScope::All(&[
            (ROW, RuleEffect::ReadFirst(READ_SEAL, 2)),
            (IS_SEALED, RuleEffect::Kept(2)),
        ]),
    },
    PlantedBug {
        name: "marker-ignores-the-version",
        breaks: "only the version that was copied becomes an archived marker",
        scope: BugScope::All(&[(EVICT, RuleEffect::Strip("version = ? AND "))]),
    },
    PlantedBug {
        name: "marker-keeps-the-version",
        breaks: "an archived marker takes the next version",
        scope: BugScope::All(&[(
            EVICT,
            RuleEffect::Set(0, SubstituteValue::Same(1), &RuleEffect::Send),
        )]),
    },
    PlantedBug {
        name: "the-seal-goes-too",
        breaks: "the seal of a bucket stays for ever",
        scope: BugScope::All(&[(EMPTY, RuleEffect::Cut(" AND code > ?"))]),
    },
    PlantedBug {
        name: "cold-is-not-remembered",
        breaks: "the hot store remembers the last commit of cold that it took part in",
        scope: BugScope::All(&[
            (COLD_MARK, RuleEffect::Note { key: 1, row: &[0], then: &RuleEffect::Lose }),
            (SETTING, RuleEffect::Recall(0, &RuleEffect::Send)),
        ]),
    },
    PlantedBug {
        name: "the-clock-is-its-own",
        breaks: "a process writes nothing while its clock is far from that of the cluster",
        scope: BugScope::Clock(ClockBug::IsItsOwn),
    },
    PlantedBug {
        name: "a-far-node-coordinates",
        breaks: "no statement goes to a node whose clock is far from the one in the middle",
        scope: BugScope::Clock(ClockBug::AvoidsNobody),
    },
    PlantedBug {
        name: "log-entry-is-overwritten",
        breaks: "a commit is put only if there is none of its number",
        scope: BugScope::Bucket(BucketBug::OverwritesCommits),
    },
    PlantedBug {
        name: "a-file-is-swept-too-early",
        breaks: "a file is deleted only when nobody can commit it any more",
        scope: BugScope::Bucket(BucketBug::SweepsAtOnce),
    },
];
