//! A source of a merge, and its rows.

use coupon::code::Code;
use coupon::coupon::Coupon;
use hot::Residue;

use super::ahead::Ahead;
use super::files::Files;
use crate::CompactError;

/// A source of rows in the order of their codes.
pub(crate) enum Source {
    /// A run whose rows are rewritten.
    Rows(Files<cold::Rows>),
    /// A run that stays: only its codes and versions are read.
    Keys(Files<cold::Keys>),
    /// What is left of a sealed partition in hot.
    Residue(Ahead<Residue>),
    /// Coupons of hot, chosen by their codes.
    Picked(Ahead<Coupon>),
}

impl Source {
    pub(super) fn is_hot(&self) -> bool {
        matches!(self, Source::Residue(_) | Source::Picked(_))
    }

    /// Whether its rows may have to be written.
    pub(super) fn writes(&self) -> bool {
        !matches!(self, Source::Keys(_))
    }

    /// The next rows; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>, CompactError> {
        Ok(match self {
            Source::Rows(files) => files.next().await?,
            Source::Keys(files) => files.next().await?,
            Source::Residue(chunks) => {
                let rows = chunks.next().await?;
                rows.map(|rows| rows.into_iter().map(Row::of_residue).collect())
            }
            Source::Picked(chunks) => {
                let coupons = chunks.next().await?;
                coupons.map(|coupons| coupons.into_iter().map(Row::of).collect())
            }
        })
    }
}

pub(super) enum Row {
    /// A coupon that may have to be written.
    Coupon(Box<Coupon>),
    /// An archived marker: cold must have the code in this version.
    Promised { code: Code, version: u64 },
    /// A run that stays has the code in this version.
    There { code: Code, version: u64 },
}

impl Row {
    pub(super) fn of(coupon: Coupon) -> Row {
        Row::Coupon(Box::new(coupon))
    }

    fn of_residue(residue: Residue) -> Row {
        match residue {
            Residue::Coupon(coupon) => Row::Coupon(coupon),
            Residue::ArchivedMarker { code, version } => Row::Promised { code, version },
        }
    }

    pub(super) fn code(&self) -> &Code {
        match self {
            Row::Coupon(coupon) => coupon.code(),
            Row::Promised { code, .. } | Row::There { code, .. } => code,
        }
    }
}
