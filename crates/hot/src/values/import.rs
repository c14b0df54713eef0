//! Lines of an import, and the outcome of each.

use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::Millis;

/// One line of an import whose text was well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLine {
    pub code: Code,
    /// First instant at which it works.
    pub valid_from: Millis,
    /// First instant at which it no longer works.
    pub expires_at: Millis,
    /// Its state in the system that it comes from.
    pub imported_state: ImportedState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It made a coupon, or moved one forward.
    Imported,
    /// It said nothing new.
    AlreadyThere,
    /// The code exists with other dates, in another campaign, or as a shared word.
    CodeTaken,
    /// It contradicts what has happened, or its partition is closed.
    Refused(Refusal),
}

/// A rejected line of an import, as it is stored for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedLine {
    /// Its number in the file, from 1.
    pub line: u64,
    pub text: String,
    /// Why, for programs.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
}
