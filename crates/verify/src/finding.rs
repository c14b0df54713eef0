//! The kinds of findings and notes: the only place that names them and says what is safe to do.
//!
//! Scripts read the names, so a name never changes.

use std::fmt;

/// One of two places that disagree, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The place.
    pub place: String,
    /// What it says, or that it says nothing.
    pub says: String,
}

impl Said {
    /// `place` says `says`.
    pub fn new(place: impl Into<String>, says: impl Into<String>) -> Said {
        Said { place: place.into(), says: says.into() }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.says)
    }
}

/// Two places that disagree, so that one of them is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Its subject: a code, or the name of a campaign, a day or a file.
    pub about: String,
    /// One place.
    pub one: Said,
    /// The other.
    pub other: Said,
}

macro_rules! kinds {
    ($(#[doc = $doc:literal] $variant:ident, $name:literal, $safe:literal;)*) => {
        /// A kind of finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $doc] $variant,)*
        }

        /// All of them.
        pub const KINDS: &[Kind] = &[$(Kind::$variant,)*];

        impl Kind {
            /// Its name, for scripts.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Kind::$variant => $doc.trim_ascii(),)* }
            }

            /// What is safe to do about it.
            pub fn safe(self) -> &'static str {
                match self { $(Kind::$variant => $safe,)* }
            }
        }
    };
}

kinds! {
    /// The two stores are of different histories.
    StoresApart, "stores-apart",
        "do not start `serve`; name the right stores, or bring them together with `couponry restore`";
    /// The engine itself says that pages, indexes or partitions of the hot store are not right.
    HotFile, "hot-file",
        "back up what can be read, then restore the last good backup and run `couponry restore`";
    /// An entry of the cold tier's log cannot be read.
    ColdLog, "cold-log",
        "put the entry back from a copy of the bucket or folder; remove nothing";
    /// A file of the cold tier is missing, cut, or not what was written.
    ColdFile, "cold-file",
        "put the file back from a copy of the bucket or folder; what it holds is answered with 503 until then";
    /// A file or a log entry of the holder index of the cold tier is missing, cut, or not what was written.
    HolderIndex, "holder-index",
        "remove the folder `holder_index`; lists read `coupons_by_holder` until `compact` has made it anew";
    /// A row cannot be read.
    RowUnreadable, "row-unreadable",
        "leave it: take the coupon from a backup by hand, with the help of whoever wrote there";
    /// The columns of a row say something else than its events.
    RowNotItsEvents, "row-not-its-events",
        "the events are the truth: find out who changed the row, and compare with a backup";
    /// Events follow each other as no rule lets them.
    EventsInvalid, "events-invalid",
        "somebody has changed the history: compare with a backup; void the coupon if it may be spent twice";
    /// A row lies where its code, its expiry or the directory do not lead.
    WrongPartition, "wrong-partition",
        "it is not found by its code there; put the file or the row back where it was";
    /// A coupon says other dates, batch or campaign than what it came with.
    OriginDiffers, "origin-differs",
        "compare with the batch or the imported file, and with a backup";
    /// One code has a row and an archived marker, or several rows.
    Twice, "twice",
        "pause the campaign: it may be spent twice; keep the row with the longer history";
    /// One version of a code lies in two files of the cold tier.
    ColdTwice, "cold-twice",
        "readers take one of them; `couponry compact` merges them when the partition is over; find out who copied a file";
    /// Two copies of one coupon have different histories.
    CopiesDiffer, "copies-differ",
        "neither is safe to remove: compare both with a backup";
    /// A coupon lies in both tiers although its archive commit is finished.
    HotAndCold, "hot-and-cold",
        "readers take the hot row, which is the same; find out who wrote the row back";
    /// The hot store has an earlier version of a coupon than the cold tier.
    HotOlder, "hot-older",
        "do not start `serve`: it could be spent again; run `couponry restore --everything`";
    /// A coupon lies in cold, and an open partition in hot knows nothing of it.
    RowMissing, "row-missing",
        "pause the campaign: the code could be given out again; run `couponry restore --everything`, which puts the archived marker back";
    /// An archived marker names what is not in the cold tier.
    ArchivedMarkerAlone, "archived-marker-alone",
        "the coupon is answered with 503, never as new; put the file back from a copy";
    /// A row stands in a partition that was emptied.
    LeftBehind, "left-behind",
        "nobody reads it; compare it with the cold row before it is removed";
    /// A coupon was to be moved to a later partition and did not arrive before its own was sealed.
    MoveLost, "move-lost",
        "leave it, and read the coupon once: whoever meets it finishes the move";
    /// A foreign or moved coupon is not in the directory.
    EntryMissing, "entry-missing",
        "nobody finds it, and its code could be imported anew: do not import it, restore the entry from a backup";
    /// The directory cannot be read, or names what is not there.
    EntryAlone, "entry-alone",
        "its coupon was lost: take it from a backup";
    /// A campaign's word and the directory do not agree.
    WordAstray, "shared-code-astray",
        "pause the campaign and take the entry from a backup";
    /// A serial that was offered once has no row: its coupon was lost, and its code looks untouched.
    SerialMissing, "serial-missing",
        "pause the batch: who has the code could have it once more; take the row from a backup";
    /// Two batches hold the same serials, or serials that the day still has to give.
    SerialsOverlap, "serials-overlap",
        "pause both batches: they mint the same codes";
    /// A holder is in no claim, so they could get one more than the limit.
    ClaimMissing, "claim-missing",
        "they may get one too many; take the entry from a backup";
    /// A claim names a coupon that is nowhere.
    ClaimAlone, "claim-alone",
        "the coupon was lost: take its row from a backup";
    /// A claim names a coupon that was never this user's.
    ClaimOfAnother, "claim-of-another",
        "they may get one too few, or see nothing; compare with a backup";
    /// A coupon is not found by its holder or its expiry.
    IndexRowMissing, "index-row-missing",
        "`couponry verify --repair` writes it";
    /// The side table of the cold tier lacks a coupon of its holder.
    SideMissing, "side-missing",
        "the holder does not see it in their list; the coupon itself is safe";
    /// The side table of the cold tier names what is not there so.
    SideAlone, "side-alone",
        "the holder's list may be answered wrongly; the coupon itself is safe";
    /// A campaign has counted more coupons than there are: a row may have been lost.
    RowsFewer, "rows-fewer",
        "pause the campaign and compare with a backup: a lost coupon could be spent again; only if none is lost, `couponry verify --repair --lower-counts`";
    /// There are more coupons than a campaign has counted.
    CountsWrong, "counts-wrong",
        "`couponry verify --repair` sets them right; nothing is decided by them";
    /// The stock of a campaign is not that of its batches.
    StockWrong, "stock-wrong",
        "`couponry verify --repair` sets it right; nothing is decided by it";
}

macro_rules! notes {
    ($(#[doc = $doc:literal] $variant:ident, $name:literal;)*) => {
        /// Something that a protocol allows to stay behind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Note {
            $(#[doc = $doc] $variant,)*
        }

        /// All of them.
        pub const NOTES: &[Note] = &[$(Note::$variant,)*];

        impl Note {
            /// Its name, for scripts.
            pub fn name(self) -> &'static str {
                match self { $(Note::$variant => $name,)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Note::$variant => $doc.trim_ascii(),)* }
            }
        }
    };
}

notes! {
    /// coupons that lie in both tiers, of archive commits that `compact` has not finished
    ArchiveCommitUnfinished, "archive-commit-unfinished";
    /// coupons that were changed after their copy in cold was made: the hot row counts
    HotNewer, "hot-newer";
    /// moves to a later partition that whoever meets them finishes
    MoveUnfinished, "move-unfinished";
    /// codes that an import has entered and not come to: the same line, sent again, does
    EntryBegun, "entry-begun";
    /// entries of claims that came to nothing, or will be finished by the user's next request
    ClaimBegun, "claim-begun";
    /// index rows that lead to nothing; --repair removes those that are an hour old
    IndexRowTooMany, "index-row-too-many";
    /// campaigns whose counts differ from their rows, on a cluster, where counts may lag behind
    CountsDrifted, "counts-drifted";
    /// archived coupons of campaigns that a restored hot store does not know
    Stranger, "stranger";
    /// coupons that could not be compared because a file of the cold tier cannot be read
    BehindDamage, "behind-damage";
    /// partitions whose side table is behind, of archive commits that `compact` has not finished
    SideBehind, "side-behind";
    /// claims and entries that lead to cold and were not followed there: each would be a read
    NotFollowed, "not-followed";
    /// campaigns whose counts of cold changed while they were looked at
    CountsMoving, "counts-moving";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The page for operators has a row for each.
    #[test]
    fn documented() {
        let page = include_str!("../../../docs/verify.md");
        for kind in KINDS {
            let row = format!("| `{}` | {} | {} |", kind.name(), kind.meaning(), kind.safe());
            assert!(page.contains(&row), "docs/verify.md has no {row}");
        }
        for note in NOTES {
            let row = format!("| `{}` | {} |", note.name(), note.meaning());
            assert!(page.contains(&row), "docs/verify.md has no {row}");
        }
    }

    #[test]
    fn names_are_words_and_no_two_are_the_same() {
        let kinds = KINDS.iter().map(|kind| kind.name());
        let names: Vec<&str> = kinds.chain(NOTES.iter().map(|note| note.name())).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in names {
            assert!(name.bytes().all(|it| it.is_ascii_lowercase() || it == b'-'), "{name}");
        }
        for kind in KINDS {
            assert!(!kind.safe().ends_with('.') && kind.meaning().ends_with('.'), "{kind:?}");
        }
    }
}
