//! Finished coupons: Delta and Parquet on an object store.
//!
//! A [`ColdStore`] is a folder, or a prefix of a bucket, with three Delta tables: `coupons`, one
//! partition an expiry day, sorted by code; `coupons_by_holder`, one partition a month, sorted by
//! holder; and `holder_index`, whole coupons by holder, from which a person's list is read. The
//! first two are open to any reader of Delta; `schema/cold.md` is the contract with them.
//!
//! What is in cold is final. A commit to a partition carries the number after the last one, so the
//! commits of a partition stand in one line, and whoever finds the number taken begins again. No
//! other crate knows Parquet, Arrow, an object store or the Delta log.

mod bounds;
mod bucket;
mod checksums;
mod cursor;
mod decode;
mod encode;
mod error;
mod examine;
pub mod external;
mod files;
mod find;
mod footer;
mod holders;
mod index;
#[cfg(test)]
mod later;
mod local;
mod location;
mod log;
mod names;
mod options;
mod origins;
mod probe;
mod retried;
mod rows;
mod scan;
mod schema;
mod store;
mod sweep;
mod upload;
mod verifying;
mod write;

pub use bucket::{BadBucket, BucketAddress, Patience};
pub use error::ColdError;
pub use examine::FileFinding;
pub use holders::HolderEntry;
pub use index::HolderMerge;
pub use options::Options;
pub use origins::{Archived, Since};
pub use probe::ProbeResult;
pub use rows::{Keys, Rows};
pub use scan::{PartitionRows, Scan, ScanFilter};
pub use store::{ColdFile, ColdStore, Committed, Partition};
pub use sweep::Swept;
pub use verifying::{
    ColdCode, ColdCopy, FileFault, PartitionAudit, SIDE_FAULTS_MAX, SideAudit, SideFault, SideIs,
    day_text,
};
pub use write::{NewFile, PartitionWriter};
