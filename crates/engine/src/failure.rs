//! Failures: how a use case ends if it does not do what was asked.

use coupon::campaign::ImportCounts;
use coupon::ids::BatchId;
use coupon::refusal::Refusal;
use hot::{HotError, Named};

pub use ::import::BadFile;
use ::import::FileError;

use crate::coupon_view::CouponView;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    pub field: String,
    /// What was found and what is wanted.
    pub detail: String,
}

impl FieldFault {
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> FieldFault {
        FieldFault { field: field.into(), detail: detail.into() }
    }
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a use case did not do what was asked. Nothing was changed, except for [`HotError::Unknown`],
/// [`Failure::BrokenOff`] and [`Failure::ImportStopped`].
#[derive(Debug)]
pub enum Failure {
    Refused {
        refusal: Refusal,
        /// The coupon, if the caller may see it.
        coupon: Option<Box<CouponView>>,
    },
    /// An order of several coupons, none of which was changed: which were refused, by their codes as the caller wrote
    /// them.
    OrderRefused(Vec<(String, Refusal)>),
    Invalid(Vec<FieldFault>),
    Forbidden(String),
    BadFile(BadFile),
    /// The caller's stream ended in an error.
    BrokenOff(String),
    LoginTaken,
    /// What was to be changed has another tag than the request wants.
    OtherTag,
    NoCodeKey,
    Store(HotError),
    /// The store failed during an import; some lines are imported.
    ImportStopped(Box<ImportStopped>),
}

/// An import that ended before its file did, because the store failed.
#[derive(Debug)]
pub struct ImportStopped {
    pub error: HotError,
    pub batch: BatchId,
    /// How the finished lines ended: `imported`, `already_there` and `rejected` add up to `lines`.
    /// With [`HotError::Unknown`], some 200 more lines may be imported.
    pub counts: ImportCounts,
}

impl ImportStopped {
    /// What is imported, and what to do, for people.
    pub fn sentence(&self) -> String {
        let ImportCounts { imported, already_there, rejected, .. } = self.counts;
        let batch = &self.batch;
        format!(
            "the import stopped: {imported} lines are imported, {already_there} were already \
             there, {rejected} are rejected; send the same file again into batch {batch}, and it \
             goes on"
        )
    }
}

impl Failure {
    /// Why each of these coupons of an order was refused, for people.
    pub fn sentence_of_order(refused: &[(String, Refusal)]) -> String {
        let says = |(code, refusal): &(String, Refusal)| format!("{code}: {refusal}");
        refused.iter().map(says).collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn refused(refusal: Refusal) -> Failure {
        Failure::Refused { refusal, coupon: None }
    }

    pub fn invalid(field: &str, detail: impl Into<String>) -> Failure {
        Failure::Invalid(vec![FieldFault::new(field, detail)])
    }
}

pub(crate) fn range(field: &str, found: Option<u64>, min: u64, max: u64) -> Option<FieldFault> {
    let found = found?;
    let outside = !(min..=max).contains(&found);
    outside.then(|| FieldFault::new(field, format!("is {found}, want {min} to {max}")))
}

pub(crate) fn must_lie(field: &str, found: Option<u64>, min: u64, max: u64) -> Result<()> {
    range(field, found, min, max).map_or(Ok(()), |fault| Err(Failure::Invalid(vec![fault])))
}

/// What was looked for, or `NotFound`.
pub(crate) fn found<T>(found: Option<T>) -> Result<T> {
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
pub enum WriteResult<T> {
    Created(T),
    /// An earlier request made the same write, and it still stands.
    Same(T),
}

impl<T> WriteResult<T> {
    pub(crate) fn of(named: Named<T>) -> Result<WriteResult<T>> {
        match named {
            Named::Created(it) => Ok(WriteResult::Created(it)),
            Named::Same(it) => Ok(WriteResult::Same(it)),
            Named::Refused(refusal) => Err(Failure::refused(refusal)),
        }
    }

    pub fn into_inner(self) -> T {
        match self {
            WriteResult::Created(it) | WriteResult::Same(it) => it,
        }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> WriteResult<U> {
        match self {
            WriteResult::Created(it) => WriteResult::Created(f(it)),
            WriteResult::Same(it) => WriteResult::Same(f(it)),
        }
    }
}
