//! Finished coupons: Delta and Parquet on an object store.
//!
//! A [`ColdStore`] is a folder, or a prefix of a bucket, with three Delta tables: `coupons`, one
//! partition a shelf, sorted by code; `coupons_by_holder`, one partition a month, sorted by
//! holder; and `holder_index`, whole coupons by holder, from which a person's list is read. The
//! first two are open to any reader of Delta; `schema/cold.md` is the contract with them.
//!
//! What is in cold is final. A commit to a shelf carries the number after the last one, so the
//! commits of a shelf stand in one line, and whoever finds the number taken begins again. No
//! other crate knows Parquet, Arrow, an object store or the Delta log.

mod bounds;
mod bucket;
mod cursor;
mod decode;
mod encode;
mod error;
mod examine;
mod files;
mod find;
mod footer;
mod holders;
mod index;
#[cfg(test)]
mod later;
mod local;
mod log;
mod names;
mod options;
mod origins;
pub mod outside;
mod place;
mod proof;
mod retried;
mod rows;
mod scan;
mod schema;
mod store;
mod sums;
mod sweep;
mod upload;
mod verifying;
mod write;

pub use bucket::{BadBucket, BucketAddress, Patience};
pub use error::ColdError;
pub use examine::Finding;
pub use holders::HolderEntry;
pub use index::HolderMerge;
pub use options::Options;
pub use origins::{Archived, Since};
pub use proof::Proof;
pub use rows::{Keys, Rows};
pub use scan::{Scan, ScanFilter, ShelfRows};
pub use store::{ColdFile, ColdStore, Committed, Shelf};
pub use sweep::Swept;
pub use verifying::{
    ColdCode, ColdCopy, FileFault, SIDE_FAULTS_MAX, ShelfAudit, SideAudit, SideFault, SideIs,
    day_text,
};
pub use write::{NewFile, ShelfWriter};
