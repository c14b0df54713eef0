//! Where active coupons live.
//!
//! [`HotStore`] is what the rest of couponry knows of it, and is made of a trait for each theme:
//! [`Coupons`], [`Campaigns`] and others. Each method is one whole protocol (issue a coupon, apply a
//! change, import a group of lines), so that a store may do it as one transaction, as `hot-sqlite`
//! does, or as a series of conditional writes on a cluster, as `hot-cql` does. Both see this crate and
//! nothing above it; what every store decides in the same way is in [`protocol`].

pub mod activity;
mod archive;
pub mod audit;
mod bounded_join;
pub mod clock;
mod error;
pub mod facts;
pub mod feed;
mod filter;
pub mod imported_state_text;
pub mod inventory;
pub mod order_record;
mod partitions;
pub mod people;
pub mod protocol;
pub mod records;
pub mod redemptions;
pub mod settings;
mod store;
pub mod tables;
mod values;

pub use archive::{Archive, NoArchive};
pub use bounded_join::{BoundedJoin, bounded_join};
pub use clock::{ClockRecord, Witness};
use error::Result;
pub use error::{HotError, cause};
pub use facts::{AUDITED_FACTS, COPIED_FACTS, Fact, Facts};
pub use filter::{CouponFilter, Instant, Predicate, Span};
pub use partitions::{
    CLOSED_BOUND_MS, ClosedPartition, ColdMark, Emptying, PartitionPlan, Partitions, Reconciled,
    Residue,
};
pub use store::{Accounts, Batches, Campaigns, Coupons, HotStore, Imports};
pub use values::{
    Account, Applied, CampaignPatch, CampaignRow, CouponSnapshot, Gauge, ImportLine, ImportOutcome,
    ListOrder, ListPosition, ListQuery, ListScope, ListedPage, MintOrder, Named, NewCampaign,
    OrderDiscounts, Patched, Tier, earlier_ends_of, earlier_ends_text, tie, worth_of, worth_text,
};
