//! The kinds of findings and notes: the only place that names them and says what is safe to do.
//!
//! Scripts read the names, so a name never changes.

use std::fmt;

/// One of two places that disagree, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceStatement {
    pub place: String,
    /// What it says, or that it says nothing.
    pub says: String,
}

impl PlaceStatement {
    pub fn new(place: impl Into<String>, says: impl Into<String>) -> PlaceStatement {
        PlaceStatement { place: place.into(), says: says.into() }
    }
}

impl<Place: Into<String>, Says: Into<String>> From<(Place, Says)> for PlaceStatement {
    fn from((place, says): (Place, Says)) -> PlaceStatement {
        PlaceStatement::new(place, says)
    }
}

impl fmt::Display for PlaceStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.says)
    }
}

/// Two places that disagree, so that one of them is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    /// Its subject: a code, or the name of a campaign, a day or a file.
    pub about: String,
    pub one: PlaceStatement,
    pub other: PlaceStatement,
}

impl Finding {
    pub(crate) fn new(
        kind: FindingKind,
        about: impl Into<String>,
        one: impl Into<PlaceStatement>,
        other: impl Into<PlaceStatement>,
    ) -> Finding {
        Finding { kind, about: about.into(), one: one.into(), other: other.into() }
    }
}

/// The other side of what cannot be read.
pub(crate) const UNWRITTEN: (&str, &str) = ("this release", "cannot have written that");

macro_rules! kinds {
    ($(#[doc = $doc:literal] $variant:ident, $name:literal, $safe:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind {
            $(#[doc = $doc] $variant,)*
        }

        #[cfg(test)]
        const KINDS: &[FindingKind] = &[$(FindingKind::$variant,)*];

        impl FindingKind {
            pub fn name(self) -> &'static str {
                match self { $(FindingKind::$variant => $name,)* }
            }

            pub fn meaning(self) -> &'static str {
                match self { $(FindingKind::$variant => $doc.trim_ascii(),)* }
            }

            /// What is safe to do about it.
            pub fn safe(self) -> &'static str {
                match self { $(FindingKind::$variant => $safe,)* }
            }
        }
    };
}

kinds! {
    /// The hot store and the cold tier do not belong together.
    StoresApart, "stores-apart",
        "do not start `serve`; check `--data`, `--hot` and `--cold`; if the hot store is the older one, run `couponry restore`; if the cold tier is the older one, put its newest copy back";
    /// SQLite reports damage in the hot store, or a cluster has rows in buckets that their day does not have.
    HotFile, "hot-file",
        "stop `serve`, keep a copy of the damaged data, and restore the last good backup";
    /// An entry of the cold tier's log cannot be read.
    ColdLog, "cold-log",
        "put the entry back from a copy of the cold tier; delete nothing";
    /// A file of the cold tier is missing, cut, or differs from what was written.
    ColdFile, "cold-file",
        "put the file back from a copy of the cold tier; until then requests for its coupons get 503";
    /// A file or log entry of the holder index is missing, cut, or differs from what was written.
    HolderIndex, "holder-index",
        "stop `serve` and all commands, delete the folder `holder_index`, and run `couponry compact`; until then lists read `coupons_by_holder`";
    /// A row cannot be read.
    RowUnreadable, "row-unreadable",
        "do not change the row until you know who wrote it; then take the row from a backup";
    /// A row is not as it was written: its columns contradict its events, or its checksum is wrong.
    RowNotItsEvents, "row-not-its-events",
        "find out what changed the row, and take it from a backup; until then requests for its coupon get 503";
    /// The events of a coupon are in an order that no rule allows.
    EventsInvalid, "events-invalid",
        "somebody changed the events: compare them with a backup; if the coupon could be redeemed twice, void it";
    /// A row is in another partition than its code, its expiry or the directory says.
    WrongPartition, "wrong-partition",
        "requests by its code do not find it: find out who moved the row or its file, and move it back";
    /// The hot store has a partition whose expiry day the cold tier has no folder for: a day before 1970-01-01 or after 9999-12-31.
    CannotBeArchived, "cannot-be-archived",
        "its coupons work, and stay in the hot store; `couponry compact` names the partition each time that it is due, and archives the others";
    /// The dates, the batch or the campaign of a coupon differ from those at its creation.
    OriginDiffers, "origin-differs",
        "compare the coupon with the batch or the imported file, and with a backup";
    /// One code has a row and an archived marker, or several rows.
    Twice, "twice",
        "pause the campaign: the coupon could be redeemed twice; keep the row with the longer history";
    /// One version of a code is in two files of the cold tier.
    ColdTwice, "cold-twice",
        "readers use one of them, and `couponry compact` merges them when the partition is over; find out who copied a file";
    /// Two copies of one coupon have different histories.
    CopiesDiffer, "copies-differ",
        "delete neither copy: compare both with a backup";
    /// A coupon is in both tiers, although its archive commit is finished.
    HotAndCold, "hot-and-cold",
        "readers use the hot row, which is equal; find out who wrote the row back";
    /// The hot store has an earlier version of a coupon than the cold tier.
    HotOlder, "hot-older",
        "stop `serve`: the coupon could be redeemed again; run `couponry restore --everything`";
    /// A coupon is in cold, and its open partition has neither a row nor an archived marker for it.
    RowMissing, "row-missing",
        "stop `serve`: the code could be issued again; run `couponry restore --everything`, which puts the archived marker back";
    /// An archived marker names a coupon that is not in the cold tier.
    ArchivedMarkerAlone, "archived-marker-alone",
        "requests for the coupon get 503, and it is never issued again; put the file back from a copy of the cold tier";
    /// A row is in a partition that was emptied.
    LeftBehind, "left-behind",
        "nobody reads the row; compare it with the row in cold before you delete it";
    /// A coupon was extended to a later partition, and its own partition was sealed before it arrived there.
    MoveLost, "move-lost",
        "read the coupon once: any request for it finishes the move";
    /// An imported or extended coupon is not in the directory.
    EntryMissing, "entry-missing",
        "no request finds the coupon, and its code could be imported as new: do not import it, and take the entry from a backup";
    /// A directory entry cannot be read, or names a coupon that does not exist.
    EntryAlone, "entry-alone",
        "the coupon was lost: take its row from a backup";
    /// The shared code of a campaign and the directory do not agree.
    SharedCodeAstray, "shared-code-astray",
        "pause the campaign, and take the directory entry from a backup";
    /// A serial was taken from the stock, and has no row: the row was lost, and its code looks unused.
    SerialMissing, "serial-missing",
        "pause the batch: the code could be redeemed again; take the row from a backup";
    /// A partition will be sealed while codes of it still work, because its plan is older than a later end of their campaign.
    ClosesEarly, "closes-early",
        "before that instant give the campaign an end that is later still: `couponry campaign extend`";
    /// Two batches have the same serials, or a later batch will get the serials of an earlier one.
    SerialsOverlap, "serials-overlap",
        "pause both batches: they mint the same codes";
    /// A coupon has a holder, and no claim names it.
    ClaimMissing, "claim-missing",
        "the user may get one coupon too many; take the claim from a backup";
    /// A claim names a coupon that does not exist.
    ClaimAlone, "claim-alone",
        "the coupon was lost: take its row from a backup";
    /// A claim names a coupon that this user never had.
    ClaimOfAnother, "claim-of-another",
        "the user may get one coupon too few, or not see a coupon; compare the claim with a backup";
    /// A coupon has no index row for its holder or its expiry.
    IndexRowMissing, "index-row-missing",
        "run `couponry verify --repair`, which writes it";
    /// The side table of the cold tier does not have a coupon with a holder.
    SideMissing, "side-missing",
        "the coupon itself is safe; run `couponry compact`, then the lists of couponry are right; for other programs, put `coupons_by_holder` back from a copy";
    /// A row of the side table of the cold tier does not match its coupon.
    SideAlone, "side-alone",
        "the coupon itself is safe; run `couponry compact`, then the lists of couponry are right; for other programs, put `coupons_by_holder` back from a copy";
    /// The counts of a campaign are higher than its rows: a row may be lost.
    RowsFewer, "rows-fewer",
        "pause the campaign and compare with a backup: a lost coupon could be redeemed again; only if no row is lost, run `couponry verify --repair --lower-counts`";
    /// The counts of a campaign are lower than its rows.
    CountsWrong, "counts-wrong",
        "run `couponry verify --repair`, which corrects them; no decision depends on them";
    /// The amounts of a campaign are not those of its redemptions.
    SumsWrong, "sums-wrong",
        "run `couponry verify --repair`, which adds what is missing; compare amounts that are too high with a backup: a redemption may be lost";
    /// The stock of a campaign is not the sum of its batches.
    StockWrong, "stock-wrong",
        "run `couponry verify --repair`, which corrects it; no decision depends on it";
}

macro_rules! notes {
    ($(#[doc = $doc:literal] $variant:ident, $name:literal;)*) => {
        /// Something that a killed process may leave behind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Note {
            $(#[doc = $doc] $variant,)*
        }

        #[cfg(test)]
        const NOTES: &[Note] = &[$(Note::$variant,)*];

        impl Note {
            pub fn name(self) -> &'static str {
                match self { $(Note::$variant => $name,)* }
            }

            pub fn meaning(self) -> &'static str {
                match self { $(Note::$variant => $doc.trim_ascii(),)* }
            }
        }
    };
}

notes! {
    /// coupons that are in both tiers because `compact` has not finished their archive commit
    ArchiveCommitUnfinished, "archive-commit-unfinished";
    /// coupons that changed after they were copied to cold: the row in hot counts
    HotNewer, "hot-newer";
    /// moves to a later partition that the next request for the coupon finishes
    MoveUnfinished, "move-unfinished";
    /// directory entries without a row, of imports that stopped: import the same line again to write the row
    EntryBegun, "entry-begun";
    /// claim entries that have no effect, or that the user's next request finishes
    ClaimBegun, "claim-begun";
    /// index rows without a coupon; --repair deletes those that are older than an hour
    IndexRowTooMany, "index-row-too-many";
    /// campaigns on a cluster whose counts differ from their rows, because counts may be late
    CountsDrifted, "counts-drifted";
    /// archived coupons of campaigns that a restored hot store does not have
    Stranger, "stranger";
    /// coupons that could not be compared because a file of the cold tier cannot be read
    BehindDamage, "behind-damage";
    /// partitions whose side table is behind because `compact` has not finished an archive commit
    SideBehind, "side-behind";
    /// claims and directory entries of archived coupons that were not compared, because each costs a read
    NotFollowed, "not-followed";
    /// partitions named by `--partition` that neither tier has
    NoSuchPartition, "no-such-partition";
    /// batches with missing serials that could not be named, because their key is not here
    KeyMissing, "key-missing";
    /// campaigns whose counts of cold, or amounts, changed while they were read
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
