//! What can go wrong in a cold store, in terms of what the caller may do.

use std::error::Error;

use coupon::code::Code;

/// A call that did not end in an answer. Losing a race is an answer, never an error.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// The call may be repeated later; a commit that is repeated with the same files is safe.
    #[error("cold store {location} is unavailable: {what}")]
    Unavailable {
        /// The store.
        location: String,
        /// What was tried, and what the store said.
        what: String,
        /// The store's own words.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The disk is full or read-only; nothing was committed, and reads go on.
    #[error("cold store {location} cannot be written: {what}")]
    Full {
        /// The store.
        location: String,
        /// What was tried, and what the store said.
        what: String,
    },
    /// What was read is not what was written; a person has to look.
    #[error("cold store {location} is damaged: {file}: {what}")]
    Damaged {
        /// The store.
        location: String,
        /// The file, within the store.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The store let two writers create one object: it cannot be written to safely.
    #[error(
        "cold store {location} is not safe to write to: {winners} of {writers} writers created the \
         same object, so two compactors would replace each other's commits and lose coupons; it \
         must obey `If-None-Match: *` (versitygw 1.8 does, and AWS S3 and MinIO say so; Garage and \
         `versitygw posix --nometa` do not)"
    )]
    NotOnce {
        /// The store.
        location: String,
        /// How many were told that they had created it.
        winners: usize,
        /// How many tried.
        writers: usize,
    },
    /// A clock that is wrong would seal partitions whose time is not over.
    #[error(
        "the clock here is {ms} ms {way} that of cold store {location}, and 5 s are allowed: set it \
         right, as by NTP"
    )]
    Clock {
        /// The store.
        location: String,
        /// By how much, at the least.
        ms: u64,
        /// `ahead of` or `behind`.
        way: &'static str,
    },
    /// A scan would read more than its caller wants; nothing was read.
    #[error("{rows} coupons may match, want at most {max}")]
    TooMuch {
        /// Rows that cannot be ruled out.
        rows: u64,
        /// The caller's limit.
        max: u64,
    },
    /// A writer was handed its coupons out of order; its files are gone.
    #[error("code {found} was written after {last}, want ascending codes")]
    Order {
        /// The last code before it.
        last: Code,
        /// The code that came too late.
        found: Code,
    },
}
