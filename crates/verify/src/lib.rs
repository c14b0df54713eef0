//! Reads both tiers and checks what must be true of them.
//!
//! *View*: everything that both tiers say of one code in one partition. *Finding*: something that
//! no protocol allows. *Note*: something that a protocol allows to stay behind, such as an index
//! row too many. *Suspect*: what looked like a finding at first; between two reads others write, so
//! it is looked at again, more than once, before anybody is told.
//!
//! [`rules`] is pure: a view goes in, findings come out. The rest reads: partition by partition,
//! hot and cold merged in the order of codes, then the directory, the claims, the index rows and
//! the counts. Memory for a chunk of rows, one row group of each file of a partition, and what is
//! counted of each campaign.

mod catalog;
mod counts;
mod finding;
mod partition;
mod recheck;
pub mod rules;
mod tables;
mod verifier;

pub use finding::{Finding, KINDS, Kind, NOTES, Note, Said};
pub use verifier::{Options, Progress, Repair, Report, Tell, Verifier, VerifyError};
