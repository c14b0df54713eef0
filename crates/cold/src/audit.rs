//! Reads for `verify`: the only place that returns damage as a value.
//!
//! A row or a file that cannot be read becomes a fault, and everything else is still read.

mod copies;
mod files;
mod partition;
mod rows;
mod side;

pub use copies::ColdCode;
pub use files::FileFault;
pub use partition::PartitionAudit;
pub use rows::ColdCopy;
pub use side::{SIDE_FAULTS_MAX, SideAudit, SideFault, SideIs};
