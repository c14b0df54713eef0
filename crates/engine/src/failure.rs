//! How a use case ends when it does not end well.

use coupon::refusal::Refusal;
use hot::HotError;

use crate::coupons::CouponView;
use crate::import::ImportStopped;

/// One field of a request that cannot be used.
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

/// Why a use case did not do what was asked. Nothing was changed, but for [`HotError::Unknown`],
/// [`Failure::BrokenOff`] and [`Failure::ImportStopped`].
#[derive(Debug)]
pub enum Failure {
    /// A rule said no.
    Refused {
        /// Which.
        refusal: Refusal,
        /// The coupon, where the caller may see it.
        coupon: Option<Box<CouponView>>,
    },
    /// The request makes no sense as it stands.
    Invalid(Vec<Fault>),
    /// The caller's role is too small.
    Forbidden(String),
    /// An import's file cannot be used at all.
    BadFile(BadFile),
    /// The caller's stream broke off.
    BrokenOff(String),
    /// The login stands for somebody already.
    LoginTaken,
    /// There is no key to mint codes with.
    NoCodeKey,
    /// The store did not do it.
    Store(HotError),
    /// The store stopped an import after some lines, which are in.
    ImportStopped(Box<ImportStopped>),
}

/// Why a file is not imported at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// It is not CSV.
    #[error("{0}")]
    Kind(String),
    /// Its header cannot be used.
    #[error("{0}")]
    Header(String),
}

impl Failure {
    pub(crate) fn refused(refusal: Refusal) -> Failure {
        Failure::Refused { refusal, coupon: None }
    }

    /// One field that cannot be used.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Failure {
        Failure::Invalid(vec![Fault::new(field, detail)])
    }
}

impl From<HotError> for Failure {
    fn from(error: HotError) -> Failure {
        Failure::Store(error)
    }
}

/// A write that was done, now or before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<T> {
    /// Now.
    Created(T),
    /// The same was asked before, and stands.
    Same(T),
}

impl<T> Done<T> {
    /// What was made or found, either way.
    pub fn into_inner(self) -> T {
        match self {
            Done::Created(it) | Done::Same(it) => it,
        }
    }

    /// The same with its content changed.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        match self {
            Done::Created(it) => Done::Created(f(it)),
            Done::Same(it) => Done::Same(f(it)),
        }
    }
}
