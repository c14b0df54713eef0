//! Errors of a cold store, by what the caller may do.

use std::error::Error;

use coupon::code::Code;

pub(crate) type Result<T, E = ColdError> = std::result::Result<T, E>;

/// Why a call has no result. Losing a race is a result, never an error.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// The store does not answer. Retry later; repeating a commit with the same files is safe.
    #[error("cold store {location} is unavailable: {what}")]
    Unavailable {
        location: String,
        /// What was tried, and the answer of the store.
        what: String,
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The disk is full or read-only. Nothing was committed; reads still work.
    #[error("cold store {location} cannot be written: {what}")]
    Full { location: String, what: String },
    /// A file is not as it was written. A person has to look.
    #[error("cold store {location} is damaged: {file}: {what}")]
    Damaged {
        location: String,
        /// The file, within the store.
        file: String,
        what: String,
    },
    /// The store let two writers create the same object, so it is not safe to write to.
    #[error(
        "cold store {location} is not safe to write to: {winners} of {writers} writers created the \
         same object, so two compactors could replace each other's commits and lose coupons; use a \
         server that obeys `If-None-Match: *` (versitygw 1.8 does, AWS S3 and MinIO say that they \
         do; Garage and `versitygw posix --nometa` do not)"
    )]
    NotOnce {
        location: String,
        /// Writers that were told that they created the object.
        winners: usize,
        writers: usize,
    },
    /// There is no folder for the partition of this day, and there never will be.
    #[error(
        "its expiry day is {side} in UTC, and the cold tier has no folder for such a day: its \
         coupons work, and stay in the hot store"
    )]
    NoFolder {
        /// `before 1970-01-01` or `after 9999-12-31`.
        side: &'static str,
    },
    /// The clocks differ too much. A wrong clock would seal partitions that have not expired.
    #[error(
        "the clock of this machine is {ms} ms {way} that of cold store {location}, and 5 s are \
         allowed: synchronise it, for example by NTP"
    )]
    Clock {
        location: String,
        /// The difference, at least.
        ms: u64,
        /// `ahead of` or `behind`.
        way: &'static str,
    },
    /// A scan would read more rows than its caller allows. Nothing was read.
    #[error("{rows} coupons may match, want at most {max}")]
    TooMuch {
        /// Rows that the statistics do not exclude.
        rows: u64,
        max: u64,
    },
    /// A writer was given codes that do not ascend. Its files are abandoned.
    #[error("code {found} was written after {last}, want ascending codes")]
    Order { last: Code, found: Code },
}
