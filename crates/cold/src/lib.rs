//! Archived coupons: Delta tables of Parquet files in a folder or a bucket. No other crate knows
//! Parquet, Arrow, an object store or the Delta log.
//!
//! A [`ColdStore`] is a folder, or a prefix of a bucket, with three Delta tables. `coupons` is
//! partitioned by expiry day and sorted by code. `coupons_by_holder` is partitioned by month and
//! sorted by holder. `holder_index` has whole coupons sorted by holder; a holder's list is read
//! from it. Any reader of Delta may read the first two; `schema/cold.md` is the contract with such
//! readers. For them a file beside the tables lists the expiry days that are complete.
//!
//! A coupon in cold never changes. Every commit to a partition carries the number after the last one
//! as its Delta transaction version, so the commits of a partition are totally ordered. A writer
//! that finds its number taken has lost, and begins again from the new state.

mod audit;
mod blocking;
mod bounds;
mod bucket;
mod checksums;
mod commit;
mod complete;
mod cursor;
mod decode;
mod deleted;
mod encode;
mod encoder;
mod error;
pub mod external;
mod files;
mod find;
mod footer;
mod holders;
mod index;
mod indexed;
mod kept;
mod live;
mod local;
mod location;
mod log;
mod merge;
mod names;
mod options;
mod origins;
mod persons;
mod probe;
mod retried;
mod rows;
mod scan;
mod schema;
mod store;
mod sweep;
mod upload;
mod write;

pub use audit::{
    ColdCode, ColdCopy, FileFault, PartitionAudit, SIDE_FAULTS_MAX, SideAudit, SideFault, SideIs,
};
pub use blocking::BlockingRunner;
pub use bucket::{BadBucket, BucketAddress, BucketPatience, BucketTraffic, RequestKind};
pub use cursor::FileRows;
pub use deleted::{DeletedCoupons, DeletedDay};
pub use error::ColdError;
pub use holders::HolderEntry;
pub use index::HolderMerge;
pub use kept::KeptName;
pub use live::{ColdFile, NewFile};
pub use log::CommitOutcome;
pub use options::ColdOptions;
pub use origins::{ArchivedRows, ArchivedSince};
pub use probe::ProbeResult;
pub use rows::{CodeRows, CouponRows};
pub use scan::{ColdScan, PartitionRows, ScanFilter};
pub use store::{ColdPartition, ColdStore};
pub use sweep::SweepReport;
pub use write::PartitionWriter;
