//! The values that go into a hot store and come out of it.

mod campaign;
mod list;

use std::sync::Arc;

use coupon::apply::Outcome;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use coupon::time::Millis;

pub use campaign::{
    CampaignPatch, CampaignRow, MintOrder, NewCampaign, Patched, worth_of, worth_text,
};
pub use list::{ListOrder, ListPosition, ListQuery, ListScope, ListedPage, tie};

/// The result of a write that is named by its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<T> {
    /// The name was free.
    Created(T),
    /// An earlier request of this name asked for the same.
    Same(T),
    /// A rule refused it, [`Refusal::NameTaken`] among them.
    Refused(Refusal),
}

coupon::words! {
    /// Where a coupon lies.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Tier {
        /// Here, and it may still change.
        Hot = "hot",
        /// In cold, and it is final.
        Cold = "cold",
    }
}

/// A coupon with what an answer about it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponSnapshot {
    pub coupon: Coupon,
    pub campaign: Arc<Campaign>,
    pub batch_paused: bool,
    pub tier: Tier,
}

/// The outcome of a change, and the coupon after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub outcome: Outcome,
    /// The coupon that the outcome is about; `None` if no coupon was found.
    pub snapshot: Option<CouponSnapshot>,
}

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

/// The account of a user who signs in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name that they sign in with.
    pub login_id: UserId,
    /// Their name in tokens and coupons.
    pub user_id: UserId,
    /// The hash of their password, as a PHC string.
    pub password_hash: String,
}

/// Figures of a store for its operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Look-ups since the process began.
    pub reads: u64,
    /// Statements since the process began, those that read and those that write.
    pub statements: u64,
    /// Accepted writes since the process began.
    pub writes: u64,
    /// Commits since the process began; a commit carries a group of writes.
    pub commits: u64,
    /// Microseconds that all commits took to become durable, where the store knows.
    pub sync_micros: u64,
    /// Writes waiting at the moment.
    pub waiting: u64,
    /// Microseconds that the oldest of these has waited.
    pub oldest_waiting_micros: u64,
    /// Unknown writes that were looked for and had been applied.
    pub resolved_applied: u64,
    /// Unknown writes that were looked for and had not been applied.
    pub resolved_refused: u64,
    /// Unknown writes that could not be resolved: the caller got an unknown outcome.
    pub left_unknown: u64,
    /// Writes that were sent a second time, for the same version.
    pub resent: u64,
    /// Times that an event was put aside because its coupon could not be read, or a part of the feed.
    pub events_aside: u64,
}
