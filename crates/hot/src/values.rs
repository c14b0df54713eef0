//! The values that go into a hot store and come out of it.

mod account;
mod campaign;
mod health;
mod import;
mod list;
mod snapshot;

use coupon::refusal::Refusal;

pub use account::Account;
pub use campaign::{
    CampaignPatch, CampaignRow, MintOrder, NewCampaign, Patched, worth_of, worth_text,
};
pub use health::Gauge;
pub use import::{ImportLine, ImportOutcome, RejectedLine};
pub use list::{ListOrder, ListPosition, ListQuery, ListScope, ListedPage, tie};
pub use snapshot::{Applied, CouponSnapshot, Tier};

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
