//! Reads both tiers and checks what must be true of them.
//!
//! *View*: everything that both tiers say of one code in one partition. *Finding*: something that no
//! protocol allows. *Note*: something that a protocol allows to stay behind, such as an index row too
//! many. Other processes write between two reads, so whatever looks wrong is looked at again several
//! times before it becomes a finding.
//!
//! [`rules`] is pure: it turns a view into findings. The rest reads: partition by partition, with hot and
//! cold merged in the order of codes, then the directory, the claims, the index rows and the counts. What the
//! coupons say of the directory and the claims is not looked up there: a [`balance`] compares it with what is
//! there, and only what is left over is looked up. A run holds in memory a chunk of rows, one row group of
//! each file of a partition, the balance, and the counts of each campaign.

mod balance;
mod catalog;
mod claims;
mod counts;
mod directory;
mod finding;
mod index_rows;
mod left_over;
mod partition;
mod postings;
mod recheck;
pub mod rules;
mod serials;
mod verifier;
mod whereabouts;

pub use finding::{Finding, FindingKind, Note, PlaceStatement};
pub use verifier::{
    FindingSink, RepairMode, Verifier, VerifyError, VerifyOptions, VerifyProgress, VerifyReport,
    VerifyStep,
};
