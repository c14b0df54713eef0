//! Errors of a compaction, by what the caller may do.

use cold::ColdError;
use coupon::time::Day;
use hot::HotError;

use crate::pairing::StoreMismatch;

pub(crate) type Result<T, E = CompactError> = std::result::Result<T, E>;

/// Why a compaction stopped. What it did before stays done, and it has deleted nothing from hot
/// that is not in cold.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    #[error(transparent)]
    Hot(#[from] HotError),
    #[error(transparent)]
    Cold(#[from] ColdError),
    #[error(transparent)]
    StoreMismatch(#[from] StoreMismatch),
    #[error(
        "partition {day}: {code} was archived, and cold does not have it; its archived marker stays"
    )]
    ArchivedMarkerAlone { day: Day, code: String },
    #[error(
        "partition {day}: {file} does not have what was written to it; nothing was deleted from hot"
    )]
    NotAsWritten { day: Day, file: String },
    /// A step had no effect although no other compactor was at work, so a retry would have none.
    #[error("partition {day}: {what}, and no other compactor is the reason; nothing is lost")]
    NoProgress { day: Day, what: String },
    #[error(
        "partition {day}: other compactors commit to it all the time: run `couponry compact` again"
    )]
    Conflict { day: Day },
}

/// Whether a store failed for a reason that may affect every partition.
pub(crate) fn is_of_a_store(error: &CompactError) -> bool {
    match error {
        CompactError::Hot(error) => !matches!(error, HotError::Damaged(_) | HotError::Cold(_)),
        CompactError::StoreMismatch(_) => true,
        CompactError::Cold(error) => !matches!(
            error,
            ColdError::Damaged { .. }
                | ColdError::NoFolder { .. }
                | ColdError::TooMuch { .. }
                | ColdError::Order { .. }
        ),
        CompactError::ArchivedMarkerAlone { .. }
        | CompactError::NotAsWritten { .. }
        | CompactError::NoProgress { .. }
        | CompactError::Conflict { .. } => false,
    }
}
