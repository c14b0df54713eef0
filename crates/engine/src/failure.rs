//! Failures: how a use case ends if it does not do what was asked.

use coupon::refusal::Refusal;
use hot::{HotError, Named};

pub use ::import::BadFile;
use ::import::FileError;

use crate::coupons::CouponView;
use crate::import::ImportStopped;

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: String,
    /// What was found and what is wanted.
    pub detail: String,
}

impl Fault {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Fault {
        Fault { field: field.into(), detail: detail.into() }
    }
}

/// Why a use case did not do what was asked. Nothing was changed, except for [`HotError::Unknown`],
/// [`Failure::BrokenOff`] and [`Failure::ImportStopped`].
#[derive(Debug)]
pub enum Failure {
    /// A rule refused it.
    Refused {
        /// Which.
        refusal: Refusal,
        /// The coupon, if the caller may see it.
        coupon: Option<Box<CouponView>>,
    },
    /// Fields of the request are wrong.
    Invalid(Vec<Fault>),
    /// The caller's role may not do this.
    Forbidden(String),
    /// The file of an import cannot be used at all.
    BadFile(BadFile),
    /// The caller's stream ended in an error.
    BrokenOff(String),
    /// The login has an account already.
    LoginTaken,
    /// What was to be changed has another tag than the request wants.
    OtherTag,
    /// There is no code key to mint with.
    NoCodeKey,
    /// The store failed.
    Store(HotError),
    /// The store failed during an import; some lines are imported.
    ImportStopped(Box<ImportStopped>),
}

impl Failure {
    pub(crate) fn refused(refusal: Refusal) -> Failure {
        Failure::Refused { refusal, coupon: None }
    }

    /// One field that is wrong.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Failure {
        Failure::Invalid(vec![Fault::new(field, detail)])
    }
}

/// What was looked for, or `NotFound`.
pub(crate) fn found<T>(found: Option<T>) -> Result<T, Failure> {
    found.ok_or(Failure::refused(Refusal::NotFound))
}

impl From<HotError> for Failure {
    fn from(error: HotError) -> Failure {
        Failure::Store(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        match error {
            FileError::Bad(why) => Failure::BadFile(why),
            FileError::BrokenOff(why) => Failure::BrokenOff(why),
        }
    }
}

/// The result of a write that was made now or by an earlier request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<T> {
    /// It was made now.
    Created(T),
    /// An earlier request made the same write, and it still stands.
    Same(T),
}

impl<T> Done<T> {
    pub(crate) fn of(named: Named<T>) -> Result<Done<T>, Failure> {
        match named {
            Named::Created(it) => Ok(Done::Created(it)),
            Named::Same(it) => Ok(Done::Same(it)),
            Named::Refused(refusal) => Err(Failure::refused(refusal)),
        }
    }

    /// What was made or found.
    pub fn into_inner(self) -> T {
        match self {
            Done::Created(it) | Done::Same(it) => it,
        }
    }

    /// The same, with `f` applied to its content.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        match self {
            Done::Created(it) => Done::Created(f(it)),
            Done::Same(it) => Done::Same(f(it)),
        }
    }
}
