//! A source of a merge, and its rows.

use coupon::code::Code;
use coupon::coupon::Coupon;
use hot::Residue;

use super::ahead::ReadAhead;
use super::files::FileChain;
use crate::CompactError;

/// A source of rows in the order of their codes.
pub(crate) enum MergeSource {
    /// A run whose rows are rewritten.
    Rows(FileChain<cold::CouponRows>),
    /// A run that stays: only its codes and versions are read.
    Keys(FileChain<cold::CodeRows>),
    /// What is left of a sealed partition in hot.
    Residue(ReadAhead<Residue>),
    /// Coupons of hot, chosen by their codes.
    Picked(ReadAhead<Coupon>),
}

impl MergeSource {
    pub(super) fn is_hot(&self) -> bool {
        matches!(self, MergeSource::Residue(_) | MergeSource::Picked(_))
    }

    /// Whether its rows may have to be written.
    pub(super) fn writes(&self) -> bool {
        !matches!(self, MergeSource::Keys(_))
    }

    /// The next rows; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<MergeRow>>, CompactError> {
        Ok(match self {
            MergeSource::Rows(files) => files.next().await?,
            MergeSource::Keys(files) => files.next().await?,
            MergeSource::Residue(chunks) => {
                let rows = chunks.next().await?;
                rows.map(|rows| rows.into_iter().map(MergeRow::of_residue).collect())
            }
            MergeSource::Picked(chunks) => {
                let coupons = chunks.next().await?;
                coupons.map(|coupons| coupons.into_iter().map(MergeRow::of).collect())
            }
        })
    }
}

pub(super) enum MergeRow {
    /// A coupon that may have to be written.
    Coupon(Box<Coupon>),
    /// An archived marker: cold must have the code in this version.
    Promised { code: Code, version: u64 },
    /// A run that stays has the code in this version.
    There { code: Code, version: u64 },
}

impl MergeRow {
    pub(super) fn of(coupon: Coupon) -> MergeRow {
        MergeRow::Coupon(Box::new(coupon))
    }

    fn of_residue(residue: Residue) -> MergeRow {
        match residue {
            Residue::Coupon(coupon) => MergeRow::Coupon(coupon),
            Residue::ArchivedMarker { code, version } => MergeRow::Promised { code, version },
        }
    }

    pub(super) fn code(&self) -> &Code {
        match self {
            MergeRow::Coupon(coupon) => coupon.code(),
            MergeRow::Promised { code, .. } | MergeRow::There { code, .. } => code,
        }
    }
}
