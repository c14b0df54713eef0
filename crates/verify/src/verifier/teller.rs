//! Tells the caller what all runs over the same stores have found.

use std::collections::{BTreeMap, BTreeSet};

use super::{FindingSink, TOLD_MAX};
use crate::finding::{Finding, FindingKind};

pub(super) struct FindingTeller<'a> {
    sink: FindingSink<'a>,
    counts: BTreeMap<FindingKind, u64>,
    /// The kinds and subjects that were told.
    told: BTreeSet<(FindingKind, String)>,
    /// Those of a comparison that began again: they are not told twice.
    told_before: BTreeSet<(FindingKind, String)>,
}

impl<'a> FindingTeller<'a> {
    pub(super) fn new(sink: FindingSink<'a>) -> FindingTeller<'a> {
        let (told, told_before) = (BTreeSet::new(), BTreeSet::new());
        FindingTeller { sink, counts: BTreeMap::new(), told, told_before }
    }

    /// Tells a finding, if there are not too many of its kind in all runs together.
    pub(super) fn tell(&mut self, finding: &Finding) {
        let count = self.counts.entry(finding.kind).or_default();
        *count += 1;
        if *count > TOLD_MAX {
            return;
        }
        let name = (finding.kind, finding.about.clone());
        if !self.told_before.contains(&name) {
            (self.sink)(finding);
            self.told.insert(name);
        }
    }

    /// A comparison begins that may begin again.
    pub(super) fn begin(&mut self) {
        self.told.clear();
    }

    /// It begins again, with these counts of what was found before it.
    pub(super) fn begin_again(&mut self, counts: BTreeMap<FindingKind, u64>) {
        self.counts = counts;
        self.told_before = std::mem::take(&mut self.told);
    }
}
