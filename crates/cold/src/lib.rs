//! Finished coupons: Delta and Parquet on an object store.
//!
//! A [`ColdStore`] is a folder, or a prefix of a bucket, with two Delta tables: `coupons`, one
//! partition a shelf, sorted by code; and `coupons_by_holder`, one partition a month, sorted by
//! holder. Both are open to any reader of Delta; `schema/cold.md` is the contract with them.
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
mod local;
mod log;
mod names;
pub mod outside;
mod place;
mod proof;
mod retried;
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
pub use proof::Proof;
pub use scan::{Scan, ScanFilter, ShelfRows};
pub use store::{ColdFile, ColdStore, Committed, Keys, Options, Rows, Shelf};
pub use sweep::Swept;
pub use verifying::{
    ColdCode, ColdCopy, FileFault, SIDE_FAULTS_MAX, ShelfAudit, SideAudit, SideFault, SideIs,
    day_text,
};
pub use write::{NewFile, ShelfWriter};
