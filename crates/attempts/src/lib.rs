//! Refused attempts: who tried what with which code, and why it failed. A support agent looks there when
//! a customer says that a coupon does not work.
//!
//! They are in a SQLite file of their own, so that a flood of refusals never makes a redemption wait. A call
//! only puts its attempt into memory; a thread writes it within a fraction of a second. Neither a full
//! disk nor a slow one reaches the caller: then the oldest of those in memory are dropped, and counted.
//! After a kill the last fraction of a second is missing.

mod file;
mod keeper;
mod masked;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use rusqlite::Error as FileError;

pub use crate::file::OpenError;
use crate::file::Reader;
use crate::keeper::Keeper;
pub use crate::masked::masked;

/// Something that was tried and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What: one of the API's words.
    pub action: Cow<'static, str>,
    /// The code as it is shown: a part of it if no coupon has it.
    pub code: Option<String>,
    /// The campaign, if the caller may know it. It must exist: each has sums of its own.
    pub campaign: Option<String>,
    pub user: Option<String>,
    pub order: Option<String>,
    /// By whom, `role:name`; of a sign-in nobody yet.
    pub actor: Option<String>,
    pub peer: Option<String>,
    /// Why it was refused: a problem code.
    pub problem: Cow<'static, str>,
    /// Why the answer was that there is no such coupon.
    pub unknown: Option<Cow<'static, str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number: later ones have higher numbers.
    pub number: i64,
    pub attempt: Attempt,
}

/// Which attempts to find. What is `None` may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// With one of these codes, as they are shown.
    pub codes: Option<Vec<String>>,
    pub user: Option<String>,
    pub order: Option<String>,
    pub problem: Option<String>,
    pub actor: Option<String>,
    /// Older than the one with this number.
    pub before: Option<i64>,
}

/// Some attempts, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub attempts: Vec<Kept>,
    /// How many of the time that is kept were dropped, because there were too many.
    pub dropped: u64,
}

/// How many attempts were refused in a quarter of an hour, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The number of the quarter since 1970.
    pub quarter: i64,
    pub problem: String,
    pub count: u64,
}

/// A quarter of an hour, in milliseconds.
pub const QUARTER_MS: i64 = 15 * 60 * 1_000;

/// A person who is forgotten.
pub struct ErasedPerson<'a> {
    pub user: &'a str,
    /// The name that they have from now on.
    pub name: &'a str,
    /// A text without the old name; `None` if it has it nowhere.
    pub without: &'a dyn Fn(&str) -> Option<String>,
}

/// How many attempts are kept.
#[derive(Clone, Debug)]
pub struct Options {
    pub keep_ms: i64,
    /// At most so many: the file takes about 250 bytes for each.
    pub rows_max: u64,
    /// At most so many wait in memory for the thread.
    pub waiting_max: usize,
}

impl Default for Options {
    /// 30 days; a million, some 250 MB; 10,000 in memory, some 4 MB.
    fn default() -> Options {
        Options { keep_ms: 30 * 86_400_000, rows_max: 1_000_000, waiting_max: 10_000 }
    }
}

/// The attempts of one process's data folder.
pub struct AttemptLog {
    keeper: Arc<Keeper>,
    reader: Reader,
    path: PathBuf,
}

impl AttemptLog {
    /// Opens the file at `path`, or makes it, and starts the thread.
    ///
    /// # Errors
    /// A file that cannot be opened, or is of another release.
    pub fn open(path: &Path, options: Options) -> Result<AttemptLog, OpenError> {
        let keeper = Keeper::start(file::Writer::open(path)?, options)?;
        Ok(AttemptLog { keeper, reader: Reader::open(path)?, path: path.to_owned() })
    }

    /// Keeps an attempt. Takes some hundred nanoseconds, and never fails.
    pub fn keep(&self, attempt: Attempt) {
        self.keeper.keep(attempt);
    }

    /// Whether attempts that were kept long enough may be deleted; at first they may not. Say yes while the
    /// clock is trusted: one that is a year ahead would make all of them old.
    pub fn forget_old(&self, may: bool) {
        self.keeper.forget_old(may);
    }

    /// At most `limit` attempts, newest first, also those of a moment ago. Waits for the disk.
    pub fn find(&self, wanted: &Wanted, limit: usize) -> Result<Found, FileError> {
        self.keeper.flush();
        let (attempts, dropped) = self.reader.find(wanted, limit)?;
        Ok(Found { attempts, dropped: dropped + self.keeper.dropped() })
    }

    /// Gives a person another name in what was kept up to `until`, and overwrites the old one. Waits for the disk.
    ///
    /// # Errors
    /// On an I/O error; then it may be repeated.
    pub fn erase(&self, person: &ErasedPerson<'_>, until: i64) -> Result<(), FileError> {
        self.keeper.flush();
        file::erase(&self.path, person, until)
    }

    /// How many attempts were refused from the quarter of an hour `from` on and before `until`: of one campaign,
    /// or all, also those that were dropped. Kept for two years. Waits for the disk.
    pub fn refused(
        &self,
        campaign: Option<&str>,
        from: i64,
        until: i64,
    ) -> Result<Vec<Refused>, FileError> {
        self.keeper.flush();
        self.reader.refused(campaign, from, until)
    }
}

impl fmt::Debug for AttemptLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptLog").finish_non_exhaustive()
    }
}

impl Drop for AttemptLog {
    fn drop(&mut self) {
        self.keeper.stop();
    }
}

#[cfg(test)]
mod tests;
