//! What can go wrong in a cold store, in terms of what the caller may do.

use std::error::Error;

use coupon::code::Code;

/// A call that did not end in an answer. Losing a race is an answer, never an error.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// The call may be repeated later; a commit that is repeated with the same files is safe.
    #[error("cold store {place} is unavailable: {what}")]
    Unavailable {
        /// The store.
        place: String,
        /// What was tried, and what the store said.
        what: String,
        /// The store's own words.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The disk is full or read-only; nothing was committed, and reads go on.
    #[error("cold store {place} cannot be written: {what}")]
    Full {
        /// The store.
        place: String,
        /// What was tried, and what the store said.
        what: String,
    },
    /// What was read is not what was written; a person has to look.
    #[error("cold store {place} is damaged: {file}: {what}")]
    Damaged {
        /// The store.
        place: String,
        /// The file, within the store.
        file: String,
        /// What is wrong with it.
        what: String,
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
