//! What must be true of one code in one partition. Pure: no store, no clock.

mod copies;
mod lists;
mod origin;
mod place;
mod rows;
mod tiers;
mod view;

use coupon::code::Code;
use coupon::time::Day;

use crate::finding::{Finding, FindingKind, Note, PlaceStatement};
pub(crate) use place::folder;
pub use view::{CodeHome, CodeView, TableAnswer};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleResults {
    /// What no protocol allows.
    pub findings: Vec<Finding>,
    /// What a protocol allows to stay behind.
    pub notes: Vec<Note>,
}

pub fn judge(view: &CodeView) -> RuleResults {
    let mut judge = CodeJudge { view, results: RuleResults::default() };
    judge.rows();
    judge.copies();
    judge.tiers();
    match view.coupon() {
        None => {}
        Some(coupon) if view.terms.is_none() => judge.stranger(coupon),
        Some(coupon) => {
            judge.place(coupon);
            judge.origin(coupon);
            judge.lists(coupon);
        }
    }
    judge.results
}

/// Tries the rules on one code, each of which is a method in a file of its own.
struct CodeJudge<'a> {
    view: &'a CodeView,
    results: RuleResults,
}

impl CodeJudge<'_> {
    fn find(
        &mut self,
        kind: FindingKind,
        one: impl Into<PlaceStatement>,
        other: impl Into<PlaceStatement>,
    ) {
        self.results.findings.push(Finding::new(kind, &self.view.code, one, other));
    }

    fn note(&mut self, note: Note) {
        self.results.notes.push(note);
    }
}

/// Whether a code in the partition `day` needs an entry in the directory.
pub fn needs_entry(home: &CodeHome, day: Day) -> bool {
    match home {
        CodeHome::Minted { day: home, .. } => *home != day,
        CodeHome::Foreign => true,
    }
}

/// The code, if the text is one in the form that stores have.
pub fn code_of(text: &str) -> Option<Code> {
    text.parse().ok().filter(|code: &Code| code.as_str() == text)
}

#[cfg(test)]
mod tests;
