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
use copies::copies;
use lists::lists;
use origin::{origin, stranger};
pub(crate) use place::folder;
use place::place;
use rows::rows;
use tiers::tiers;
pub use view::{CodeHome, CodeView, TableAnswer};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleResults {
    /// What no protocol allows.
    pub findings: Vec<Finding>,
    /// What a protocol allows to stay behind.
    pub notes: Vec<Note>,
}

impl RuleResults {
    fn find(&mut self, kind: FindingKind, about: &str, one: PlaceStatement, other: PlaceStatement) {
        self.findings.push(Finding { kind, about: about.to_owned(), one, other });
    }
}

pub fn judge(view: &CodeView) -> RuleResults {
    let mut judged = RuleResults::default();
    rows(view, &mut judged);
    copies(view, &mut judged);
    tiers(view, &mut judged);
    let Some(coupon) = view.coupon() else { return judged };
    if view.terms.is_none() {
        stranger(view, coupon, &mut judged);
        return judged;
    }
    place(view, coupon, &mut judged);
    origin(view, coupon, &mut judged);
    lists(view, coupon, &mut judged);
    judged
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
