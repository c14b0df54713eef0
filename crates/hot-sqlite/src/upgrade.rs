//! The steps by which this release upgrades the stores of earlier ones.

mod old_rows;
mod version_2;

use crate::schema::{SCHEMA_VERSION, Step};

/// The first upgrades a store of version 1 to version 2, and so on. Version 1 is the schema of the first
/// release.
pub(crate) const STEPS: &[Step] = &[Step::InPieces(version_2::upgrade)];

const _: () = assert!(STEPS.len() as i64 + 1 == SCHEMA_VERSION);

#[cfg(test)]
mod tests;
